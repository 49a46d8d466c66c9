#!/usr/bin/env python3
"""Copy the folds' checkpoints of a run in half precision, as they are kept under results/.

    scripts/halve_checkpoints.py runs/ravdess-session results/ravdess-session

`edge-ser evaluate --checkpoints` takes them as they are; their figures are those of the originals but for rounding.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.folds import fold_checkpoints
from edge_ser.files import check_place
from edge_ser.models.checkpoint import load_checkpoint, save_checkpoint


def main() -> int:
    """Copy them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="folder with foldF-seedS.safetensors")
    parser.add_argument("target", type=Path, help="folder for the copies")
    args = parser.parse_args()
    try:
        found = fold_checkpoints(args.source)
        if args.target.resolve() == args.source.resolve():
            raise EdgeSerError(
                f"{args.target} holds the originals, which the copies would replace: name another"
            )
        check_place(args.target / "copy")
        args.target.mkdir(parents=True, exist_ok=True)
        for path in found.values():
            save_checkpoint(args.target / path.name, *load_checkpoint(path), half=True)
            print(args.target / path.name)
    except EdgeSerError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
