"""``edge-ser verify``: prove that a bundle gives the trained model's answers here."""

from __future__ import annotations

import argparse
import math
import sys

from edge_ser.bundle import DEFAULT_MODEL, load_bundle
from edge_ser.commands._output import add_output_argument, write_table
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.parity import hard_sounds, recordings
from edge_ser.evaluation.verification import Check, verify_bundle

__all__ = ["add_arguments", "run"]

_COLUMNS = {
    "name": "check",
    "engine": "engine",
    "precision": "precision",
    "max_abs_error": "max error",
    "limit": "limit",
    "ok": "ok",
    "note": "",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Run every engine and precision of a bundle against torch (or, where torch is not installed, against "
        "the NumPy engine), streaming against one pass, and each engine against itself with the audio cut into "
        "chunks of many sizes. A check that fails gives exit status 1."
    )
    parser.epilog = (
        "examples:\n"
        "  edge-ser verify                        the model that comes with the package\n"
        "  edge-ser verify ./my-bundle a.wav      a bundle of yours, on your recording\n"
        "  edge-ser verify --minutes 60           does an hour of streaming drift?\n"
        "  edge-ser verify -o json                for a program\n"
    )
    parser.add_argument(
        "model", nargs="?", default=DEFAULT_MODEL, metavar="MODEL", help="name or bundle folder"
    )
    parser.add_argument(
        "audio", nargs="*", metavar="FILE", help="sound files to check on besides our own sounds"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        help="use this much of each recording (default 60)",
        metavar="S",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="larger chunks and a shorter drift, for slow boards and emulators",
    )
    parser.add_argument(
        "--minutes", type=int, metavar="N", help="stream so many for the drift (default 10, with --quick 3)"
    )
    add_output_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Do it; 1 when a check failed."""
    bundle = load_bundle(args.model)
    if not bundle.step_s <= args.seconds < math.inf:
        raise EdgeSerError(
            f"--seconds {args.seconds:g} of each recording cannot be heard; give {bundle.step_s:g} or more, a "
            "model's step"
        )
    sounds = hard_sounds(sample_rate=bundle.spec.sample_rate)
    sounds |= recordings(args.audio, args.seconds)
    checks = verify_bundle(bundle, sounds, _report, quick=args.quick, minutes=args.minutes)
    ok = all(check.ok is not False for check in checks)
    rows = [check.to_dict() for check in checks]
    write_table(
        rows, args.output, columns=_COLUMNS, document={"model": bundle.name, "checks": rows, "ok": ok}
    )
    return 0 if ok else 1


def _report(check: Check) -> None:
    if check.ok is not True:
        what = " ".join(filter(None, (check.name, check.engine, check.precision)))
        word = "not checked" if check.ok is None else "FAILED"
        print(f"{what}: {word}: {check.note}", file=sys.stderr)
