"""``edge-ser ablate``: what each ingredient of a recipe is worth."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge_ser.commands._output import write_table
from edge_ser.errors import require
from edge_ser.files import check_place

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Train variants of a recipe, each without one thing or with one thing more, and show them side by side. Stop "
        "it at any time; the same command goes on."
    )
    parser.epilog = """\
the file names a recipe beside it and what to change:
  recipe = "ravdess-distil.toml"
  always = ["fit.seeds=[0, 1, 2]", "fit.epochs=60"]
  [variants]
  "everything"     = []
  "without hints"  = ["distil.hint=0"]
  "labels alone"   = ["distil.hint=0", "distil.soft=0", "distil.views=1"]

writes RESULTS/NAME.json, and what edge-ser distil writes for each variant.

examples:
  edge-ser ablate recipes/ablation.toml
"""
    parser.add_argument("file", type=Path, help="TOML file")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder for checkpoints (default runs)"
    )
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="folder for figures (default results)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    require("torch", extra="train", purpose="training")
    from edge_ser.training.ablation import Ablation, run_ablation

    ablation = Ablation.read(args.file)
    check_place(args.results / f"{ablation.name}.json")

    def report(variant: str) -> None:
        print(f"{variant}:", file=sys.stderr)

    try:
        result = run_ablation(ablation, args.runs, args.results, report=report)
    except KeyboardInterrupt:
        print(f"\nstopped; the same command goes on from the last epoch in {args.runs}", file=sys.stderr)
        return 130
    rows = [{key: row[key] for key in ("variant", "uar", "spread")} for row in result["variants"]]
    write_table(rows, "md")
    print(f"figures: {args.results / ablation.name}.json", file=sys.stderr)
    return 0
