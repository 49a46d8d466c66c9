"""``edge-ser evaluate``: figures on a corpus, speaker-independent."""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ser.bundle import DEFAULT_MODEL, PRECISIONS
from edge_ser.commands._output import add_output_argument, write_table
from edge_ser.corpora import ADV, Clip, load_corpus
from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError, require
from edge_ser.evaluation.evaluate import Device, by_seed
from firmware_py.engines import AUTO, ENGINES

if TYPE_CHECKING:
    from edge_ser.recognizer import Recognizer
    from export.calibration import CalibrationSet

__all__ = ["add_arguments", "print_figures", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Score a model on a corpus. Checkpoints of folds are scored each on the speakers it never heard; a bundle is "
        "fed the audio of the whole corpus through the device's pipeline, and the answer says if it was trained on it."
    )
    parser.epilog = """\
A corpus is a name, a folder with official file names, or a CSV table with columns file, speaker, emotion and
perhaps arousal, dominance, valence, fold.

examples:
  edge-ser evaluate --corpus ravdess --checkpoints runs/ravdess     each fold by its own model
  edge-ser evaluate --corpus ravdess --checkpoints runs/ravdess --precision int8 --engine onnx
                                                                    as a device will run them
  edge-ser evaluate stream72k --corpus mine.csv -o json             a bundle on your own recordings
  edge-ser evaluate --corpus urdu --engine numpy --out results/urdu.json
"""
    parser.add_argument("model", nargs="?", help=f"a bundle's name or folder (default {DEFAULT_MODEL})")
    parser.add_argument("--corpus", required=True, help="what to score on")
    parser.add_argument(
        "--checkpoints", type=Path, metavar="DIR", help="foldF-seedS.safetensors of edge-ser train"
    )
    parser.add_argument("--fold", type=int, help="of the checkpoints, score only this fold's")
    parser.add_argument(
        "--engine",
        default="auto",
        choices=("auto", *ENGINES),
        help="what runs it; checkpoints run on torch unless an engine or a precision is named",
    )
    parser.add_argument(
        "--precision",
        default="fp32",
        choices=PRECISIONS,
        help="of a bundle's file, or that checkpoints are exported to, each calibrated on its own training folds "
        "(default %(default)s)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON too")
    add_output_argument(parser, forms=("md", "json"))


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from edge_ser.evaluation.evaluate import evaluate_bundle, evaluate_checkpoints

    if args.checkpoints is not None and args.model is not None:
        raise EdgeSerError("name a bundle or --checkpoints, not both")
    if args.fold is not None and args.checkpoints is None:
        raise EdgeSerError("--fold belongs to --checkpoints; a bundle has no folds")
    corpus = load_corpus(args.corpus)
    if args.checkpoints is not None:
        require("torch", extra="train", purpose="evaluating checkpoints")
        result = evaluate_checkpoints(
            args.checkpoints,
            corpus,
            fold=args.fold,
            device=_device(args.engine, args.precision),
            progress=_progress,
        )
    else:
        result = evaluate_bundle(
            args.model or DEFAULT_MODEL,
            corpus,
            engine=args.engine,
            precision=args.precision,
            progress=_progress,
        )
    if args.out is not None:
        from edge_ser.files import write_json

        write_json(args.out, result)
        print(f"figures: {args.out}", file=sys.stderr)
    if args.output == "json":
        write_table([], "json", document=result)
    else:
        print_figures(result)
    return 0


def _device(engine: str, precision: str) -> Device | None:
    """What puts a fold's checkpoint into the form of a device; None for torch."""
    if (engine, precision) == (AUTO, "fp32"):
        return None
    from edge_ser.recognizer import Recognizer
    from export.calibration import calibrate_on_clips
    from export.exporter import temporary_bundle
    from export.formats import format_for

    row = format_for(ENGINES[0] if engine == AUTO else engine, precision)

    @contextlib.contextmanager
    def device(checkpoint: Path, training: Sequence[Clip]) -> Iterator[Recognizer]:
        def calibrate(about: Mapping[str, Any], spec: MelSpec, step_frames: int) -> CalibrationSet:
            held_out = about["held_out_fold"]
            return calibrate_on_clips(training, spec, step_frames, held_out_fold=held_out)

        with temporary_bundle(checkpoint, row, calibrate) as bundle:
            yield Recognizer.load(bundle.path, row.engine, precision)

    return device


def print_figures(result: dict[str, Any]) -> None:
    """Figures for people: folds, mean and interval, confusion, agreement of ratings."""
    print(f"{result['model']} ({result['params']} parameters) on {result['corpus']}\n{result['protocol']}\n")
    if result.get("seen_in_training"):
        print(
            "The model was trained on these recordings: this is no measure of how it does on new speakers.\n"
        )
    if unscored := result.get("not_scored"):
        print("Not scored, as the model does not know the class: "
              + ", ".join(f"{n} {label}" for label, n in unscored.items()) + "\n")  # fmt: skip
    for clip in result.get("excluded", ()):
        print(f"left out: {clip['file']}: {clip['reason']}", file=sys.stderr)
    if "uar" in result:
        _print_folds(result)
        rows = [
            {"true \\ said": label} | dict(zip(result["labels"], counts, strict=True))
            for label, counts in zip(result["labels"], result["confusion"], strict=True)
        ]
        write_table(rows, "md")
    if "adv" in result:
        print()
        write_table([{"dimension": name} | result["adv"][name] for name in ADV], "md")


def _print_folds(result: dict[str, Any]) -> None:
    """UAR by fold, with several seeds their mean and each; then over all folds, its interval and the seeds' spread."""
    seeds = by_seed(result["folds"])
    rows = []
    for fold in sorted({one["fold"] for one in result["folds"]}):
        runs = [one for one in result["folds"] if one["fold"] == fold]
        row = {"fold": fold, "uar": statistics.fmean(run["uar"] for run in runs)}
        if len(seeds) > 1:
            row |= {f"seed {run['seed']}": run["uar"] for run in runs}
        if "fp32_uar" in runs[0]:
            row["fp32"] = statistics.fmean(run["fp32_uar"] for run in runs)
        rows.append(row | {"n": runs[0]["n"]})
    write_table(rows, "md")
    interval = result["uar"]["ci95"]
    spread = f" (95 % over speakers {interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    trivial = result["baseline_uar"]
    print(f"\nUAR {result['uar']['mean']:.3f}{spread}; always the most frequent class {trivial:.3f}")
    if len(seeds) > 1:
        each = ", ".join(f"{one['seed']}: {one['uar']:.3f}" for one in seeds)
        print(f"by seed {each}; standard deviation {statistics.stdev(one['uar'] for one in seeds):.3f}")
    if lost := result.get("quantisation"):
        print(
            f"torch in fp32 on the same clips: UAR {lost['fp32_uar']:.3f}; {lost['engine']} {lost['precision']} loses "
            f"{lost['drop']:.4f} and names the same emotion for {lost['same_label']:.1%} of them"
        )
    print()


def _progress(clips: Iterable[Clip]) -> Iterable[Clip]:
    """A progress bar on standard error where tqdm is installed and a person looks on."""
    try:
        tqdm = require("tqdm", extra="train", purpose="progress bars")
    except EdgeSerError:
        return clips
    bar: Iterable[Clip] = tqdm.tqdm(clips, unit="clip", leave=False, disable=None)
    return bar
