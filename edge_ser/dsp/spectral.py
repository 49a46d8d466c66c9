"""Shape of the spectrum, frame by frame; named as in librosa, frames first.

Each takes audio ``y`` or a spectrogram ``S`` of shape (frames, bins), and computes the frames on their own, so
`edge_ser.dsp.streaming.FrameStream` runs any of them on audio that arrives in pieces.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Unpack

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.compute import implementation
from edge_ser.dsp.levels import power_to_db
from edge_ser.dsp.spectrum import (
    SAMPLE_RATE,
    Floats,
    Framing,
    fft_frequencies,
    given_or_computed,
)
from edge_ser.errors import EdgeSerError

__all__ = [
    "band_energy",
    "spectral_bandwidth",
    "spectral_centroid",
    "spectral_contrast",
    "spectral_flatness",
    "spectral_rolloff",
]


def _frequencies(freq: npt.ArrayLike | None, bins: int, sr: float, n_fft: int) -> Floats:
    if freq is None:
        return fft_frequencies(sr=sr, n_fft=n_fft)[:bins]
    values = np.ascontiguousarray(freq, np.float32)
    if values.shape != (bins,) or not np.isfinite(values).all():
        raise EdgeSerError(
            f"freq must be {bins} finite frequencies, one a bin, not an array of {values.shape}"
        )
    return values


def spectral_centroid(
    y: npt.ArrayLike | None = None,
    *,
    sr: float = SAMPLE_RATE,
    S: npt.ArrayLike | None = None,
    n_fft: int = 2048,
    freq: npt.ArrayLike | None = None,
    **framing: Unpack[Framing],
) -> Floats:
    """Mean frequency of each frame, weighted by its magnitude spectrum.

    Parameters
    ----------
    y : (n,) floating point, optional
        Audio in -1..1.
    sr : float
        Its sample rate in Hz.
    S : (frames, bins), optional
        Spectrogram to take instead of `y`, not negative.
    n_fft : int
        Samples of a frame.
    freq : (bins,), optional
        Frequencies of the bins in Hz; those of the FFT if not given.
    **framing
        See `edge_ser.dsp.spectrum.Framing`.

    Returns
    -------
    (frames,) float32
        Hz; 0 for a silent frame.

    Raises
    ------
    EdgeSerError
        Bad audio or a value out of its range.
    """
    spectra, n_fft = given_or_computed(y, S, n_fft, 1.0, framing)
    hz = _frequencies(freq, spectra.shape[1], sr, n_fft)
    return implementation().centroid(spectra, hz, framing.get("threads", 1))


def spectral_bandwidth(
    y: npt.ArrayLike | None = None,
    *,
    sr: float = SAMPLE_RATE,
    S: npt.ArrayLike | None = None,
    n_fft: int = 2048,
    freq: npt.ArrayLike | None = None,
    centroid: npt.ArrayLike | None = None,
    norm: bool = True,
    p: float = 2.0,
    **framing: Unpack[Framing],
) -> Floats:
    """Spread of each frame's spectrum about its centroid, of order `p`.

    Parameters
    ----------
    y, sr, S, n_fft, freq, **framing
        As in `spectral_centroid`.
    centroid : (frames,), optional
        Centroids in Hz; computed if not given.
    norm : bool
        Weigh by the frame's spectrum divided by its sum.
    p : float
        Exponent of the deviations, above 0 and finite.

    Returns
    -------
    (frames,) float32
        Hz; 0 for a silent frame.

    Raises
    ------
    EdgeSerError
        Bad audio or a value out of its range.
    """
    if not 0 < p < math.inf:
        raise EdgeSerError(f"p must be a finite number above 0, not {p!r}")
    spectra, n_fft = given_or_computed(y, S, n_fft, 1.0, framing)
    hz = _frequencies(freq, spectra.shape[1], sr, n_fft)
    threads = framing.get("threads", 1)
    if centroid is None:
        centroid = implementation().centroid(spectra, hz, threads)
    centre = np.ascontiguousarray(centroid, np.float32)
    if centre.shape != (len(spectra),) or not np.isfinite(centre).all():
        raise EdgeSerError(
            f"centroid must be {len(spectra)} finite frequencies, one a frame, not an array of {centre.shape}"
        )
    return implementation().bandwidth(spectra, hz, centre, float(p), norm, threads)


def spectral_rolloff(
    y: npt.ArrayLike | None = None,
    *,
    sr: float = SAMPLE_RATE,
    S: npt.ArrayLike | None = None,
    n_fft: int = 2048,
    freq: npt.ArrayLike | None = None,
    roll_percent: float = 0.85,
    **framing: Unpack[Framing],
) -> Floats:
    """Lowest bin's frequency up to which a frame holds the share `roll_percent` of its magnitude.

    Parameters
    ----------
    y, sr, S, n_fft, freq, **framing
        As in `spectral_centroid`; `freq` must ascend.
    roll_percent : float
        Share, above 0 and below 1.

    Returns
    -------
    (frames,) float32
        Hz; the first bin's for a silent frame.

    Raises
    ------
    EdgeSerError
        Bad audio or a value out of its range.
    """
    if not 0 < roll_percent < 1:
        raise EdgeSerError(f"roll_percent must lie between 0 and 1, not {roll_percent!r}")
    spectra, n_fft = given_or_computed(y, S, n_fft, 1.0, framing)
    hz = _frequencies(freq, spectra.shape[1], sr, n_fft)
    return implementation().rolloff(spectra, hz, roll_percent, framing.get("threads", 1))


def spectral_flatness(
    y: npt.ArrayLike | None = None,
    *,
    S: npt.ArrayLike | None = None,
    n_fft: int = 2048,
    amin: float = 1e-10,
    power: float = 2.0,
    **framing: Unpack[Framing],
) -> Floats:
    """Geometric over arithmetic mean of the power spectrum: 1 for white noise, near 0 for tones.

    Parameters
    ----------
    y, S, n_fft, **framing
        As in `spectral_centroid`.
    amin : float
        Smaller powers are raised to it; above 0 and finite.
    power : float
        Exponent of the magnitudes, above 0 and finite.

    Returns
    -------
    (frames,) float32
        0..1; 1 for a silent frame.

    Raises
    ------
    EdgeSerError
        Bad audio or a value out of its range.
    """
    if not (0 < amin < math.inf and 0 < power < math.inf):
        raise EdgeSerError(f"amin and power must be finite numbers above 0, not {amin!r} and {power!r}")
    spectra, _ = given_or_computed(y, S, n_fft, 1.0, framing)
    return implementation().flatness(spectra, float(amin), float(power), framing.get("threads", 1))


@functools.lru_cache(maxsize=16)
def _octaves(
    frequencies: bytes, sr: float, fmin: float, n_bands: int, quantile: float
) -> tuple[tuple[int, int, int], ...]:
    """First bin, last bin + 1 and how many bins are few, of each octave; librosa's rule of what belongs to one."""
    hz = np.frombuffer(frequencies, np.float32)
    edges = np.concatenate([[0.0], fmin * 2.0 ** np.arange(n_bands + 1)])
    if (edges[:-1] >= sr / 2).any():
        raise EdgeSerError(
            f"{n_bands} octaves above fmin {fmin:g} Hz reach beyond {sr / 2:g} Hz: lower one of them"
        )
    bands = []
    for k in range(n_bands + 1):
        inside = np.flatnonzero((hz >= edges[k]) & (hz <= edges[k + 1]))
        if not len(inside):
            raise EdgeSerError(
                f"no bin lies between {edges[k]:g} and {edges[k + 1]:g} Hz: raise n_fft or fmin"
            )
        low = inside[0] - (1 if k > 0 else 0)  # the bin below belongs to the octave
        high = len(hz) if k == n_bands else inside[-1] + 1
        few = max(1, int(np.rint(quantile * (high - low))))
        high -= 0 if k == n_bands else 1  # and its last one counts for the size only
        if high <= low:
            raise EdgeSerError(
                f"only one bin lies between {edges[k]:g} and {edges[k + 1]:g} Hz: raise n_fft or fmin"
            )
        bands.append((int(low), int(high), min(few, int(high - low))))
    return tuple(bands)


