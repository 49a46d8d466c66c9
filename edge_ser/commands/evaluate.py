"""``edge-ser evaluate``: figures on a corpus, speaker-independent."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edge_ser.bundle import DEFAULT_MODEL
from edge_ser.commands._output import add_output_argument, write_table
from edge_ser.corpora import ADV, Clip, load_corpus
from edge_ser.errors import EdgeSerError, require

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
        "--engine", default="auto", choices=("auto", "numpy", "litert", "onnx"), help="for a bundle"
    )
    parser.add_argument("--precision", default="fp32", help="for a bundle (default fp32)")
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
        result = evaluate_checkpoints(args.checkpoints, corpus, fold=args.fold, progress=_progress)
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
        write_table(result["folds"], "md")
        interval = result["uar"]["ci95"]
        spread = f" (95 % over speakers {interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
        print(
            f"\nUAR {result['uar']['mean']:.3f}{spread}; always the most frequent class {result['baseline_uar']:.3f}\n"
        )
        rows = [
            {"true \\ said": label} | dict(zip(result["labels"], counts, strict=True))
            for label, counts in zip(result["labels"], result["confusion"], strict=True)
        ]
        write_table(rows, "md")
    if "adv" in result:
        print()
        write_table([{"dimension": name} | result["adv"][name] for name in ADV], "md")


def _progress(clips: Iterable[Clip]) -> Iterable[Clip]:
    """A progress bar on standard error where tqdm is installed and a person looks on."""
    try:
        tqdm = require("tqdm", extra="train", purpose="progress bars")
    except EdgeSerError:
        return clips
    bar: Iterable[Clip] = tqdm.tqdm(clips, unit="clip", leave=False, disable=None)
    return bar
