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

    @property
    def reads_features(self) -> bool:
        """It needs the log-mel; where not, nobody computes that of a step in which a dozing model sleeps."""

    def push(self, step: np.ndarray, features: np.ndarray | None) -> Reading:
        """Say whether somebody is heard in the next step.

        Parameters
        ----------
        step : (n,) float32
            Its samples in -1..1.
        features : (frames, mels) float32 or None
            Its log-mel, as the model gets it; None only where the gate does not read it.
        """


def level_db(samples: np.ndarray) -> np.ndarray:
    """Root mean square along the last axis in dBFS, `FLOOR_DB` at least; silence is `FLOOR_DB`."""
    return _decibels(_power(samples))


def _power(samples: np.ndarray) -> np.ndarray:
    """Mean square along the last axis."""
    squares = np.square(samples, dtype=np.float64)
    return np.asarray(np.add.reduce(squares, axis=-1) / squares.shape[-1])


def _decibels(power: np.ndarray) -> np.ndarray:
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
    reads_features = False

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
        powers = np.empty(
            len(step) // self._hop + 1
        )  # of each hop, then of the step: decibels of all in one go
        powers[:-1] = _power(step.reshape(-1, self._hop))
        powers[-1] = np.add.reduce(powers[:-1]) / (len(powers) - 1)
        *levels, whole = _decibels(powers).tolist()
        return Reading(self._push_levels(levels), whole)

    def _push_levels(self, levels: list[float]) -> bool:
        """Whether it was open at any of the levels of a step."""
        # An empty room is most of a year: where no level reaches the least that the threshold can be in this step, only
        # the floor moves.
        least = max(self._open_db, min(self._floor, *levels) + self._above_floor_db)
        if not self._open and max(levels) < least:
            self._lower_floor(levels)
            self._loud_run = 0
            return False
        heard = False
        for level in levels:
            heard |= self._push_level(level)
        return heard

    def _lower_floor(self, levels: list[float]) -> None:
        # Digital silence tells nothing of the room: a muted microphone must not make its first noise stand out.
        if min(levels) <= FLOOR_DB:
            levels = [level for level in levels if level > FLOOR_DB]
        while levels:
            slot, place = divmod(self._seen, self._stretch_hops)
            slot %= len(self._minima)
            piece, levels = levels[: self._stretch_hops - place], levels[self._stretch_hops - place :]
            self._minima[slot] = min(piece) if place == 0 else min(self._minima[slot], *piece)
            self._floor = min(self._minima)
            self._seen += len(piece)

    def _push_level(self, level: float) -> bool:
        self._lower_floor([level])
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
        Of `LevelGate`; levels are of the bands' mean power, with speech and the shipped front end some 13 dB higher
        than those of the samples. `open_db` is -75 where it is left out, so that mostly the noise floor decides.
    """

    reads_features = True

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
        heard = self._push_levels(np.maximum(levels, FLOOR_DB).tolist())
        return Reading(heard, float(level_db(step)))
