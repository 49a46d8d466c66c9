"""What every source gives: timed blocks of 16 kHz mono."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from .events import Event
from .stop import Stop

__all__ = ["Block", "Source"]


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of audio.

    Attributes
    ----------
    samples : (n,) float32
        16 kHz mono in -1..1.
    arrival : float
        `time.monotonic` when the last of them was there to be taken.
    lost : mapping of str to int
        Samples lost just before them, by place (see `Ledger`).
    events : tuple of Event
        What happened before them. A source that waits for a microphone gives blocks without samples, so that whoever
        listens sees that it lives.
    """

    samples: np.ndarray
    arrival: float
    lost: Mapping[str, int] = field(default_factory=dict)
    events: tuple[Event, ...] = ()


class Source(Protocol):
    """Something that can be heard."""

    @property
    def name(self) -> str:
        """What it is, for people."""

    @property
    def live(self) -> bool:
        """Its audio comes at its own pace, and goes on until somebody ends it."""

    def blocks(self, stop: Stop) -> Iterator[Block]:
        """The audio, once, until it ends or `stop` is requested.

        Raises
        ------
        EdgeSerError
            It cannot be heard, or breaks off.
        """

    def close(self) -> None:
        """Let go of the file or the device; further calls do nothing."""
