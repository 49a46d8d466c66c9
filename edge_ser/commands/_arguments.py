"""Arguments that several commands take alike."""

from __future__ import annotations

import argparse
import math
import os

from edge_ser.errors import EdgeSerError

__all__ = ["add_microphone_arguments", "count", "finite", "refuse_heard"]


def add_microphone_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a command ``--rate`` and ``--channel``: how a microphone is opened, and which of its channels is heard."""
    parser.add_argument(
        "--rate", type=int, metavar="HZ", help="open the microphone with this rate (default: what suits it)"
    )
    parser.add_argument(
        "--channel",
        type=_channel,
        metavar="N|mix",
        help="hear this channel of the microphone, or their mean (default 1); a file's are always mixed",
    )


def finite(text: str) -> float:
    """A number, neither infinite nor NaN; for ``type=``."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"a finite number, not {text!r}")
    return number


def count(text: str) -> int:
    """A whole number from 1 on; for ``type=``."""
    if not (text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"a whole number from 1 on, not {text!r}")
    return int(text)


def refuse_heard(option: str, file: str, source: str) -> None:
    """Refuse to write over the sound file that is heard: `EdgeSerError`."""
    if os.path.exists(source) and os.path.exists(file) and os.path.samefile(source, file):
        raise EdgeSerError(f"{option} {file} is the file that is heard; name another")


def _channel(text: str) -> int | str:
    if text != "mix" and not (text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"a channel's number from 1 on, or mix, not {text!r}")
    return text if text == "mix" else int(text)
