"""Capture: a bounded ring between the audio driver's callback and the worker that drains it."""

from __future__ import annotations

from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import numpy as np

from .ledger import DRIVER, RING

__all__ = ["Capture", "Chunk"]


class Chunk(NamedTuple):
    """What the worker gets: one callback's samples.

    Attributes
    ----------
    samples : (n,) int16
        The caller's own copy; empty only at the end.
    arrival : float
        `time.monotonic` when the callback had the last of them.
    lost : dict of str to int
        Samples lost just before them, by place.
    end : bool
        Nothing comes after this.
    """

    samples: np.ndarray
    arrival: float
    lost: dict[str, int]
    end: bool


class Capture:
    """A ring of int16 samples with one producer and one consumer.

    The producer (`write`, `end`) is the audio callback: it copies into memory that is there, books and returns; it
    never waits. When the ring is full the whole block is dropped and counted. The consumer is `read`.

    Parameters
    ----------
    capacity : int
        Samples that the ring holds; what comes while the worker is busy for longer than that is lost.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1 sample, not {capacity}")
        self._ring = np.zeros(capacity, np.int16)
        # Both grow for ever, each has one writer; their difference is the fill.
        self._written = 0
        self._read = 0
        self._lost_before: dict[str, int] = {}
        # SimpleQueue.put neither waits nor takes a lock that the consumer holds while it works. It is as bounded as
        # the ring: an entry stands for at least one sample in it.
        self._marks: SimpleQueue[tuple[int, float, dict[str, int], bool]] = SimpleQueue()

    @property
    def filled(self) -> int:
        """Samples waiting for the worker."""
        return self._written - self._read

    def write(self, data: Any, arrival: float, driver_lost: int = 0) -> None:
        """Producer: take a block.

        Parameters
        ----------
        data : buffer
            16-bit samples in native order; valid during the call only.
        arrival : float
            `time.monotonic` now.
        driver_lost : int
            Samples that the driver says it dropped before this block.
        """
        if driver_lost:
            self._book(DRIVER, driver_lost)
        samples = np.frombuffer(data, np.int16)
        count, capacity = len(samples), len(self._ring)
        if count > capacity - (self._written - self._read):
            self._book(RING, count)
            return
        if count == 0:
            return
        at = self._written % capacity
        first = min(count, capacity - at)
        self._ring[at : at + first] = samples[:first]
        self._ring[: count - first] = samples[first:]
        self._written += count
        lost, self._lost_before = self._lost_before, {}
        self._marks.put((self._written, arrival, lost, False))

    def end(self, arrival: float) -> None:
        """Producer: no block comes after this; losses since the last block are still told."""
        lost, self._lost_before = self._lost_before, {}
        self._marks.put((self._written, arrival, lost, True))

    def read(self, timeout: float) -> Chunk | None:
        """Consumer: the oldest block, or None when none came within `timeout` seconds."""
        try:
            upto, arrival, lost, end = self._marks.get(timeout=timeout)
        except Empty:
            return None
        capacity = len(self._ring)
        count, at = upto - self._read, self._read % capacity
        samples = np.empty(count, np.int16)
        first = min(count, capacity - at)
        samples[:first] = self._ring[at : at + first]
        samples[first:] = self._ring[: count - first]
        self._read = upto  # only now may the producer write there
        return Chunk(samples, arrival, lost, end)

    def _book(self, place: str, samples: int) -> None:
        self._lost_before[place] = self._lost_before.get(place, 0) + samples
