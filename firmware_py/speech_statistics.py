"""Numbers by which speech and other sounds differ, of the last seconds of log-mel.

A step costs what is new in it: what a frame alone and its neighbour before it give is kept as a row while the frame
stays in the window, and only what the window makes of its rows is computed anew.
"""

from __future__ import annotations

import functools
from collections import deque

import numpy as np

__all__ = ["WINDOW_STEPS", "SpeechWindow", "speech_statistics"]

#: Steps that the window looks back over; fewer at a stream's start.
WINDOW_STEPS = 8
_GROUPS = 8  # of bands, for the spectrum's shape and its movement
_CEPSTRUM = 13
_RIPPLE_BANDS = 32  # the lowest ones, where a voice's harmonics are apart
_LAGS = (2, 10)  # bands from one harmonic to the next
_SMOOTH = 7  # bands
_RATES_HZ = ((1.0, 3.0), (3.0, 6.0), (6.0, 12.0), (12.0, 25.0))
_SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
# A row: the spectrum's shape, its groups of bands, these three, and how far all moved since the frame before.
_LEVEL, _RIPPLE, _WIDTH = _GROUPS, _GROUPS + 1, _GROUPS + 2
_STILL = _GROUPS + 3
_TINY = 1e-9


def speech_statistics(frames: np.ndarray, frame_rate: float) -> np.ndarray:
    """Numbers of a stretch of log-mel; level and a constant gain drop out.

    How fast the level moves (speech has syllables, 3 to 6 a second: Houtgast and Steeneken, JASA 1985), how much and
    how unevenly; the mean spectrum's shape and its movement; and the ripple of harmonics over the low bands.

    Parameters
    ----------
    frames : (T, bands) float32
        Log-mel frames, oldest first; at least two, 16 bands or more.
    frame_rate : float
        Frames a second.

    Returns
    -------
    (n,) float64
        The same n for any T and number of bands.
    """
    return _summary(_rows(frames, frames[0]), frames.shape[1], frame_rate)


class SpeechWindow:
    """`speech_statistics` of the last steps, the same bits, at the cost of what is new.

    Parameters
    ----------
    frame_rate : float
        Frames a second.
    """

    def __init__(self, frame_rate: float) -> None:
        self._frame_rate = frame_rate
        self._steps: deque[np.ndarray] = deque(maxlen=WINDOW_STEPS)
        self._made: deque[np.ndarray] = deque(maxlen=WINDOW_STEPS)  # rows of steps, made when asked for
        self._owed = 0  # of the last steps, how many have no rows yet

    def hear(self, features: np.ndarray) -> None:
        """Take the log-mel of the next step, (frames, bands) float32; it is kept as it is, not copied."""
        self._steps.append(features)
        self._owed = min(self._owed + 1, len(self._steps))

    def statistics(self) -> np.ndarray:
        """Of the last `WINDOW_STEPS` steps, or as many as there were; at least one."""
        steps = list(self._steps)
        for i in range(len(steps) - self._owed, len(steps)):
            self._made.append(_rows(steps[i], steps[i - 1][-1] if i else steps[0][0]))
        self._owed = 0
        return _summary(np.concatenate(self._made), steps[0].shape[1], self._frame_rate)


def _rows(frames: np.ndarray, before: np.ndarray) -> np.ndarray:
    """A row of numbers for each frame, by itself and against the one before it; (T, bands) to (T, columns) float64."""
    count, bands = frames.shape
    x = np.empty((count + 1, bands))
    x[0], x[1:] = before, frames
    still = np.empty((count + 1, bands + _STILL))
    shape, own = still[:, :bands], still[:, bands:]
    starts, sizes, smooth = _bands(bands)
    level = np.add.reduce(x, 1) / bands
    np.subtract(x, level[:, None], out=shape)
    np.divide(np.add.reduceat(shape, starts, axis=1), sizes, out=own[:, :_GROUPS])
    own[:, _LEVEL] = level
    total = np.add.accumulate(x[:, smooth], axis=1)
    low = smooth[-1] + 1
    fine = np.zeros((count + 1, low + _LAGS[1]))  # zeros behind the last band: beyond it there is no product
    within = fine[:, :low]
    np.subtract(total[:, _SMOOTH:], total[:, :-_SMOOTH], out=within)
    np.subtract(x[:, :low], within / _SMOOTH, out=within)
    row, band = fine.strides
    # later[frame, lag, band] is fine[frame, band + lag]; as_strided takes ten times as long to say so
    shape_of_lags = (count + 1, _LAGS[1] - _LAGS[0], low)
    later: np.ndarray = np.ndarray(shape_of_lags, np.float64, fine, _LAGS[0] * band, (row, band, band))
    alike = np.add.reduce(later * within[:, None], 2)
    energy = np.add.reduce(within * within, 1)
    own[:, _RIPPLE] = np.maximum.reduce(alike, 1) / (energy + 1e-3)
    own[:, _WIDTH] = np.sqrt(np.add.reduce(shape * shape, 1) / bands)  # a spectrum's shape has no mean

    rows = np.empty((count, bands + _STILL + _GROUPS + 4))
    rows[:, : bands + _STILL] = still[1:]
    moves = rows[:, bands + _STILL :]
    moved = np.abs(still[1:] - still[:-1])
    flux = np.abs(x[1:] - x[:-1])
    moves[:, :_GROUPS] = moved[:, bands : bands + _GROUPS]
    moves[:, _GROUPS] = moved[:, bands + _LEVEL]
    np.divide(np.add.reduce(moved[:, :bands], 1), bands, out=moves[:, _GROUPS + 1])
    np.divide(np.add.reduce(flux, 1), bands, out=moves[:, _GROUPS + 2])
    np.divide(np.add.reduce(flux * flux, 1), bands, out=moves[:, _GROUPS + 3])
    return rows


