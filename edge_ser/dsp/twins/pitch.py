"""Autocorrelation of frames, and the fundamental period by YIN."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.twins.spectral import blocks

__all__ = ["autocorrelation", "transform_length", "yin"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


def transform_length(least: int) -> int:
    """Smallest even length of at least `least` that is a power of two, or 3, 5 or 9 times one."""
    sizes = []
    for odd in (1, 3, 5, 9):
        size = 2 * odd
        while size < least:
            size *= 2
        sizes.append(size)
    return min(sizes)


def _correlate(rows: Doubles, lags: int) -> Doubles:
    size = transform_length(rows.shape[1] + lags)
    spectrum = np.fft.rfft(rows, size)
    return np.fft.irfft(spectrum.real**2 + spectrum.imag**2, size)[:, :lags]


def autocorrelation(x: Floats, window: Doubles, hop: int, lags: int, threads: int = 1) -> Floats:
    """Sums of products of each windowed frame with itself, shifted by 0 .. lags - 1 samples: (frames, lags)."""
    if len(x) < len(window):
        return np.zeros((0, lags), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(x, len(window))[::hop]
    return blocks(frames, lambda rows: _correlate(rows * window, lags), np.float32)


def yin(x: Floats, length: int, hop: int, low: int, high: int, threshold: float, threads: int = 1) -> Floats:
    """Fundamental period by YIN (de Cheveigne and Kawahara, 2002), in samples, and how far from periodic it is.

    Parameters
    ----------
    x : (n,) float32, contiguous
    length, hop : int
        Samples of a frame and from frame to frame.
    low, high : int
        Shortest and longest period in samples, ``1 <= low < high < length``.
    threshold : float
        The first trough of the normalised difference below it is taken; where there is none, the deepest.
    threads : int
        Used by the compiled form only.

    Returns
    -------
    (frames, 2) float32
        Period, refined by a parabola, and the normalised difference there: 0 for a periodic frame.
    """
    if len(x) < length:
        return np.zeros((0, 2), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(x, length)[::hop]
    return blocks(frames, lambda rows: _periods(rows, low, high, threshold), np.float32)


def _periods(rows: Doubles, low: int, high: int, threshold: float) -> Doubles:
    correlation = _correlate(rows, high + 1)
    head = np.cumsum(rows[:, :high] ** 2, axis=1)  # of the samples that the shifted frame lacks
    difference = 2 * (correlation[:, :1] - correlation[:, 1:]) - head
    mean = np.cumsum(difference, axis=1) / np.arange(1, high + 1)
    d = (difference / (mean + np.finfo(np.float32).tiny))[:, low - 1 :]
    bend = d[:, 2:] + d[:, :-2] - 2 * d[:, 1:-1]
    slope = (d[:, 2:] - d[:, :-2]) / 2
    inside = np.abs(slope) < np.abs(bend)
    shift = np.pad(np.where(inside, -slope / np.where(inside, bend, 1.0), 0.0), ((0, 0), (1, 1)))
    trough = np.zeros(d.shape, bool)
    trough[:, 0] = d[:, 0] < d[:, 1]
    trough[:, 1:-1] = (d[:, 1:-1] < d[:, :-2]) & (d[:, 1:-1] <= d[:, 2:])
    trough[:, -1] = d[:, -1] < d[:, -2]
    deep = trough & (d < threshold)
    chosen = np.where(deep.any(axis=1), np.argmax(deep, axis=1), np.argmin(d, axis=1))[:, None]
    period = low + chosen + np.take_along_axis(shift, chosen, axis=1)
    return np.concatenate([period, np.take_along_axis(d, chosen, axis=1)], axis=1)
