"""``edge-ser compare``: two evaluations of the same clips, side by side."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_ser.commands._output import add_output_argument, write_table

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Figures of B less those of A on the clips that both answered, with an interval over speakers and the chance "
        "(p) that two equal models lie so far apart: a paired randomisation test over speakers. Of several "
        "seeds those that both have are compared."
    )
    parser.epilog = """\
examples:
  edge-ser evaluate --corpus ravdess --checkpoints runs/a --report out/a
  edge-ser evaluate --corpus ravdess --checkpoints runs/b --report out/b
  edge-ser compare out/a out/b
"""
    parser.add_argument("a", type=Path, metavar="A", help="folder of a report, or its predictions.json")
    parser.add_argument("b", type=Path, metavar="B", help="the other")
    add_output_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from edge_ser.evaluation.answers import Answers
    from edge_ser.evaluation.paired import compare

    a, b = Answers.read(args.a), Answers.read(args.b)
    result = compare(a, b)
    rows = [{"figure": name, **row} for name, row in result.items() if isinstance(row, dict) and "p" in row]
    if args.output == "md":
        print(f"A: {a.about['model']}, {a.about['protocol']}\nB: {b.about['model']}, {b.about['protocol']}")
        print(
            f"{result['clips']} clips of {result['speakers']} speakers; "
            f"{result['only_a']} only in A, {result['only_b']} only in B have no part\n{_of_seeds(result['seeds'])}\n"
        )
    write_table(rows, args.output, document=result)
    return 0


def _of_seeds(seeds: Mapping[str, Sequence[int]]) -> str:
    """Which seeds of the two stand side by side."""
    a, b = (", ".join(map(str, seeds[one])) for one in ("a", "b"))
    if "compared" not in seeds:
        return f"A is of seed {a}, B of seed {b}"
    compared = ", ".join(map(str, seeds["compared"]))
    return f"A is of the seeds {a}, B of {b}; compared are the answers of {compared}"
