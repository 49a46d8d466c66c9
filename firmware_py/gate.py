"""The gate: is there somebody to hear? By level alone, or by level in the bands of voices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge_ser.dsp import MelSpec
from edge_ser.dsp.filters import mel_filters
from edge_ser.errors import EdgeSerError

__all__ = ["FLOOR_DB", "Gate", "LevelGate", "MelGate", "Reading", "level_db"]

FLOOR_DB = -120.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What a gate says of one step.

    Attributes
    ----------
    open : bool
        Somebody is heard.
    level_db : float
        Root mean square of the step in dBFS, `FLOOR_DB` at least.
    """

    open: bool
    level_db: float


class Gate(Protocol):
    """Decides on each step.

    The model runs on every step whatever the gate says, or, where it may doze, catches up when the gate opens (see
    `firmware_py.doze`): either way its state is exact.
    """

    def push(self, step: np.ndarray, features: np.ndarray) -> Reading:
        """Say whether somebody is heard in the next step.

        Parameters
        ----------
        step : (n,) float32
            Its samples in -1..1.
        features : (frames, mels) float32
            Its log-mel, as the model gets it.
        """


def level_db(samples: np.ndarray) -> np.ndarray:
    """Root mean square along the last axis in dBFS, `FLOOR_DB` at least; silence is `FLOOR_DB`."""
    power = np.mean(np.square(samples, dtype=np.float64), axis=-1)
    return np.maximum(10 * np.log10(np.maximum(power, 1e-30)), FLOOR_DB)


class LevelGate:
    """Opens on level and stays open over the pauses between words.

    The level of each hop is compared with a threshold: the larger of `open_db` and `above_floor_db` over the noise
    floor. The floor is the quietest hop of the last `floor_s`, so that steady noise closes the gate and a first word
    opens it at once. Two hops in a row over the threshold open it (a click does not); it closes when no hop has been
    over the threshold less 3 dB for `hang_s`.

    Parameters
    ----------
    hop : int
        Samples of a level measurement; a step is a whole number of them.
    sample_rate : int
        Hz.
    open_db : float
        Nothing below this level, in dBFS, counts as somebody speaking.
    above_floor_db : float
        Nor does what stands out of the noise floor by less than this.
    hang_s : float
        How long the gate stays open after the last loud hop.
    floor_s : float
        How far back the noise floor looks.
    """

    _CLOSE_BELOW_DB = 3.0

    def __init__(
        self,
        hop: int,
        sample_rate: int,
        *,
        open_db: float = -55.0,
        above_floor_db: float = 9.0,
        hang_s: float = 0.6,
        floor_s: float = 10.0,
    ) -> None:
        self._hop = hop
        self._open_db, self._above_floor_db = open_db, above_floor_db
        self._hang = max(1, round(hang_s * sample_rate / hop))
        self._quiet_since = self._hang  # hops without a loud one; closed from `_hang` on
        self._loud_run = 0
        self._open = False
        # The floor is kept as minima of whole stretches, so a step costs no scan of ten seconds of hops.
        self._stretch_hops = max(1, round(floor_s * sample_rate / hop / 10))
        self._minima = [math.inf] * 10
        self._floor = math.inf
        self._seen = 0

    @property
    def floor_db(self) -> float:
        """The noise floor in dBFS; infinite before the first hop."""
        return self._floor

    def push(self, step: np.ndarray, features: np.ndarray | None = None) -> Reading:
        """Take a step's samples; it counts as speech when the gate was open at any hop of it."""
        heard = False
        for level in level_db(step.reshape(-1, self._hop)).tolist():
            heard |= self._push_level(level)
        return Reading(heard, float(level_db(step)))

    def _push_level(self, level: float) -> bool:
        # Digital silence tells nothing of the room: a muted microphone must not make its first noise stand out.
        if level > FLOOR_DB:
            slot = self._seen // self._stretch_hops % len(self._minima)
            if self._seen % self._stretch_hops == 0:
                self._minima[slot] = level
                self._floor = min(self._minima)
            elif level < self._minima[slot]:
                self._minima[slot] = level
                self._floor = min(self._floor, level)
            self._seen += 1
        floor = self._floor
        threshold = max(self._open_db, floor + self._above_floor_db) if floor < math.inf else self._open_db
        if self._open:
            loud = level >= threshold - self._CLOSE_BELOW_DB
            self._quiet_since = 0 if loud else self._quiet_since + 1
            self._open = self._quiet_since < self._hang
        else:
            self._loud_run = self._loud_run + 1 if level >= threshold else 0
            self._open = self._loud_run >= 2
            if self._open:
                self._quiet_since = self._loud_run = 0
        return self._open


class MelGate(LevelGate):
    """The same by what the model itself is given: the level of the bands in which voices lie.

    A fan's rumble, mains hum and hiss above the voice neither open it nor raise its floor.

    Parameters
    ----------
    spec : MelSpec
        The model's front end; its `log` must be ``"db"``.
    low_hz, high_hz : float
        Bands whose centres lie within count.
    **options
        Of `LevelGate`; levels are of the bands' mean power, some 20 dB lower than those of the samples.
    """

    def __init__(
        self, spec: MelSpec, *, low_hz: float = 250.0, high_hz: float = 4000.0, **options: float
    ) -> None:
        if spec.log != "db":
            raise EdgeSerError(
                f"the gate 'mel' reads decibels, and this model's front end gives {spec.log!r}"
            )
        options.setdefault("open_db", -75.0)
        super().__init__(spec.hop_length, spec.sample_rate, **options)
        filters = mel_filters(spec)
        centres = filters.argmax(axis=1) * spec.sample_rate / spec.n_fft
        self._bands = np.flatnonzero((centres >= low_hz) & (centres <= high_hz))
        self._mean, self._scale = float(spec.mean), float(spec.scale)

    def push(self, step: np.ndarray, features: np.ndarray | None = None) -> Reading:
        """Take a step's features; it counts as speech when the gate was open at any frame of it."""
        if features is None:
            raise ValueError("the gate 'mel' needs the step's features")
        decibels = features[:, self._bands].astype(np.float64) * self._scale + self._mean
        levels = 10 * np.log10(np.mean(10 ** (decibels / 10), axis=1))
        heard = False
        for level in np.maximum(levels, FLOOR_DB).tolist():
            heard |= self._push_level(level)
        return Reading(heard, float(level_db(step)))
