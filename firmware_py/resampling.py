"""From a microphone's own rate to 16 kHz, with an exact account of where each sample of either rate lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edge_ser.audio import SAMPLE_RATE
from edge_ser.errors import require

__all__ = ["Timeline"]

_FULL = np.float32(32768)


class Timeline:
    """One microphone's stream on the 16 kHz time line.

    After `n` samples of the device, lost ones counted, the time line stands at ``round(n * 16000 / rate)``, whatever
    the pieces were and wherever the gaps lay: rounding never adds up. What is given lies on the grid of 16-bit
    samples, so that a recording of it is exact.

    Parameters
    ----------
    rate : int
        The device's samples a second.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._native = 0
        self._given = 0  # samples of 16 kHz given or told as lost
        self._soxr = None
        if rate != SAMPLE_RATE:
            self._soxr = require(
                "soxr", extra="audio", purpose=f"bringing a microphone's {rate} Hz to {SAMPLE_RATE} Hz"
            )
        self._stream: Any = None

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take the device's next samples, (n,) int16 or float32, and give what they complete, (m,) float32."""
        self._native += len(samples)
        whole = samples.dtype == np.int16
        if whole:
            samples = samples.astype(np.float32) / _FULL
        if self._soxr is None:
            self._given += len(samples)
            return samples if whole else _on_grid(samples)
        if self._stream is None:
            self._stream = self._soxr.ResampleStream(self.rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
        return self._out(self._stream.resample_chunk(samples))

    def flush(self) -> np.ndarray:
        """Give what the resampler still holds: the stream ends or has a gap here."""
        if self._stream is None:
            return np.empty(0, np.float32)
        rest = self._stream.resample_chunk(np.empty(0, np.float32), last=True)
        self._stream = None
        owed = self._at(self._native) - self._given
        if len(rest) < owed:  # a rounding apart from ours, half a sample at most: the last one lasts
            rest = np.pad(rest, (0, owed - len(rest)), mode="edge" if len(rest) else "constant")
        return self._out(rest[:owed])

    def skip(self, lost: Mapping[str, int]) -> dict[str, int]:
        """Samples of the device lost by place, after a `flush`; the same in samples of 16 kHz."""
        here = {}
        for place, samples in lost.items():
            self._native += samples
            upto = self._at(self._native)
            here[place] = upto - self._given
            self._given = upto
        return here

    def _at(self, native: int) -> int:
        return (2 * native * SAMPLE_RATE + self.rate) // (2 * self.rate)

    def _out(self, samples: np.ndarray) -> np.ndarray:
        self._given += len(samples)
        return _on_grid(samples)


def _on_grid(samples: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(samples * _FULL), -_FULL, _FULL - 1) / _FULL
