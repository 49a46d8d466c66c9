"""``edge-ser train``: models from a recipe."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge_ser.commands.evaluate import print_figures
from edge_ser.errors import EdgeSerError, require
from edge_ser.files import check_place

__all__ = ["add_arguments", "add_changes", "add_recipe_arguments", "run", "run_recipe_of"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Train the models of a recipe: one for each held-out fold and seed, or one on everything. Stop it at any "
        "time; the same command goes on where it was. The last epoch is kept: no test clip chooses anything."
    )
    parser.epilog = """\
writes:
  RUNS/NAME/foldF-seedS.safetensors   checkpoints, for edge-ser export and evaluate
  RUNS/NAME/foldF-seedS/curves.png    loss by epoch; log.jsonl the same as lines
  RESULTS/NAME.json                   the figures, when every fold is trained

examples:
  edge-ser train recipes/ravdess.toml
  edge-ser train recipes/ravdess.toml --fold 2        one fold only, for processes side by side
  edge-ser train mine.toml --runs /data/runs          checkpoints elsewhere

A recipe's least content:  [data]  corpora = ["ravdess"]  folds = [0, 1, 2, 3, 4]
A corpus is a name, a folder with official file names, a CSV table (columns file, speaker, emotion, ...) or a TOML
file that says how to read another table (edge-ser evaluate --help). Behind it @5 deals out five folds of whole
speakers, and @speaker one for each: corpora = ["mine.csv@5"].
"""
    add_recipe_arguments(parser)


def add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of every command that fits models from a recipe."""
    parser.add_argument("recipe", type=Path, help="TOML file")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder for checkpoints (default runs)"
    )
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="folder for figures (default results)"
    )
    add_changes(parser)
    parser.add_argument("--fold", type=int, nargs="+", help="train only these held-out folds")
    parser.add_argument(
        "--seed", type=int, nargs="+", help="with these seeds only (default with --fold: the recipe's first)"
    )


def add_changes(parser: argparse.ArgumentParser) -> None:
    """The argument that changes a recipe from outside."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="TABLE.FIELD=VALUE",
        dest="changes",
        help="another value than the recipe's, as often as needed; give the run a name of its own with --set name=NAME",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    return run_recipe_of(args, distil=False)


def run_recipe_of(args: argparse.Namespace, *, distil: bool) -> int:
    """Fit the models of ``args.recipe``, which must have a teacher or must have none."""
    require("torch", extra="train", purpose="training")
    from edge_ser.precision import computes_bfloat16
    from edge_ser.training.live.run import run_live
    from edge_ser.training.recipe import Recipe
    from edge_ser.training.run import Run, run_recipe

    recipe = Recipe.read(args.recipe, args.changes)
    if distil != (recipe.distil is not None):
        raise EdgeSerError(
            f"{args.recipe} has no teacher ([distil] targets = FOLDER): run edge-ser train"
            if distil
            else f"{args.recipe} has a teacher ([distil]): run edge-ser distil"
        )
    only: list[Run] = []
    if args.fold is not None or args.seed is not None:
        if recipe.data.folds and args.fold is None:
            raise EdgeSerError(f"--seed alone does not name one model of {recipe.name}: add --fold")
        only = [Run(seed, fold) for seed in args.seed or recipe.fit.seeds[:1] for fold in args.fold or [None]]
    check_place(args.results / f"{recipe.name}.json")
    if recipe.fit.bfloat16 and not (distil and args.device != "cpu") and not computes_bfloat16():
        print("no bfloat16 on this processor: training in float32, which is faster here", file=sys.stderr)
    try:
        if recipe.live is not None:
            figures = run_live(recipe, args.runs, args.results, args.encoder, args.device, only)
        elif distil and (args.encoder or args.device != "cpu"):
            option = "--encoder" if args.encoder else "--device"
            raise EdgeSerError(
                f"{option} is for recipes with [live]; {args.recipe} has none, and trains on the processor by what "
                "its [distil] targets say"
            )
        else:
            figures = run_recipe(recipe, args.runs, args.results, only=only)
    except KeyboardInterrupt:
        print(
            f"\nstopped; the same command goes on from the last epoch in {args.runs / recipe.name}",
            file=sys.stderr,
        )
        return 130
    print(f"checkpoints and curves: {args.runs / recipe.name}", file=sys.stderr)
    if figures is None:
        return 0
    print_figures(figures)
    print(f"figures: {args.results / recipe.name}.json", file=sys.stderr)
    return 0