def spectral_contrast(
    y: npt.ArrayLike | None = None,
    *,
    sr: float = SAMPLE_RATE,
    S: npt.ArrayLike | None = None,
    n_fft: int = 2048,
    freq: npt.ArrayLike | None = None,
    fmin: float = 200.0,
    n_bands: int = 6,
    quantile: float = 0.02,
    linear: bool = False,
    top_db: float | None = 80.0,
    **framing: Unpack[Framing],
) -> Floats:
    """Peaks over valleys of each octave: how tonal or noisy it is.

    Parameters
    ----------
    y, sr, S, n_fft, freq, **framing
        As in `spectral_centroid`.
    fmin : float
        Upper edge of the lowest band in Hz; each next one spans an octave.
    n_bands : int
        Octaves; there is one band more, from 0 to `fmin`. Six need a sample rate above 12.8 kHz.
    quantile : float
        Share of an octave's bins that make its peak and its valley, between 0 and 1.
    linear : bool
        Difference of magnitudes instead of decibels.
    top_db : float or None
        Limit of the range of the peaks and of the valleys over the whole recording, librosa's 80; None for
        frames that do not depend on each other, as streams need it.

    Returns
    -------
    (frames, n_bands + 1) float32

    Raises
    ------
    EdgeSerError
        Bad audio or a value out of its range.
    """
    if not (isinstance(n_bands, int | np.integer) and n_bands >= 1 and 0 < quantile < 1 and fmin > 0):
        raise EdgeSerError(
            "spectral contrast needs n_bands of at least 1, quantile between 0 and 1, fmin above 0"
        )
    spectra, n_fft = given_or_computed(y, S, n_fft, 1.0, framing)
    hz = _frequencies(freq, spectra.shape[1], sr, n_fft)
    bands = _octaves(hz.tobytes(), sr, fmin, int(n_bands), quantile)
    valley, peak = implementation().contrast(spectra, bands, framing.get("threads", 1))
    if linear:
        return peak - valley
    return power_to_db(peak, top_db=top_db) - power_to_db(valley, top_db=top_db)


