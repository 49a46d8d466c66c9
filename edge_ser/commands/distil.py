"""``edge-ser distil``: students from a recipe with a teacher."""

from __future__ import annotations

import argparse

from edge_ser.commands.train import add_recipe_arguments, run_recipe_of

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Train the students of a recipe on labels and on what a teacher says of the same sounds. The teacher's targets "
        "are made before, by edge-ser teach or edge-ser label. Stop it at any time; the same command goes on."
    )
    parser.epilog = """\
writes what edge-ser train writes.

A recipe with a teacher is one of edge-ser train with two or three tables more:
  [distil]   targets = "runs/teacher-ravdess/fold{fold}"  views = 9  soft = 0.5  temperature = 1.0  hint = 0.5
  [perturb]  how the views beyond the clip itself sound; the same as in the teacher's recipe, or its name in the table's
             place, before the tables: perturb = "teacher-ravdess.toml"
  [live]     views = 32  others = ["emodb"]   in the place of targets and [beside]: views and a teacher are made at the
             beginning of the run, best on an accelerator (--encoder, --device)
  [beside]   corpora = ["emodb"]  targets = "runs/teacher-others/all"   other corpora, so that few speakers are not
             learnt by heart

examples:
  edge-ser teach recipes/teacher-ravdess.toml --encoder openai/whisper-base     first: the teacher, and what it says
  edge-ser distil recipes/ravdess-distil.toml
  edge-ser distil recipes/ravdess-distil.toml --fold 2 --seed 1
  edge-ser distil recipes/ravdess-live.toml --encoder openai/whisper-base --device cuda    no edge-ser teach before
"""
    add_recipe_arguments(parser)
    parser.add_argument(
        "--encoder",
        default="",
        metavar="FOLDER|NAME",
        help="of a recipe with [live]: the Whisper that its teacher hears with, a folder or a name on the hub",
    )
    parser.add_argument(
        "--device",
        default="cpu",
        help="of a recipe with [live]: where it is trained, such as cuda (default cpu)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    return run_recipe_of(args, distil=True)
