"""What every perturbation takes and gives: a float32 mono wave at 16 kHz, its level, and filters over all of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edge_ser.audio import SAMPLE_RATE
from edge_ser.errors import EdgeSerError, require

__all__ = ["Floats", "as_wave", "decibels", "filtered", "in_range", "rms", "to_length"]

Floats = npt.NDArray[np.float32]

_PAD = SAMPLE_RATE // 4  # silence beside a wave that is filtered as a circle, so that its ends do not meet


def as_wave(wave: npt.ArrayLike, what: str = "the wave") -> Floats:
    """Any floating point numbers as a wave.

    Parameters
    ----------
    wave : array_like of shape (samples,)
        Mono at 16 kHz, full scale -1..1; it may go beyond.
    what : str
        Start of the error's sentence.

    Returns
    -------
    ndarray of shape (samples,), float32
        The argument itself where it is that already.

    Raises
    ------
    EdgeSerError
        It is not one row of finite numbers, or empty; or of whole numbers, whose full scale is not 1.
    """
    try:
        given = np.asarray(wave)
    except ValueError:  # rows of different lengths
        given = np.empty(0, object)
    if given.size and not np.issubdtype(given.dtype, np.floating):
        raise EdgeSerError(
            f"{what} must be floating point in -1..1, not {given.dtype}: divide int16 by 32768"
        )
    array = given.astype(np.float32, copy=False)
    if array.ndim != 1 or not array.size:
        raise EdgeSerError(
            f"{what} must be one row of samples, mono, at least one; its shape is {array.shape}"
        )
    if not np.isfinite(array).all():
        raise EdgeSerError(f"{what} holds a sample that is not finite; export it again")
    return array


def in_range(value: float, low: float, high: float, what: str) -> float:
    """The value, or an `EdgeSerError` that names it and the range; NaN is in no range."""
    if not low <= value <= high:
        raise EdgeSerError(f"{what} must be {low:g} to {high:g}, not {value:g}")
    return value


def rms(wave: Floats) -> float:
    """Root of the mean square, over the whole wave, silence included."""
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))


def decibels(db: float) -> float:
    """The factor of amplitude that so many dB are."""
    return float(10.0 ** (db / 20.0))


def to_length(wave: Floats, samples: int) -> Floats:
    """The wave cut at its end, or with silence after it."""
    if len(wave) >= samples:
        return wave[:samples]
    return np.concatenate([wave, np.zeros(samples - len(wave), np.float32)])


def filtered(wave: Floats, response: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]) -> Floats:
    """A filter without delay (zero phase), by one transform of the whole wave.

    Parameters
    ----------
    wave : ndarray of shape (samples,), float32
    response : callable
        From frequencies in Hz, 0 to 8000, to factors of amplitude, 0 or more.

    Returns
    -------
    ndarray of shape (samples,), float32
    """
    fft = require("scipy.fft", extra="train", purpose="filtering waveforms")
    size = fft.next_fast_len(len(wave) + _PAD, real=True)
    spectrum = fft.rfft(wave, size)
    spectrum *= response(np.arange(len(spectrum)) * (SAMPLE_RATE / size)).astype(np.float32)
    return fft.irfft(spectrum, size)[: len(wave)]
