"""``edge-ser condense``: a corpus as a few synthetic spectra, and what a student learns from them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from edge_ser.commands._output import write_table
from edge_ser.errors import require
from edge_ser.files import check_place

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Dataset distillation: make a few synthetic log-mel clips of each class of a corpus, train students on them "
        "alone, on as many real clips, on means of clips, and on all real clips, and score them on speakers that none "
        "of it has heard. An experiment: nothing else in the toolkit uses the clips. Stop it at any time; the same "
        "command goes on."
    )
    parser.epilog = """\
the file names a student's recipe beside it, what to change in it, and how to condense:
  recipe = "ravdess.toml"
  always = ["data.folds=[2]", "fit.epochs=12", "fit.seeds=[0, 1]"]
  [condense]
  clips = [1, 5]          synthetic clips of each class, an experiment each
  iterations = 200

writes:
  RESULTS/NAME.json       the figures
  RESULTS/NAME.png        the synthetic clips of the first fold
  RUNS/NAME/              clips (foldF-K.safetensors) and students

examples:
  edge-ser condense recipes/condense-ravdess.toml
  edge-ser condense recipes/condense-ravdess.toml -o json
"""
    parser.add_argument("recipe", type=Path, help="TOML file")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder for clips and students (default runs)"
    )
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="folder for figures (default results)"
    )
    parser.add_argument("-o", "--output", choices=("md", "json"), default="md", help="form of the table")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    require("torch", extra="train", purpose="training")
    from edge_ser.training.condensing import Condensing, run_condensing

    experiment = Condensing.read(args.recipe)
    check_place(args.results / f"{experiment.name}.json")

    def report(line: str) -> None:
        print(line, file=sys.stderr)

    try:
        result = run_condensing(experiment, args.runs, args.results, report=report)
    except KeyboardInterrupt:
        where = args.runs / experiment.name
        print(f"\nstopped; the same command goes on from what is in {where}", file=sys.stderr)
        return 130
    for one in result["left_out"]:
        print(f"left out: {one['what']}: {one['reason']}", file=sys.stderr)
    if args.output == "json":
        print(json.dumps(result))
    else:
        write_table(result["rows"], "md")
    print(f"figures and picture: {args.results / experiment.name}.json, .png", file=sys.stderr)
    return 0
