"""``edge-ser teach``: a teacher's heads from a recipe, and what it says to the students."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge_ser.commands.evaluate import print_figures
from edge_ser.commands.train import add_changes
from edge_ser.errors import require
from edge_ser.files import check_place

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Train heads on a speech encoder, one teacher for each held-out fold, and write down what it says of every "
        "other clip and of its views. A clip is answered by heads that never heard its fold either. The heads are "
        "linear on a frozen encoder; a recipe with [attentive] has heads that attend to layers and time, and adapters "
        "in the encoder's upper layers. Stop it at any time; what was heard and learnt is kept."
    )
    parser.epilog = """\
writes:
  RUNS/NAME/foldF.safetensors   the teacher that never heard fold F of any corpus
  RUNS/NAME/foldF/              what students of that fold learn from
  RUNS/NAME/all.safetensors     the teacher of every fold
  RUNS/NAME/all/                what a student that holds nothing out learns from
  RESULTS/NAME.json             figures, each fold by the teacher that never heard it

examples:
  edge-ser teach recipes/teacher-ravdess.toml --encoder openai/whisper-base
  edge-ser teach recipes/teacher-ravdess.toml --encoder models/faster-whisper-base
  edge-ser teach recipes/teacher-ravdess-attentive.toml --encoder openai/whisper-base
  edge-ser teach recipes/teacher-ravdess-attentive.toml --encoder openai/whisper-base --fold 2
"""
    parser.add_argument("recipe", type=Path, help="TOML file")
    parser.add_argument(
        "--encoder",
        required=True,
        metavar="SOURCE",
        help="Whisper, WavLM, wav2vec 2.0 or HuBERT: a folder of transformers or faster-whisper, or a hub name",
    )
    parser.add_argument(
        "--fold",
        type=int,
        help="only what students of this held-out fold need, for processes side by side; figures in NAME-foldF.json",
    )
    add_changes(parser)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder for teachers (default runs)")
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="folder for figures (default results)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    require("torch", extra="train", purpose="teaching")
    from edge_ser.training.teach import TeachRecipe, figures_name, run_teacher

    recipe = TeachRecipe.read(args.recipe, args.changes)
    check_place(args.results / figures_name(recipe, args.fold))
    try:
        figures = run_teacher(recipe, args.encoder, args.runs, args.results, only=args.fold)
    except KeyboardInterrupt:
        print(
            f"\nstopped; what was heard is kept in {args.runs / 'cache'}, what was learnt in "
            f"{args.runs / recipe.name}: the same command goes on",
            file=sys.stderr,
        )
        return 130
    print_figures(figures)
    print(f"teachers and targets: {args.runs / recipe.name}", file=sys.stderr)
    print(f"figures: {args.results / figures_name(recipe, args.fold)}.json", file=sys.stderr)
    return 0
