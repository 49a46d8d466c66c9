"""Capture: a bounded ring between the audio driver's callback and the worker that drains it."""

from __future__ import annotations

from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Capture", "Chunk"]


class Chunk(NamedTuple):
    """What the worker gets: one callback's samples.

    Attributes
    ----------
    samples : (n, channels) int16 or float32
        The caller's own copy; empty only at the end.
    arrival : float
        `time.monotonic` when the callback had the last of them.
    stamp : float
        The driver's time of the first of them, by a clock of its own; 0 where it tells none.
    overflow : bool
        The driver says that it dropped something before them.
    dropped : int
        Samples that found the ring full before them.
    end : bool
        Nothing comes after this.
    """

    samples: np.ndarray
    arrival: float
    stamp: float = 0.0
    overflow: bool = False
    dropped: int = 0
    end: bool = False


class Capture:
    """A ring of samples with one producer and one consumer.

    The producer (`write`, `end`) is the audio callback: it copies into memory that is there, notes the driver's words
    and returns; it waits for nobody and decides nothing. When the ring is full the whole block is dropped and counted.
    The consumer is `read`.

    Parameters
    ----------
    capacity : int
        Samples (of each channel) that the ring holds; what comes while the worker is busy for longer is lost.
    channels : int
        Interleaved channels.
    dtype : {"int16", "float32"}
        Of the samples, in native order.
    """

    def __init__(self, capacity: int, channels: int = 1, dtype: str = "int16") -> None:
        if capacity < 1 or channels < 1:
            raise ValueError(f"capacity and channels must be at least 1, not {capacity} and {channels}")
        self._ring = np.zeros((capacity, channels), dtype)
        # Both grow for ever, each has one writer; their difference is the fill.
        self._written = 0
        self._read = 0
        self._dropped = 0
        self._overflow = False
        # SimpleQueue.put neither waits nor takes a lock that the consumer holds while it works. It is as bounded as
        # the ring: an entry stands for at least one sample in it.
        self._marks: SimpleQueue[tuple[int, float, float, bool, int, bool]] = SimpleQueue()

    @property
    def filled(self) -> int:
        """Samples waiting for the worker."""
        return self._written - self._read

    def write(self, data: Any, arrival: float, stamp: float = 0.0, overflow: bool = False) -> None:
        """Producer: take a block.

        Parameters
        ----------
        data : buffer
            Interleaved samples; valid during the call only.
        arrival : float
            `time.monotonic` now.
        stamp, overflow
            See `Chunk`.
        """
        capacity, channels = self._ring.shape
        samples = np.frombuffer(data, self._ring.dtype).reshape(-1, channels)
        count = len(samples)
        if count > capacity - (self._written - self._read):
            self._dropped += count
            self._overflow |= overflow
            return
        if count == 0:
            self._overflow |= overflow
            return
        at = self._written % capacity
        first = min(count, capacity - at)
        self._ring[at : at + first] = samples[:first]
        self._ring[: count - first] = samples[first:]
        self._written += count
        self._mark(arrival, stamp, self._overflow or overflow, end=False)

    def end(self, arrival: float) -> None:
        """Producer: no block comes after this; what was dropped since the last block is still told."""
        self._mark(arrival, 0.0, self._overflow, end=True)

    def _mark(self, arrival: float, stamp: float, overflow: bool, *, end: bool) -> None:
        dropped, self._dropped, self._overflow = self._dropped, 0, False
        self._marks.put((self._written, arrival, stamp, overflow, dropped, end))

    def read(self, timeout: float) -> Chunk | None:
        """Consumer: the oldest block, or None when none came within `timeout` seconds."""
        try:
            upto, arrival, stamp, overflow, dropped, end = self._marks.get(timeout=timeout)
        except Empty:
            return None
        capacity, channels = self._ring.shape
        count, at = upto - self._read, self._read % capacity
        samples = np.empty((count, channels), self._ring.dtype)
        first = min(count, capacity - at)
        samples[:first] = self._ring[at : at + first]
        samples[first:] = self._ring[: count - first]
        self._read = upto  # only now may the producer write there
        return Chunk(samples, arrival, stamp, overflow, dropped, end)
