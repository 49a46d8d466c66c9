"""``edge-ser models``: what can be run."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from edge_ser.bundle import Bundle, bundle_names, load_bundle
from edge_ser.commands._output import add_output_argument, write_table
from edge_ser.errors import EdgeSerError, require

__all__ = ["add_arguments", "run"]

_COLUMNS = {
    "name": "model",
    "parameters": "parameters",
    "macs_per_second": "MAC/s",
    "kb": "KB",
    "variants": "runs as",
    "labels": "emotions",
    "figure": "UAR",
    "licence": "licence",
    "error": "error",
}

_NETWORK_COLUMNS = {
    "name": "network",
    "parameters": "parameters",
    "frozen": "frozen",
    "buffers": "buffers",
    "per_class": "each emotion",
    "hidden": "hidden",
    "macs_per_second": "MAC/s",
    "largest": "largest tensor",
    "streams": "streams",
    "exports": "exports",
    "about": "what it is",
    "why_not": "why it is not exported, or how else",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "List the models that come with the package, or look into bundles of your own. All files are checked; a "
        "damaged bundle is listed with what is wrong, and the exit status is 1; one that is named alone ends in a "
        "sentence, with status 2."
    )
    parser.epilog = (
        "examples:\n"
        "  edge-ser models                what comes with the package\n"
        "  edge-ser models ./my-bundle    one of yours\n"
        "  edge-ser models -o json        everything that is known of them\n"
        "  edge-ser models --networks     the networks that can be trained, and what they cost\n"
    )
    parser.add_argument(
        "bundles", nargs="*", metavar="MODEL", help="names or folders (default: all that came along)"
    )
    parser.add_argument(
        "--networks",
        action="store_true",
        help="list the networks and classifiers that can be trained instead: parameters with the arousal, dominance "
        "and valence head alone and what each emotion adds; multiply-accumulates a second; the largest tensor in fp32 "
        "of one inference, which is a step of a network that streams and 5 s for the others; whether a checkpoint can "
        "be exported, and else why not (needs torch)",
    )
    add_output_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Do it; 1 when one is damaged."""
    if args.networks:
        return _networks(args)
    rows: list[dict[str, Any]] = []
    damaged = False
    for name in args.bundles or bundle_names():
        try:
            rows.append(_row(load_bundle(name)))
        except EdgeSerError as error:
            if args.bundles and len(args.bundles) == 1:
                raise
            damaged = True
            rows.append({"name": name, "error": str(error)})
    if not rows:
        print("no model comes with this installation; name a bundle folder", file=sys.stderr)
    columns = {key: head for key, head in _COLUMNS.items() if any(row.get(key) is not None for row in rows)}
    write_table(rows, args.output, columns=columns, document={"models": rows})
    return 1 if damaged else 0


def _networks(args: argparse.Namespace) -> int:
    if args.bundles:
        raise EdgeSerError("--networks lists the networks that can be trained; name no model with it")
    require("torch", extra="train", purpose="counting networks")
    from edge_ser.models import describe

    rows = describe()
    if args.output == "md":
        rows = [
            row | {"largest": f"{row['activation_bytes'] / 1024:.0f} KB"}
            if "activation_bytes" in row
            else row
            for row in rows
        ]
    write_table(rows, args.output, columns=_NETWORK_COLUMNS, document={"networks": rows})
    return 0


def _row(bundle: Bundle) -> dict[str, Any]:
    model_files = [file for file in bundle.files if file.engine is not None]
    return {
        "name": bundle.name,
        "path": str(bundle.path),
        "architecture": bundle.architecture,
        "parameters": bundle.parameters,
        "macs_per_second": bundle.macs_per_second,
        "kb": round(min(file.bytes for file in model_files) / 1024, 1),
        "variants": [f"{file.engine} {file.precision}" for file in model_files],
        "preferred": dict(bundle.preferred),
        "labels": list(bundle.labels),
        "figure": _figure(bundle),
        "figures": list(bundle.figures),
        "licence": bundle.licence,
        "error": None,
    }


def _figure(bundle: Bundle) -> str | None:
    """The first UAR that the bundle records, with its corpus."""
    for figure in bundle.figures:
        uar = figure.get("uar")
        mean = uar.get("mean") if isinstance(uar, dict) else uar
        if isinstance(mean, int | float):
            return f"{mean:.3f} on {figure.get('corpus', '?')}"
    return None
