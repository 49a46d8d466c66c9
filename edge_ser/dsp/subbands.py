"""Centroid, bandwidth and energy within parts of a spectrum, as of speakers and emotions.

The five parts of a mel spectrum and their three numbers are those of Hosseinzadeh and Krishnan 2008, "On the use of
complementary spectral features for speaker recognition" (EURASIP Journal on Advances in Signal Processing, 258184).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.compute import implementation
from edge_ser.dsp.spectrum import (
    SAMPLE_RATE,
    Floats,
    checked_rate,
    checked_spectrogram,
    melspectrogram,
    whole,
)
from edge_ser.errors import EdgeSerError

__all__ = ["MEL_SUBBANDS", "SubBands", "mel_subbands", "subbands"]

#: First and last mel band + 1 of the parts of a spectrum of 3401 bands.
MEL_SUBBANDS = ((300, 628), (628, 1061), (1061, 1634), (1634, 2394), (2394, 3401))
_N_MELS, _N_FFT, _HOP_S = 3401, 16384, 0.015


class SubBands(NamedTuple):
    """Three numbers of each part of a spectrum, each (frames, bands) float32; see `subbands`."""

    centroid: Floats
    bandwidth: Floats
    energy: Floats


def subbands(S: npt.ArrayLike, bands: Sequence[tuple[int, int]], freq: npt.ArrayLike) -> SubBands:
    """Centroid, bandwidth and energy within parts of a spectrum, such as ranges of mel bands.

    Parameters
    ----------
    S : (frames, bins)
        Spectrogram, not negative; linear or mel.
    bands : sequence of (int, int)
        First and last bin + 1 of each part.
    freq : (bins,)
        Frequencies of the bins in Hz, or their places on another scale.

    Returns
    -------
    SubBands
        Centroid and bandwidth in the unit of `freq`, energy as the sum of `S`; all 0 where a part is silent.

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """
    spectra = checked_spectrogram(S)
    if spectra.min(initial=0.0) < 0:
        raise EdgeSerError("S must not be negative: give magnitudes or powers, not decibels")
    places = np.ascontiguousarray(freq, np.float32)
    if places.shape != (spectra.shape[1],) or not np.isfinite(places).all():
        raise EdgeSerError(
            f"freq must be {spectra.shape[1]} finite frequencies, one a bin, not an array of {places.shape}"
        )
    pairs = [tuple(band) for band in bands]
    if not pairs or not all(_is_part(pair, spectra.shape[1]) for pair in pairs):
        raise EdgeSerError(
            f"bands must be pairs of bins, 0 <= first < last <= {spectra.shape[1]}, not {bands!r}"
        )
    compute = implementation()
    columns = []
    for low, high in pairs:
        part, own = np.ascontiguousarray(spectra[:, low:high]), places[low:high]
        centre = compute.centroid(part, own)
        spread = compute.bandwidth(part, own, centre, 2.0, True)
        columns.append((centre, spread, compute.weigh(part, np.ones((1, high - low)))[:, 0]))
    return SubBands(*(np.stack(values, axis=1) for values in zip(*columns, strict=True)))


def _is_part(pair: tuple[Any, ...], bins: int) -> bool:
    return (
        len(pair) == 2
        and all(isinstance(k, int | np.integer) for k in pair)
        and 0 <= pair[0] < pair[1] <= bins
    )


def mel_subbands(y: npt.ArrayLike, *, sr: int = SAMPLE_RATE, frames: int = 200) -> SubBands:
    """Centroid, bandwidth and share of the energy in five parts of a fine mel spectrum.

    A power spectrum of 3401 mel bands, from frames of 16384 samples every ``int(0.015 sr)``, is cut to its first
    `frames` frames or padded with silence. In the part of the bands ``k`` with powers ``S[k]``, the centroid is
    ``sum(k S) / sum(S)``, the bandwidth ``sqrt(sum((k - centroid)**2 S) / sum(S))``, and the energy ``sum(S)`` over the
    same of all five parts; where a divisor is 0, they are 0.

    Parameters
    ----------
    y : (n,) floating point
        Audio in -1..1.
    sr : int
        Its sample rate in Hz.
    frames : int
        Frames of the answer.

    Returns
    -------
    SubBands
        Each (frames, 5); centroid and bandwidth in mel bands (300..3400), energy 0..1.

    Raises
    ------
    EdgeSerError
        Bad audio or a value out of its range.
    """
    count = whole(frames, "frames")
    signal = np.asarray(y)
    hop = int(checked_rate(sr) * _HOP_S)
    # frames after the last that is kept reach beyond these samples
    needed = (count - 1) * hop + _N_FFT // 2 if signal.ndim == 1 else 0
    S = melspectrogram(
        signal[:needed] if needed else signal, sr=sr, n_fft=_N_FFT, n_mels=_N_MELS, hop_length=hop
    )
    S = S[:count]
    S = np.concatenate([S, np.zeros((count - len(S), _N_MELS), np.float32)])
    parts = subbands(S, MEL_SUBBANDS, np.arange(_N_MELS))
    total = parts.energy.sum(axis=1, keepdims=True, dtype=np.float64)
    share = np.divide(parts.energy, total, out=np.zeros(parts.energy.shape), where=total > 0)
    return SubBands(parts.centroid, parts.bandwidth, share.astype(np.float32))
