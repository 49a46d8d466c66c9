"""``edge-ser average``: one network whose weights are the mean of several."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge_ser.errors import EdgeSerError, require
from edge_ser.files import check_place

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Average the weights of networks that went on from one start (model soups, arXiv 2203.05482), or of one and "
        "its start (arXiv 2109.01903): no larger than one of them, and often better than each. They have one shape, "
        "and heard the same recordings. "
        "Networks that began apart have no mean worth having, which no file shows: evaluate what comes out."
    )
    parser.epilog = """\
examples:
  edge-ser average runs/{loud,noisy}/fold0-seed0.safetensors --out runs/both/fold0-seed0.safetensors
  edge-ser average runs/rough/fold0-seed0.safetensors runs/start/fold0-seed0.safetensors --weights 3,1 \\
      --out runs/between/fold0-seed0.safetensors
  edge-ser evaluate --corpus ravdess --checkpoints runs/both --fold 0
"""
    parser.add_argument(
        "checkpoints", nargs="+", type=Path, metavar="CHECKPOINT", help="two or more .safetensors files"
    )
    parser.add_argument(
        "--weights", type=_weights, metavar="W,W", help="how much each counts, above 0 (default: all alike)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the mean goes")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    require("torch", extra="train", purpose="averaging networks")
    from edge_ser.models.averaging import average_checkpoints
    from edge_ser.models.checkpoint import save_checkpoint

    if args.out.exists() and not args.overwrite:
        raise EdgeSerError(f"{args.out} exists: give another name, or --overwrite")
    check_place(args.out)
    model, meta = average_checkpoints(args.checkpoints, args.weights)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(args.out, model, meta)
    print(args.out)
    print(f"mean of {len(args.checkpoints)} networks", file=sys.stderr)
    return 0


def _weights(text: str) -> list[float]:
    try:
        return [float(one) for one in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"numbers with commas between them, such as 3,1, not {text!r}"
        ) from None
