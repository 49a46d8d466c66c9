"""Chroma, its tuning, and the tonal centroids; named as in librosa, frames first."""

from __future__ import annotations

import functools
import math
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.compute import implementation
from edge_ser.dsp.spectrum import (
    SAMPLE_RATE,
    Floats,
    Framing,
    checked_rate,
    checked_spectrogram,
    given_or_computed,
    whole,
)
from edge_ser.errors import EdgeSerError

__all__ = ["chroma_filters", "chroma_stft", "estimate_tuning", "tonnetz"]

_TINY = np.finfo(np.float32).tiny


def _octaves(hz: npt.NDArray[np.float64], tuning: float, bins_per_octave: int) -> npt.NDArray[np.float64]:
    """Octaves above the A four octaves below A4, which is 440 Hz raised by `tuning` bins."""
    return np.log2(hz / (440.0 * 2.0 ** (tuning / bins_per_octave) / 16.0))


@functools.lru_cache(maxsize=16)
def chroma_filters(
    sr: float,
    n_fft: int,
    n_chroma: int = 12,
    tuning: float = 0.0,
    ctroct: float = 5.0,
    octwidth: float | None = 2.0,
    norm: float | None = 2,
    base_c: bool = True,
) -> npt.NDArray[np.float64]:
    """Weights of the FFT's bins in each pitch class, as `librosa.filters.chroma`.

    Returns
    -------
    (n_chroma, n_fft // 2 + 1) float64

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """
    whole(n_fft, "n_fft", 2)  # a single bin, of 0 Hz, has no pitch
    if not (math.isfinite(tuning) and math.isfinite(ctroct) and (octwidth is None or octwidth > 0)):
        raise EdgeSerError(
            "chroma needs finite tuning and ctroct, and octwidth above 0 or None, "
            f"not {tuning!r}, {ctroct!r} and {octwidth!r}"
        )
    hz: npt.NDArray[np.float64] = np.arange(1, n_fft, dtype=np.float64) * (sr / n_fft)
    pitch = n_chroma * _octaves(hz, tuning, n_chroma)
    pitch = np.concatenate(
        [[pitch[0] - 1.5 * n_chroma], pitch]
    )  # 0 Hz: an octave and a half below the next bin
    width = np.concatenate([np.maximum(np.diff(pitch), 1.0), [1.0]])
    half = round(n_chroma / 2)
    distance = pitch - np.arange(n_chroma)[:, None]
    distance = np.remainder(distance + half + 10 * n_chroma, n_chroma) - half
    weights = np.exp(-0.5 * (2 * distance / width) ** 2)
    weights = _normalised(weights.T, norm).T
    if octwidth is not None:
        weights = weights * np.exp(-0.5 * ((pitch / n_chroma - ctroct) / octwidth) ** 2)
    if base_c:
        weights = np.roll(weights, -3 * (n_chroma // 12), axis=0)
    weights = np.ascontiguousarray(weights[:, : n_fft // 2 + 1])
    weights.setflags(write=False)
    return weights


def _normalised(rows: npt.NDArray[Any], norm: float | None) -> npt.NDArray[Any]:
    """Rows divided by their norm; those that are next to nothing stay as they are."""
    if norm is None:
        return rows
    if not norm > 0:
        raise EdgeSerError(f"norm must be above 0, infinity or None, not {norm!r}")
    if math.isinf(norm):
        length = np.abs(rows).max(axis=1, keepdims=True)
    else:
        length = (np.abs(rows).astype(np.float64) ** norm).sum(axis=1, keepdims=True) ** (1.0 / norm)
    return (rows / np.where(length < _TINY, 1.0, length)).astype(rows.dtype)


def estimate_tuning(
    S: npt.ArrayLike, *, sr: float = SAMPLE_RATE, resolution: float = 0.01, bins_per_octave: int = 12
) -> float:
    """How far a recording is tuned from A4 = 440 Hz.

    Parameters
    ----------
    S : (frames, bins)
        Magnitude or power spectrogram.
    sr : float
        Sample rate in Hz.
    resolution : float
        Step of the answer, in bins.
    bins_per_octave : int
        Bins of an octave.

    Returns
    -------
    float
        -0.5..0.5 bins; 0 where nothing is tonal.

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """
    if not 0 < resolution < 1:
        raise EdgeSerError(f"resolution must lie between 0 and 1, not {resolution!r}")
    whole(bins_per_octave, "bins_per_octave")
    hz, heights = _peaks(checked_spectrogram(S), checked_rate(sr))
    if not len(hz):
        return 0.0
    strong = hz[heights >= np.median(heights)]
    off = bins_per_octave * np.log2(strong.astype(np.float64) / 27.5)
    off -= np.floor(off)
    off[off >= 0.5] -= 1.0
    counts, edges = np.histogram(off, math.ceil(1.0 / resolution), range=(-0.5, 0.5))
    return float(edges[np.argmax(counts)])


def _peaks(S: Floats, sr: float, fmin: float = 150.0, fmax: float = 4000.0) -> tuple[Floats, Floats]:
    """Frequency and height of the peaks of each frame's spectrum from `fmin` up to `fmax`."""
    n_fft = 2 * (S.shape[1] - 1)
    hz = np.arange(S.shape[1]) * sr / max(n_fft, 1)
    inside = np.flatnonzero((hz >= fmin) & (hz < min(fmax, sr / 2)))
    inside = inside[(inside > 0) & (inside < S.shape[1] - 1)]
    if not len(inside):
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    places, heights = implementation().peaks(S, int(inside[0]), int(inside[-1]) + 1, 0.1)
    return (places * (sr / n_fft)).astype(np.float32), heights


def chroma_stft(
    y: npt.ArrayLike | None = None,
    *,
    sr: float = SAMPLE_RATE,
    S: npt.ArrayLike | None = None,
    norm: float | None = math.inf,
    n_fft: int = 2048,
    tuning: float | None = None,
    n_chroma: int = 12,
    ctroct: float = 5.0,
    octwidth: float | None = 2.0,
    base_c: bool = True,
    **framing: Unpack[Framing],
) -> Floats:
    """Energy in each pitch class.

    Parameters
    ----------
    y : (n,) floating point, optional
        Audio in -1..1.
    sr : float
        Its sample rate in Hz.
    S : (frames, n_fft // 2 + 1), optional
        Power spectrogram to take instead of `y`.
    norm : float or None
        Norm that each frame is divided by; infinity: its largest value becomes 1.
    n_fft : int
        Samples of a frame.
    tuning : float, optional
        Deviation from A4 = 440 Hz in bins; estimated from the whole recording if not given, so give it (0) for
        frames that do not depend on each other, as streams need it.
    n_chroma, ctroct, octwidth, base_c
        Of the filters, see `librosa.filters.chroma`.
    **framing
        See `edge_ser.dsp.spectrum.Framing`.

    Returns
    -------
    (frames, n_chroma) float32
        From C on.

    Raises
    ------
    EdgeSerError
        Bad audio or a value out of its range.
    """
    checked_rate(sr)
    n_chroma = whole(n_chroma, "n_chroma")
    spectra, n_fft = given_or_computed(y, S, n_fft, 2.0, framing)
    if tuning is None:
        tuning = estimate_tuning(spectra, sr=sr, bins_per_octave=n_chroma)
    filters = chroma_filters(sr, n_fft, n_chroma, tuning, ctroct, octwidth, 2, base_c)
    chroma = implementation().weigh(spectra, filters, framing.get("threads", 1))
    return _normalised(chroma, norm)


def tonnetz(
    y: npt.ArrayLike | None = None,
    *,
    sr: float = SAMPLE_RATE,
    chroma: npt.ArrayLike | None = None,
    **options: object,
) -> Floats:
    """Tonal centroids (Harte and others, 2006): chroma on the circles of fifths, minor and major thirds.

    Parameters
    ----------
    y : (n,) floating point, optional
        Audio in -1..1.
    sr : float
        Its sample rate in Hz.
    chroma : (frames, n_chroma), optional
        Chroma to take instead of `y`. librosa takes chroma of a constant-Q transform from `y`, this `chroma_stft`.
    **options
        Of `chroma_stft`.

    Returns
    -------
    (frames, 6) float32

    Raises
    ------
    EdgeSerError
        Bad audio or a value out of its range.
    """
    if chroma is None:
        chroma = chroma_stft(y, sr=sr, **options)  # type: ignore[arg-type]
    rows = _normalised(checked_spectrogram(chroma, "chroma"), 1)
    return implementation().weigh(np.ascontiguousarray(rows, np.float32), _circles(rows.shape[1]))


@functools.lru_cache(maxsize=4)
def _circles(n_chroma: int) -> npt.NDArray[np.float64]:
    """Sine and cosine of each pitch class on the three circles, times their radii: (6, n_chroma)."""
    steps = np.arange(n_chroma) * (12 / n_chroma)
    angles = np.pi * np.outer([7 / 6, 7 / 6, 3 / 2, 3 / 2, 2 / 3, 2 / 3], steps)
    angles[::2] -= np.pi / 2
    radii = np.array([1, 1, 1, 1, 0.5, 0.5])
    weights = radii[:, None] * np.cos(angles)
    weights.setflags(write=False)
    return weights