def _summary(rows: np.ndarray, bands: int, frame_rate: float) -> np.ndarray:
    """The statistics of a window by its rows."""
    n = len(rows)
    still = rows[:, : bands + _STILL]
    mean = np.add.reduce(still, 0) / n
    apart = still[:, bands:] - mean[bands:]
    deviation = np.sqrt(np.add.reduce(apart * apart, 0) / n)
    moving, rippling = apart[:, _LEVEL], apart[:, _RIPPLE]
    spread, uneven = float(deviation[_LEVEL]), float(deviation[_RIPPLE])
    scaled = moving / (spread + 1e-3)
    cubed = scaled * scaled * scaled
    window, rates = _modulation(n, frame_rate)
    power = np.square(np.abs(np.fft.rfft(scaled * window)))
    modulation = np.add.reduce(rates * power, 1) / (np.add.reduce(power[1:]) + _TINY)
    in_order = np.sort(moving)
    quantiles = _quantiles(in_order)
    loud = still[moving >= quantiles[2]]
    loudly = np.add.reduce(loud, 0) / len(loud)
    cosines = _dct(bands)
    moved = np.add.reduce(rows[1:, bands + _STILL :], 0) / (n - 1)
    level_moved, shape_moved, flux, flux_squared = moved[_GROUPS:]
    together = np.add.reduce(rippling * moving) / n
    return np.concatenate(
        [
            (
                spread,
                np.add.reduce(cubed) / n,
                np.add.reduce(cubed * scaled) / n,
                in_order[-1] - in_order[0],
                *quantiles[[0, 1, 3, 4]],
                *modulation,
            ),
            np.add.reduce(cosines * mean[:bands], 1),
            np.add.reduce(cosines * loudly[:bands], 1),
            deviation[:_GROUPS],
            moved[:_GROUPS],
            (
                flux,
                np.sqrt(max(flux_squared - flux * flux, 0.0)),
                level_moved,
                shape_moved,
                mean[bands + _RIPPLE],
                uneven,
                loudly[bands + _RIPPLE],
                _quantiles(np.sort(rippling))[4] + mean[bands + _RIPPLE],
                together / (uneven * spread) if uneven > _TINY and spread > _TINY else 0.0,
                mean[bands + _WIDTH],
                deviation[_WIDTH],
            ),
        ]
    )


def _quantiles(in_order: np.ndarray) -> np.ndarray:
    """Of sorted values at `_SHARES`, between neighbours by a line."""
    low, part = _places(len(in_order))
    below = in_order[low]
    return below + part * (in_order[np.minimum(low + 1, len(in_order) - 1)] - below)


@functools.cache
def _places(n: int) -> tuple[np.ndarray, np.ndarray]:
    """The value below each of `_SHARES` of n sorted ones, and the share of the way to the next."""
    place = np.asarray(_SHARES) * (n - 1)
    low = place.astype(np.intp)
    return low, place - low


@functools.cache
def _modulation(n: int, frame_rate: float) -> tuple[np.ndarray, np.ndarray]:
    """A window for n levels, and which rates of their spectrum belong to each of `_RATES_HZ`."""
    rates = np.fft.rfftfreq(n, 1 / frame_rate)
    within = [(rates >= low) & (rates < high) for low, high in _RATES_HZ]
    return np.hanning(n), np.asarray(within, np.float64)


@functools.cache
def _bands(bands: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First band and number of bands of each group, as even as can be; and the bands that smoothing sums over."""
    parts = np.array_split(np.arange(bands), _GROUPS)
    low = min(_RIPPLE_BANDS, bands)
    smooth = np.arange(-(_SMOOTH // 2) - 1, low + _SMOOTH // 2).clip(0, low - 1)
    return np.array([part[0] for part in parts]), np.array([len(part) for part in parts]), smooth


@functools.cache
def _dct(bands: int) -> np.ndarray:
    """Rows of the cosine transform of a spectrum, the mean left out."""
    k = np.arange(1, _CEPSTRUM)[:, None]
    return np.cos(np.pi * k * (np.arange(bands) + 0.5) / bands) / bands