def band_energy(
    y: npt.ArrayLike | None = None,
    *,
    sr: float = SAMPLE_RATE,
    S: npt.ArrayLike | None = None,
    n_fft: int = 2048,
    freq: npt.ArrayLike | None = None,
    edges: Sequence[float] = (0, 250, 500, 1000, 2000, 4000, 8000),
    **framing: Unpack[Framing],
) -> Floats:
    """Sum of the power spectrum between neighbouring frequencies.

    Parameters
    ----------
    y, sr, n_fft, freq, **framing
        As in `spectral_centroid`.
    S : (frames, bins), optional
        *Power* spectrogram to take instead of `y`.
    edges : sequence of float
        Ascending edges in Hz; a band holds its lower edge, and the last band its upper one, too.

    Returns
    -------
    (frames, len(edges) - 1) float32

    Raises
    ------
    EdgeSerError
        Bad audio or a value out of its range.
    """
    limits = tuple(float(edge) for edge in edges)
    if len(limits) < 2 or not (np.diff(limits) > 0).all():
        raise EdgeSerError("edges must be at least two ascending frequencies")
    spectra, n_fft = given_or_computed(y, S, n_fft, 2.0, framing)
    hz = _frequencies(freq, spectra.shape[1], sr, n_fft)
    return implementation().weigh(spectra, _bank(hz.tobytes(), limits), framing.get("threads", 1))


@functools.lru_cache(maxsize=16)
def _bank(frequencies: bytes, edges: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """1 where a bin lies between neighbouring edges: (bands, bins)."""
    hz, limits = np.frombuffer(frequencies, np.float32), np.array(edges)
    bank = (hz >= limits[:-1, None]) & (hz < limits[1:, None])
    bank[-1] |= hz == limits[-1]
    weights = bank.astype(np.float64)
    weights.setflags(write=False)
    return weights
