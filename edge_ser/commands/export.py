"""``edge-ser export``: a checkpoint to a bundle that devices run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ser.commands._output import add_output_argument, write_table
from edge_ser.errors import EdgeSerError, require
from edge_ser.files import check_place

if TYPE_CHECKING:
    from edge_ser.bundle import Bundle
    from export.exporter import Exported

__all__ = ["RANGES", "add_arguments", "run"]

#: Of `export.ranges.METHODS`, which only exporting imports.
RANGES = ("minmax", "percentile", "mse")

_COLUMNS = {
    "format": "format",
    "precision": "precision",
    "file": "file",
    "kb": "KB",
    "max_abs_error": "max error",
    "limit": "limit",
    "mean_abs_error": "mean",
    "agreement": "same emotion",
    "metric_drop": "UAR lost",
    "working_memory.total": "bytes at work",
    "latency_ms.p50": "ms a step",
    "ok": "ok",
    "note": "",
}


#: Options that say nothing of pipelines and teachers.
_OF_CHECKPOINTS = (
    "calibrate", "calibration", "calibration_clips", "calibration_seed", "mixed", "sensitivity", "validation", "report",
    "figures", "accept_drop",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Convert a checkpoint to files that devices run, check each against the trained model on hard sounds and "
        "recordings, and write a bundle with its card. When one file is over its limit nothing is written and the "
        "exit status is 1. `edge-ser formats` lists the formats."
    )
    parser.epilog = (
        "examples:\n"
        "  edge-ser export runs/mine/all-seed0.safetensors --out mine          all formats\n"
        "  edge-ser export CHECKPOINT --out mine --format numpy,tflite         some of them, fp32\n"
        "  edge-ser export CHECKPOINT --out mine --format numpy,int8           fp32 for NumPy, int8 for every engine\n"
        "  edge-ser export wav2small.safetensors --out mine --window 3         a network that hears 3 s at once\n"
        "  edge-ser export CHECKPOINT --out mine --figures results/mine.json   with the figures on its card\n"
        "  edge-ser export CHECKPOINT --out mine --validation ravdess:0 --sensitivity --report out/mine\n"
        "                                                                      what is lost, layer by layer\n"
        "  edge-ser export CHECKPOINT --out mine --format int8 --mixed 2       the two most sensitive layers float32\n"
        "  edge-ser export heads.safetensors --teacher ENCODER --out large     a teacher of edge-ser teach, for hosts\n"
        "  edge-ser export svm.toml --corpus ravdess --out svm                 a pipeline of scikit-learn\n"
    )
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="written by edge-ser train, or the TOML of a pipeline as edge-ser evaluate --pipeline takes it",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="the bundle's folder")
    parser.add_argument("--format", default="all", metavar="F,...", help="formats, or all (the default)")
    parser.add_argument(
        "--name", help="the model's name: letters, digits, '.', '_' and '-' (default: the folder's)"
    )
    parser.add_argument(
        "--licence", metavar="TEXT", help="terms of use (default: follow from the training data)"
    )
    parser.add_argument(
        "--figures",
        action="extend",
        nargs="+",
        default=[],
        metavar="FILE",
        help="results of edge-ser train or evaluate to record on the card",
    )
    parser.add_argument(
        "--audio",
        action="append",
        default=[],
        metavar="FILE",
        help="recording to check on besides our own sounds; may be given more than once",
    )
    parser.add_argument(
        "--calibrate",
        metavar="CORPUS",
        help="what int8 learns its ranges from: a corpus, or `sample` for the package's own recording (default: the "
        "training speakers of the checkpoint's corpora, as far as they are here)",
    )
    parser.add_argument(
        "--calibration",
        choices=RANGES,
        help="how static ranges follow from that: all that was met, all but the outermost 0.01 per cent on either "
        "side, or the least squared error (default minmax, and percentile for a network that does not stream)",
    )
    parser.add_argument(
        "--calibration-clips", type=int, metavar="N", help="clips that are drawn for it (default 64)"
    )
    parser.add_argument("--calibration-seed", type=int, metavar="N", help="seed of the draw (default 0)")
    parser.add_argument(
        "--mixed",
        metavar="N|auto|ERROR",
        help="in int8 files the N most sensitive layers stay float32; or as many as it takes to come within the limits "
        "(auto), or to a mean error",
    )
    parser.add_argument(
        "--sensitivity",
        action="store_true",
        help="measure what each layer costs in int8, and files that keep more and more of them in float32",
    )
    parser.add_argument(
        "--validation",
        metavar="CORPUS[:FOLD]",
        help="clips of speakers that were not trained on, to measure what UAR and CCC lose",
    )
    parser.add_argument(
        "--report", metavar="DIR", help="write report.html, with pictures, and figures.json there"
    )
    parser.add_argument(
        "--form",
        choices=("window", "clip"),
        help="of a network that does not stream: a window of one length (the default), or a clip of any",
    )
    parser.add_argument("--window", type=float, metavar="S", help="seconds that it hears (default 5)")
    parser.add_argument("--hop", type=float, metavar="S", help="seconds from answer to answer (default 0.25)")
    parser.add_argument(
        "--input",
        choices=("waveform", "features"),
        help="what its files take (default: a waveform where the network has a front end of its own)",
    )
    parser.add_argument(
        "--accept-drop",
        action="store_true",
        help="write files that are over their limits too, marked in bundle.json and on the card",
    )
    parser.add_argument(
        "--teacher",
        metavar="ENCODER",
        help="CHECKPOINT holds the heads of edge-ser teach; their encoder's folder",
    )
    parser.add_argument("--corpus", help="of a pipeline: what it is fitted on")
    parser.add_argument(
        "--hold-out", type=int, metavar="FOLD", help="of a pipeline: a fold to leave out of that"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the bundle at DIR")
    add_output_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Do it; 1 when a format was refused."""
    if args.report is not None:
        from edge_ser.evaluation.canvas import require_matplotlib

        require_matplotlib("a report with pictures")
        check_place(Path(args.report) / "report.html")
    if args.licence is not None and not args.licence.strip():
        raise EdgeSerError(
            "--licence is empty; say the terms, or leave it out: they follow from the training data"
        )
    if args.checkpoint.lower().endswith(".toml"):
        exported, bundle = _pipeline(args)
    elif args.teacher is not None:
        exported, bundle = _teacher(args)
    else:
        exported, bundle = _checkpoint(args)
    rows = [row.to_dict() for row in exported]
    about = next((row.about for row in exported if row.about), {})  # none where no file was made
    place = str(bundle.path) if bundle else None
    preferred = dict(bundle.preferred) if bundle else {}
    document = {"bundle": place, **about, "preferred": preferred, "formats": rows, "ok": bundle is not None}
    write_table(rows, args.output, columns=_COLUMNS, document=document)
    if args.report is not None and about:
        from export.report import write_report
        from firmware_py.machine import describe_machine, machine_line

        here = {"machine": machine_line(describe_machine())}
        _say(f"report: {write_report(args.report, document | here)}")
    for engine, precision in preferred.items():
        _say(f"{engine}: {precision} runs where no --precision is given, as eight bits take longer there")
    _say(f"wrote the bundle {bundle.path}" if bundle else "nothing was written: a format was refused")
    return 0 if bundle else 1


