"""``edge-ser evaluate``: figures on a corpus, speaker-independent."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import length_hint
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ser.bundle import DEFAULT_MODEL, PRECISIONS, load_bundle
from edge_ser.commands._measure import (
    CLIPS,
    COVERAGE,
    check_use,
    measure,
    more_than_figures,
    print_measured,
    teacher_figures,
)
from edge_ser.commands._output import add_output_argument, write_table
from edge_ser.commands.export import RANGES
from edge_ser.corpora import ADV, EMOTIONS, Clip, Corpus, load_corpus
from edge_ser.corpora.words import in_words_of, words_read
from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError, require
from edge_ser.evaluation.answers import Answers
from edge_ser.evaluation.calibrate import without_temperature
from edge_ser.evaluation.evaluate import Device, by_seed
from edge_ser.evaluation.protocols import PROTOCOLS, merged, restricted
from edge_ser.evaluation.score import Scored
from edge_ser.files import check_place, write_json
from edge_ser.progress import progress_bar
from firmware_py.engines import AUTO, ENGINES, EVERY_ENGINE

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
perhaps arousal, dominance, valence, fold, start and end (seconds, of a part of a long file); usual words (anger,
Happiness, NEU) are read as the model's. With @speaker, @language or @5 behind it, it has a fold for each speaker or
language, or so many of whole speakers; checkpoints are asked by the folds that they were trained by. A table that is
otherwise is described in TOML, and --corpus names that:
  table = "labels.csv"         # beside this file; the sound files start from there, or from folder = "wav"
  columns = {file = "FileName", speaker = "SpkrID", emotion = "EmoClass", arousal = "EmoAct"}
  emotions = {A = "angry", H = "happy"}
  rating_scale = [1, 7]

examples:
  edge-ser evaluate --corpus ravdess --checkpoints runs/ravdess     each fold by its own model
  edge-ser evaluate --corpus mine.csv@speaker --checkpoints runs/mine    trained with one speaker left out each
  edge-ser evaluate --corpus ravdess --checkpoints runs/ravdess --precision int8 --engine onnx
                                                                    as a device will run them
  edge-ser evaluate --corpus emodb --checkpoints runs/mine/all-seed0.safetensors --labels angry,happy,neutral,sad
                                                                    a corpus that the training left out
  edge-ser evaluate stream72k --corpus mine.csv -o json             a bundle on your own recordings
  edge-ser evaluate --corpus urdu --engine numpy --out results/urdu.json
  edge-ser evaluate --corpus ravdess --checkpoints runs/ravdess --report out/ravdess --robustness --streaming
                                                                    a page with pictures, tests and worst clips
  edge-ser evaluate stream72k --corpus mine.csv --session           and when it has got used to each speaker
  edge-ser evaluate --corpus ravdess --checkpoints runs/ravdess --session
                                                                    when the model has got used to each speaker
  edge-ser evaluate --corpus ravdess --teacher runs/teacher-ravdess --encoder openai/whisper-base --robustness \\
      --clips 64                                                    the same tests of a teacher
  edge-ser evaluate --pipeline svm.toml --corpus ravdess,emodb --protocol corpus --report out/svm
                                                                    scikit-learn, each corpus by the other

A pipeline is described, as a pickled one can run any code when it is read:
  name = "svm"
  features = "speech"          # of edge-ser features --list, or a file
  steps = [{kind = "standardise"}, {kind = "svm", C = 10.0}]
"""
    parser.add_argument("model", nargs="?", help=f"a bundle's name or folder (default {DEFAULT_MODEL})")
    parser.add_argument("--corpus", required=True, help="what to score on")
    parser.add_argument(
        "--checkpoints",
        type=Path,
        metavar="PATH",
        help="a folder with foldF-seedS.safetensors of edge-ser train, or one file that was trained on other corpora",
    )
    parser.add_argument(
        "--labels", metavar="A,B,...", help="only clips of these emotions, chosen among them (default: all)"
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        metavar="DIR",
        help="foldF.safetensors of edge-ser teach; some clips are asked",
    )
    parser.add_argument(
        "--encoder", metavar="SOURCE", help="what the teacher hears with, as for edge-ser teach"
    )
    parser.add_argument(
        "--fold", type=int, nargs="+", help="of checkpoints or a teacher, score only these folds'"
    )
    parser.add_argument(
        "--engine",
        default="auto",
        choices=("auto", *EVERY_ENGINE),
        help="what runs it; checkpoints run on torch unless an engine or a precision is named",
    )
    parser.add_argument(
        "--precision",
        default="fp32",
        choices=PRECISIONS,
        help="of a bundle's file, or that checkpoints are exported to, each calibrated on its own training folds "
        "(default %(default)s)",
    )
    parser.add_argument(
        "--calibration",
        choices=RANGES,
        help="how the ranges of exported checkpoints follow from that, as for edge-ser export",
    )
    parser.add_argument(
        "--pipeline", type=Path, metavar="TOML", help="a pipeline of scikit-learn, fitted here"
    )
    parser.add_argument(
        "--protocol",
        default="folds",
        choices=tuple(PROTOCOLS),
        help="of a pipeline: " + "; ".join(f"{name}: {what}" for name, what in PROTOCOLS.items()),
    )
    parser.add_argument("--learning-curve", action="store_true", help="fit a pipeline on fewer speakers too")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write report.html and every answer there")
    parser.add_argument(
        "--coverage",
        type=float,
        metavar="SHARE",
        help=f"share to answer by the rule of confidence, of the figures of a report (default {COVERAGE})",
    )
    parser.add_argument(
        "--robustness",
        action="store_true",
        help="in noise, rooms, codecs and more; tests of arXiv 2312.06270",
    )
    parser.add_argument(
        "--streaming", action="store_true", help="on clips joined to long recordings; needs an engine"
    )
    parser.add_argument(
        "--session",
        action="store_true",
        help="figures of getting used to each speaker (listen --adapt) too; of a bundle or --checkpoints",
    )
    parser.add_argument(
        "--clips",
        type=int,
        metavar="N",
        help="clips for --robustness, --streaming and --teacher, evenly over speakers and emotions "
        f"(default {CLIPS})",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON too")
    add_output_argument(parser, forms=("md", "json"))


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from edge_ser.evaluation.evaluate import evaluate_bundle, evaluate_checkpoints

    check_use(args)
    if args.out is not None:
        check_place(args.out)
    if args.report is not None:
        check_place(args.report / "report.html")
    if args.pipeline is not None:
        return _evaluate_pipeline(args)
    if args.checkpoints is not None and args.model is not None:
        raise EdgeSerError("name a bundle or --checkpoints, not both")
    if args.fold is not None and args.checkpoints is None and args.teacher is None:
        raise EdgeSerError("--fold belongs to --checkpoints or --teacher; a bundle has no folds")
    device_of = functools.partial(device_form, method=args.calibration)
    corpus = load_corpus(args.corpus)
    if args.checkpoints is None and args.teacher is None:
        corpus = in_words_of(corpus, load_bundle(args.model or DEFAULT_MODEL).labels)
    if args.labels is not None:
        corpus = restricted(corpus, _names(args.labels, corpus), "is not among --labels")
    scored: list[Scored] = []
    if args.teacher is not None:
        result, scored = teacher_figures(args, corpus, _progress)
    elif args.checkpoints is not None and args.checkpoints.is_file():
        require("torch", extra="train", purpose="evaluating checkpoints")
        from edge_ser.evaluation.unheard import evaluate_unheard

        result = evaluate_unheard(args.checkpoints, corpus, progress=_progress, onto=scored)
    elif args.checkpoints is not None:
        require("torch", extra="train", purpose="evaluating checkpoints")
        result = evaluate_checkpoints(
            args.checkpoints,
            corpus,
            folds=args.fold,
            device=device_of(args.engine, args.precision),
            progress=_progress,
            onto=scored,
        )
        if args.calibration and "quantisation" in result:
            result["quantisation"]["ranges"] = args.calibration
    else:
        if args.session:
            load_bundle(args.model or DEFAULT_MODEL).typical_for("--session")  # refused before the work
        result = evaluate_bundle(
            args.model or DEFAULT_MODEL,
            corpus,
            engine=args.engine,
            precision=args.precision,
            progress=_progress,
            onto=scored,
        )
    result |= words_read(corpus)
    if not more_than_figures(args):
        return _finish(args, result, None)
    answers = Answers.of(result, scored, result.get("labels", ()))
    excluded = [one["file"] for one in result.get("excluded", ())]
    measured = measure(args, corpus, device_of, _progress, excluded)
    if args.session:
        measured["session"] = _session(args, answers)
    return _finish(args, result, answers, measured)


def _names(text: str, corpus: Corpus) -> list[str]:
    """Emotions with commas between them, of the corpus or such as others have: one list may serve for several."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise EdgeSerError("--labels names no emotion; give some with commas between them, such as angry,sad")
    if strange := [name for name in names if name not in {*corpus.labels, *EMOTIONS}]:
        raise EdgeSerError(
            f"--labels names {strange[0]}, and {corpus.name} has {', '.join(corpus.labels)}: name some of these"
        )
    return names


def _session(args: argparse.Namespace, answers: Answers) -> dict[str, Any]:
    """Figures of getting used to each speaker."""
    from edge_ser.evaluation.session import session_figures, typical_of_bundle

    if args.checkpoints is None:
        typical = typical_of_bundle(load_bundle(args.model or DEFAULT_MODEL), answers.labels)
        # a device gets used to scores before it divides them by the temperature
        plain = dataclasses.replace(answers, scores=without_temperature(answers))
        return session_figures(plain, typical_of_training=typical)
    if args.checkpoints.is_file():
        from edge_ser.evaluation.unheard import typical_of_training

        typical, clips = typical_of_training(args.checkpoints, answers.labels, progress=_progress)
        return session_figures(answers, typical_of_training=typical) | {"typical_of": clips}
    return session_figures(answers)


def _evaluate_pipeline(args: argparse.Namespace) -> int:
    from edge_ser.evaluation.pipelines import evaluate_pipeline, read_pipeline

    corpus = merged([load_corpus(name) for name in args.corpus.split(",")])
    result, answers = evaluate_pipeline(
        read_pipeline(args.pipeline), corpus, args.protocol, curve=args.learning_curve
    )
    return _finish(args, result | words_read(corpus), answers)


def _finish(
    args: argparse.Namespace,
    result: dict[str, Any],
    answers: Answers | None,
    measured: Mapping[str, Any] | None = None,
) -> int:
    """Write what is asked for; figures of answers join the result."""
    if answers is not None:
        from edge_ser.evaluation.report import all_figures, write_report

        result = all_figures(answers, result, coverage=args.coverage or COVERAGE, **(measured or {}))
        if args.report is not None:
            print(f"report: {write_report(args.report, answers, result)}", file=sys.stderr)
    if args.out is not None:
        write_json(args.out, result)
        print(f"figures: {args.out}", file=sys.stderr)
    if args.output == "json":
        write_table([], "json", document=result)
    else:
        print_figures(result)
    return 0


def device_form(engine: str, precision: str, method: str | None = None) -> Device | None:
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

        with temporary_bundle(checkpoint, row, calibrate, method=method) as bundle:
            yield Recognizer.load(bundle.path, row.engine, precision)

    return device


def print_figures(result: dict[str, Any]) -> None:
    """Figures for people: folds, mean and interval, confusion, agreement of ratings."""
    if result.get("leaks"):
        print("LEAKS: speakers stand on both sides of the split; this says nothing about new speakers.\n")
    size = f" ({result['params']} parameters)" if result["params"] else ""
    print(f"{result['model']}{size} on {result['corpus']}\n{result['protocol']}\n")
    if result.get("seen_in_training"):
        print(
            "The model was trained on these recordings: this is no measure of how it does on new speakers.\n"
        )
    if read := result.get("read_as"):
        print("Read as: " + ", ".join(f"{word} as {ours}" for word, ours in read.items()) + "\n")
    if unscored := result.get("not_scored"):
        print("Not scored, as the model does not know the class: "
              + ", ".join(f"{n} {label}" for label, n in unscored.items()) + "\n")  # fmt: skip
    if absent := result.get("absent"):
        print(f"No clips of {', '.join(absent)}: averages over classes do not cover them.\n")
    for clip in result.get("excluded", ()):
        print(f"left out: {clip['file']}: {clip['reason']}", file=sys.stderr)
    if "uar" in result:
        _print_folds(result)
        rows = [
            {"true \\ said": label} | dict(zip(result["labels"], counts, strict=True))
            for label, counts in zip(result["labels"], result["confusion"], strict=True)
        ]
        write_table(rows, "md")
    print_measured(result)
    if "adv" in result:
        print()
        write_table(
            [
                {"dimension": name} | {k: result["adv"][name][k] for k in ("ccc", "pcc", "mae")}
                for name in ADV
            ],
            "md",
        )


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
    print(f"\nUAR {result['uar']['mean']:.3f}{spread}; always the same label {trivial:.3f}")
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
    """The clips, on a bar where a person looks on; each is taken when its turn comes, as some are made then."""
    with progress_bar(None, length_hint(clips) or None, "clip", quiet=None) as bar:
        yield from bar.wrap(clips)
