"""Arguments that several commands take alike."""

from __future__ import annotations

import argparse
import math

__all__ = ["add_microphone_arguments", "count", "finite"]


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


def _channel(text: str) -> int | str:
    if text != "mix" and not (text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"a channel's number from 1 on, or mix, not {text!r}")
    return text if text == "mix" else int(text)