def _checkpoint(args: argparse.Namespace) -> tuple[list[Exported], Bundle | None]:
    require("torch", extra="export", purpose="converting a checkpoint")
    from edge_ser.evaluation.parity import hard_sounds, recordings
    from export.exporter import export_checkpoint
    from export.figures import read_figures
    from export.formats import choose_formats
    from export.sensitivity import parse_mixed

    if args.corpus is not None or args.hold_out is not None:
        raise EdgeSerError("--corpus and --hold-out belong to a pipeline; a checkpoint has been trained")
    formats = choose_formats(args.format)
    feeding = {"window_s": args.window, "hop_s": args.hop, "takes": args.input, "form": args.form}
    calibration = {
        "method": args.calibration, "count": args.calibration_clips, "seed": args.calibration_seed
    }  # fmt: skip
    if args.calibration_clips is not None and args.calibration_clips < 1:
        raise EdgeSerError(f"--calibration-clips must be at least 1, not {args.calibration_clips}")
    if args.calibration_seed is not None and args.calibration_seed < 0:
        raise EdgeSerError(f"--calibration-seed must be at least 0, not {args.calibration_seed}")
    mixed = None if args.mixed is None else parse_mixed(args.mixed)
    if (args.mixed is not None or args.sensitivity) and not any(row.rounds for row in formats):
        asked = "--mixed" if args.mixed is not None else "--sensitivity"
        raise EdgeSerError(f"{asked} is of int8 files, and --format {args.format} makes none; add int8")
    learnt = ("calibrate", "calibration", "calibration_clips", "calibration_seed")
    given = [f"--{name.replace('_', '-')}" for name in learnt if getattr(args, name) is not None]
    if given and not any(row.calibrated for row in formats):
        raise EdgeSerError(
            f"{given[0]} is of files that learn ranges, and --format {args.format} makes none; add int8"
        )
    return export_checkpoint(
        args.checkpoint,
        args.out,
        formats,
        hard_sounds() | recordings(args.audio),
        name=args.name,
        licence=args.licence,
        figures=[read_figures(path) for path in args.figures],
        calibrate=args.calibrate,
        calibration={key: value for key, value in calibration.items() if value is not None},
        mixed=mixed,
        sensitivity=args.sensitivity,
        validate=args.validation,
        accept_drop=args.accept_drop,
        feeding={key: value for key, value in feeding.items() if value is not None},
        overwrite=args.overwrite,
        say=_say,
    )


