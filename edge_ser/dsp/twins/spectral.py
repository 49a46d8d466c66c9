"""Spectra and what is computed from them, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "bandwidth",
    "blocks",
    "centroid",
    "contrast",
    "flatness",
    "logarithm",
    "peaks",
    "rolloff",
    "spectra",
    "weigh",
]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_BLOCK = 1 << 17  # values of a block of frames, in double precision 1 MB
_TINY = float(np.finfo(np.float32).tiny)


def blocks(
    rows: npt.NDArray[Any], compute: Callable[[Doubles], npt.NDArray[Any]], dtype: Any
) -> npt.NDArray[Any]:
    """`compute` of a few rows at a time, which bounds the working memory."""
    step = max(1, _BLOCK // max(1, rows.shape[1]))
    starts = range(0, max(1, len(rows)), step)
    return np.concatenate([compute(rows[i : i + step].astype(np.float64)).astype(dtype) for i in starts])


def spectra(x: Floats, window: Doubles, hop: int, kind: str, threads: int = 1) -> npt.NDArray[Any]:
    """Spectra of the frames that lie wholly in `x`.

    Parameters
    ----------
    x : (n,) float32, contiguous
    window : (n_fft,) float64
    hop : int
        Samples from frame to frame.
    kind : {'complex', 'magnitude', 'power'}
    threads : int
        Used by the compiled form only.

    Returns
    -------
    (frames, n_fft // 2 + 1) complex64 or float32
    """
    if len(x) < len(window):
        return np.zeros((0, len(window) // 2 + 1), np.complex64 if kind == "complex" else np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(x, len(window))[::hop]
    if kind == "complex":
        return blocks(frames, lambda rows: np.fft.rfft(rows * window), np.complex64)

    def power(rows: Doubles) -> Doubles:
        spectrum = np.fft.rfft(rows * window)
        squares = spectrum.real**2 + spectrum.imag**2
        return squares if kind == "power" else np.sqrt(squares)

    return blocks(frames, power, np.float32)


def weigh(spectra: Floats, filters: npt.NDArray[Any], threads: int = 1) -> Floats:
    """Each frame's sums over its bins, weighted by each of `filters` (bands, bins): (frames, bands)."""
    taps = [np.flatnonzero(row) for row in filters]
    # A band without any bin keeps one tap of weight 0: reduceat has no empty segments.
    taps = [row if len(row) else np.array([0]) for row in taps]
    starts = np.cumsum([0] + [len(row) for row in taps[:-1]])
    bins = np.concatenate(taps)
    weights = np.asarray(filters, np.float64)[
        np.repeat(np.arange(len(taps)), [len(row) for row in taps]), bins
    ]
    return blocks(spectra, lambda rows: np.add.reduceat(rows[:, bins] * weights, starts, axis=1), np.float32)


def _share(rows: Doubles) -> Doubles:
    """Rows divided by their sums; silent ones are left as they are, as librosa leaves them."""
    total = rows.sum(axis=1, keepdims=True)
    return rows / np.where(total >= _TINY, total, 1.0)


def centroid(spectra: Floats, freq: Floats, threads: int = 1) -> Floats:
    """Mean frequency, weighted by the spectrum: (frames,)."""
    return blocks(spectra, lambda rows: (_share(rows) * freq).sum(axis=1), np.float32)


def bandwidth(
    spectra: Floats, freq: Floats, centre: Floats, p: float, norm: bool, threads: int = 1
) -> Floats:
    """The p-th root of the mean (`norm`) or sum of ``|freq - centre| ** p``, weighted by the spectrum: (frames,)."""

    def compute(rows: Doubles) -> Doubles:
        middle, rows = rows[:, :1], rows[:, 1:]
        distance = np.abs(freq - middle)
        # in parts of the largest that counts: its p-th power need not be a number that there is
        largest = np.where(rows > 0, distance, 0.0).max(axis=1, keepdims=True)
        parts = np.where(rows > 0, distance, 0.0) / np.where(largest > 0, largest, 1.0)
        moment = ((_share(rows) if norm else rows) * parts**p).sum(axis=1)
        return largest[:, 0] * moment ** (1.0 / p)

    return blocks(np.concatenate([centre[:, None], spectra], axis=1), compute, np.float32)


def rolloff(spectra: Floats, freq: Floats, share: float, threads: int = 1) -> Floats:
    """Lowest frequency up to which a frame holds `share` of the sum of its spectrum: (frames,).

    The running sum is float32, as librosa's is: the answer is a bin, and another rounding would be another bin.
    """
    totals = np.cumsum(spectra, axis=1, dtype=np.float32)
    reached = totals >= np.float32(share) * totals[:, -1:]
    return freq[np.argmax(reached, axis=1)]


def flatness(spectra: Floats, amin: float, power: float, threads: int = 1) -> Floats:
    """Geometric over arithmetic mean of ``max(spectra ** power, amin)``: (frames,)."""

    def compute(rows: Doubles) -> Doubles:
        with np.errstate(divide="ignore"):  # of 0
            logs = np.maximum(power * np.log(rows), np.log(amin))
        # of parts of the geometric mean: the powers need not be numbers that there are
        with np.errstate(over="ignore"):
            return 1.0 / np.exp(logs - logs.mean(axis=1, keepdims=True)).mean(axis=1)

    return blocks(spectra, compute, np.float32)


def contrast(
    spectra: Floats, bands: Sequence[tuple[int, int, int]], threads: int = 1
) -> tuple[Floats, Floats]:
    """Means of the lowest and of the highest few bins of each band: two of (frames, bands).

    bands : first bin, last bin + 1 and how many bins count as few, for each band.
    """
    lows, highs = [], []
    for low, high, few in bands:
        ordered = np.sort(spectra[:, low:high], axis=1)
        lows.append(blocks(ordered[:, :few], _mean, np.float32))
        highs.append(blocks(ordered[:, -few:], _mean, np.float32))
    return np.stack(lows, axis=1), np.stack(highs, axis=1)


def _mean(rows: Doubles) -> Doubles:
    return rows.mean(axis=1)


def peaks(spectra: Floats, low: int, high: int, share: float) -> tuple[Doubles, Floats]:
    """Local maxima of bins ``low .. high - 1`` above `share` of their frame's largest value, frame after frame.

    Each is refined by a parabola: place in bins, and height, two of (peaks,).
    """
    floor = np.float32(share) * spectra.max(axis=1, keepdims=True, initial=0.0)
    here, before, after = spectra[:, low:high], spectra[:, low - 1 : high - 1], spectra[:, low + 1 : high + 1]
    frame, bin_ = np.nonzero((here > floor) & (here > before) & (here >= after))
    a, b, c = before[frame, bin_], here[frame, bin_], after[frame, bin_]
    bend, slope = c + a - 2 * b, (c - a) / 2
    inner = np.abs(slope) < np.abs(bend)
    shift = np.where(inner, -slope / np.where(inner, bend, np.float32(1.0)), np.float32(0.0))
    heights = b + np.float32(0.5) * slope * shift
    return (low + bin_ + shift.astype(np.float64)).astype(np.float64), heights.astype(np.float32)


def logarithm(x: Floats, floor: float, gain: float, shift: float = 0.0) -> Floats:
    """``gain * ln(max(x, floor)) + shift`` of every element."""
    raised = np.maximum(x.astype(np.float64), max(floor, _TINY))
    return np.asarray(np.log(raised) * gain + shift, np.float32)  # of no axis, too, an array
