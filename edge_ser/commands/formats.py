"""``edge-ser formats``: what a checkpoint can be exported to."""

from __future__ import annotations

import argparse
from importlib.util import find_spec

from edge_ser.commands._output import add_output_argument, write_table

__all__ = ["add_arguments", "run"]

_COLUMNS = {
    "format": "format",
    "precision": "precision",
    "engine": "engine",
    "forms": "forms",
    "file": "file",
    "limit": "limit",
    "mean_limit": "mean",
    "available": "can be made here",
    "device": "for",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "List the formats of `edge-ser export`: the engine that runs each, the file it becomes in the bundle, the "
        "largest error (and the largest mean error) against the trained model that is let pass, and what it is for."
    )
    parser.epilog = (
        "examples:\n  edge-ser formats            a table\n  edge-ser formats -o json    for a program\n"
    )
    add_output_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Do it."""
    from export.formats import FORMATS

    rows = []
    for row in FORMATS:
        missing = [package for package in row.needs if find_spec(package) is None]
        rows.append(
            {
                "format": row.name,
                "precision": row.precision,
                "forms": list(row.forms),
                "why_not": row.why_not,
                "engine": row.engine,
                "file": row.file,
                "limit": row.limit.largest,
                "mean_limit": row.limit.mean,
                "agreement_limit": row.limit.agreement,
                "method": row.method,
                "needs": list(row.needs),
                "missing": missing,
                "available": not missing,
                "device": row.device,
            }
        )
    write_table(rows, args.output, columns=_COLUMNS, document={"formats": rows})
    return 0
