"""``edge-ser devices``: the microphones that can be heard."""

from __future__ import annotations

import argparse
import dataclasses
import sys

from edge_ser.commands._output import add_output_argument, write_table
from firmware_py.devices import input_devices

__all__ = ["add_arguments", "run"]

_COLUMNS = {
    "index": "number",
    "name": "name",
    "host": "through",
    "channels": "channels",
    "sample_rate": "Hz",
    "default": "default",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the command's arguments."""
    parser.description = (
        "List the microphones; `edge-ser listen mic:NAME` hears the one with NAME in its name."
    )
    parser.epilog = (
        "examples:\n"
        "  edge-ser devices                 a table\n"
        "  edge-ser devices -o json         the same for a program\n"
        "  edge-ser listen mic:usb          the one with usb in its name\n"
        "  edge-ser listen mic:2            the one with number 2\n"
    )
    add_output_argument(parser)


def run(args: argparse.Namespace) -> int:
    """List them; 0 also when there is none."""
    devices = [dataclasses.asdict(device) for device in input_devices()]
    if devices or args.output != "md":
        write_table(devices, args.output, columns=_COLUMNS, document={"devices": devices})
    if not devices:
        print("edge-ser: no microphone was found; plug one in", file=sys.stderr)
    return 0