def _pipeline(args: argparse.Namespace) -> tuple[list[Exported], Bundle | None]:
    from edge_ser.corpora import load_corpus
    from edge_ser.evaluation.pipelines import read_pipeline
    from export.formats import choose_formats
    from export.pipelines import export_pipeline

    spec = read_pipeline(args.checkpoint)
    if args.corpus is None:
        raise EdgeSerError(f"{args.checkpoint} describes a pipeline, which is fitted here: say --corpus")
    unfit = ("window", "hop", "input", "form", "audio", *_OF_CHECKPOINTS)
    if given := [option for option in unfit if getattr(args, option)]:
        raise EdgeSerError(f"--{given[0].replace('_', '-')} says nothing of a pipeline; leave it out")
    return export_pipeline(
        spec,
        load_corpus(args.corpus),
        args.out,
        choose_formats(args.format),
        hold_out=args.hold_out,
        name=args.name,
        licence=args.licence,
        overwrite=args.overwrite,
        say=_say,
    )


def _teacher(args: argparse.Namespace) -> tuple[list[Exported], Bundle | None]:
    require("torch", extra="export", purpose="converting a teacher")
    require("transformers", extra="teach", purpose="converting a teacher")
    from edge_ser.evaluation.parity import hard_sounds, recordings
    from edge_ser.teachers.checkpoints import read_about
    from edge_ser.teachers.linear import LinearTeacher
    from export.formats import choose_formats
    from export.teachers import NOT_EXPORTED, export_teacher

    about = read_about(args.checkpoint)
    kind = about.get("kind", "linear")
    if kind in NOT_EXPORTED:
        raise EdgeSerError(f"{args.checkpoint} cannot be exported: it is {kind}: {NOT_EXPORTED[kind]}")
    unfit = ("corpus", "hold_out", "input", *_OF_CHECKPOINTS)
    if given := [option for option in unfit if getattr(args, option)]:
        raise EdgeSerError(f"--{given[0].replace('_', '-')} says nothing of a teacher; leave it out")
    feeding = {"window_s": args.window, "hop_s": args.hop, "form": args.form}
    return export_teacher(
        LinearTeacher.load(args.checkpoint, args.teacher),
        args.out,
        choose_formats(args.format),
        hard_sounds(6.0) | recordings(args.audio, 6.0),
        about,
        name=args.name,
        licence=args.licence,
        overwrite=args.overwrite,
        say=_say,
        **{key: value for key, value in feeding.items() if value is not None},
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
