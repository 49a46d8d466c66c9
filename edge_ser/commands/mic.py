"""``edge-ser mic``: is the microphone healthy?"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack, closing
from typing import Any

from edge_ser.audio import SAMPLE_RATE
from edge_ser.commands._arguments import add_microphone_arguments, refuse_heard
from edge_ser.errors import EdgeSerError
from firmware_py.health import Checkup
from firmware_py.recorder import open_recorder
from firmware_py.sources import open_source
from firmware_py.stop import stop_on_signals

__all__ = ["add_arguments", "run"]

_WORDS = {
    "seconds": ("heard", "{} s"),
    "floor_db": ("noise floor", "{} dBFS"),
    "loud_db": ("loudest", "{} dBFS"),
    "peak_db": ("peak", "{} dBFS"),
    "clipped": ("clipped", "{} samples"),
    "dc": ("direct current", "{} of full scale"),
    "nominal_rate": ("rate it says", "{} Hz"),
    "rate": ("rate it gives", "{} Hz"),
    "lost_samples": ("lost", "{} samples"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the command's arguments."""
    parser.description = (
        "Hear a microphone for ten seconds and say how healthy it is. Speak while it listens."
    )
    parser.epilog = (
        "Exit status: 0 healthy, 1 not.\n\n"
        "examples:\n"
        "  edge-ser mic                             the default microphone\n"
        "  edge-ser mic mic:usb --save heard.wav    and keep what was heard, to listen to (aplay heard.wav)\n"
        "  edge-ser mic arecord:plughw:1 -o json    through arecord, for a program\n"
    )
    parser.add_argument("source", nargs="?", default="mic", metavar="SOURCE", help="as of `edge-ser listen`")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="default %(default)s")
    parser.add_argument("--save", metavar="FILE", help="keep what is heard as a WAV file")
    add_microphone_arguments(parser)
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="default text")


def run(args: argparse.Namespace) -> int:
    """Hear and judge; 1 where something is wrong."""
    if not 1 <= args.seconds <= 3600:
        raise EdgeSerError(f"--seconds {args.seconds:g} is not between 1 and 3600")
    if args.save is not None:
        refuse_heard("--save", args.save, args.source)
    check = Checkup()
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        source = stack.enter_context(closing(open_source(args.source, rate=args.rate, channel=args.channel)))
        recorder = stack.enter_context(closing(open_recorder(args.save))) if args.save is not None else None
        devices = getattr(source, "devices", [])
        for block in source.blocks(stop):
            check.add(block)
            if recorder is not None:
                recorder.write(block.samples, block.lost)
            _meter(check)
            if check.heard + check.lost >= args.seconds * SAMPLE_RATE:
                stop.request("duration")
        name = source.name
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    report = {"source": name, **check.to_json(devices), "saved": args.save}
    if args.output == "json":
        print(json.dumps(report, indent=2))
    else:
        _tell(report)
    return 0 if report["ok"] else 1


def _meter(check: Checkup) -> None:
    """A level meter on a terminal."""
    if sys.stderr.isatty():
        share = min(1.0, max(0.0, (check.level + 70) / 70))
        bar = ("#" * round(share * 40)).ljust(40, ".")
        print(f"\r{bar} {check.level:6.1f} dBFS", end="", file=sys.stderr, flush=True)


def _tell(report: dict[str, Any]) -> None:
    print(report["source"])
    for key, (name, form) in _WORDS.items():
        print(f"  {name:16}" + (form.format(report[key]) if report[key] is not None else "too short to tell"))
    for text in report["events"]:
        print(f"  event           {text}")
    if report["saved"]:
        print(f"  saved           {report['saved']}")
    print(
        "healthy" if report["ok"] else "\n".join(f"NOT healthy: {problem}" for problem in report["problems"])
    )
