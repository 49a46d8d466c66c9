"""Levels of spectra: decibels and per-channel energy normalisation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.compute import implementation
from edge_ser.dsp.spectrum import SAMPLE_RATE, Floats, checked_rate, checked_spectrogram, whole
from edge_ser.errors import EdgeSerError

__all__ = ["amplitude_to_db", "low_pass_weight", "pcen", "power_to_db"]


def _to_db(
    S: npt.ArrayLike, ref: float | Callable[[Floats], Any], amin: float, top_db: float | None, factor: float
) -> Floats:
    given = np.asarray(S)
    if given.dtype.kind not in "fiu":
        raise EdgeSerError(f"S must hold real numbers, not {given.dtype}: take the magnitude first")
    with np.errstate(over="ignore"):  # beyond float32's range is found by the next line
        values = np.asarray(given, np.float32, order="C")
    if not np.isfinite(values).all():
        raise EdgeSerError("S holds NaN or infinite numbers")
    if not 0 < amin < np.inf:  # said so that NaN is neither
        raise EdgeSerError(f"amin must be a finite number above 0, not {amin!r}")
    if top_db is not None and not top_db >= 0:
        raise EdgeSerError(f"top_db must be a number of at least 0, not {top_db!r}")
    reference = abs(float(ref(values) if callable(ref) else ref))
    if not reference < np.inf:
        raise EdgeSerError(f"ref must be a finite number, not {reference!r}")
    shift = -factor * np.log10(max(amin, reference))
    decibels: Floats = implementation().logarithm(values, amin, factor / np.log(10.0), shift)
    if top_db is not None and decibels.size:
        np.maximum(decibels, decibels.max() - np.float32(top_db), out=decibels)
    return decibels


def power_to_db(
    S: npt.ArrayLike,
    *,
    ref: float | Callable[[Floats], Any] = 1.0,
    amin: float = 1e-10,
    top_db: float | None = 80.0,
) -> Floats:
    """Powers in decibels, ``10 log10(max(S, amin) / ref)``.

    Parameters
    ----------
    S : any shape
        Powers, real and finite; negative ones count as 0.
    ref : float or callable
        0 dB, or what computes it from `S`, such as `numpy.max`.
    amin : float
        Smaller powers are raised to it.
    top_db : float or None
        Limit of the range below the largest; it depends on the whole of `S`, so streams need None.

    Returns
    -------
    float32, of the shape of `S`

    Raises
    ------
    EdgeSerError
        A value is out of its range, complex, NaN or infinite.
    """
    return _to_db(S, ref, amin, top_db, 10.0)


def amplitude_to_db(
    S: npt.ArrayLike,
    *,
    ref: float | Callable[[Floats], Any] = 1.0,
    amin: float = 1e-5,
    top_db: float | None = 80.0,
) -> Floats:
    """Magnitudes in decibels, ``20 log10(max(S, amin) / ref)``; otherwise as `power_to_db`."""
    return _to_db(S, ref, amin, top_db, 20.0)


def low_pass_weight(frames: float) -> float:
    """Weight of the newest frame in a first-order low-pass with a time constant of so many frames: above 0, up to 1.

    It is ``(sqrt(1 + 4 T**2) - 1) / (2 T**2)``, in a form that loses no digits for short ones and has no square of
    long ones.
    """
    return 2.0 / (1.0 + math.hypot(1.0, 2.0 * frames))


def pcen(
    S: npt.ArrayLike,
    *,
    sr: float = SAMPLE_RATE,
    hop_length: int = 512,
    gain: float = 0.98,
    bias: float = 2.0,
    power: float = 0.5,
    time_constant: float = 0.4,
    eps: float = 1e-6,
    b: float | None = None,
    zi: npt.ArrayLike | None = None,
    return_zf: bool = False,
) -> Any:
    """Per-channel energy normalisation: a logarithm's substitute that follows the level of each band.

    Causal; to stream it, ask for the state with `return_zf` and give it back as `zi`.

    Parameters
    ----------
    S : (frames, bands)
        Energies, not negative; librosa advises audio scaled by 2**31.
    sr, hop_length : float, int
        Sample rate in Hz and samples from frame to frame.
    gain, bias, power, time_constant, eps, b : float
        As `librosa.pcen`: `time_constant` in seconds sets the low-pass `b` unless that is given.
    zi : (bands,), optional
        State of the low-pass, librosa's: (1 - b) times its last value, not negative. The past is taken as 1 if not
        given.
    return_zf : bool
        Return the state after the last frame, too.

    Returns
    -------
    (frames, bands) float32
    zf : (bands,) float64
        With `return_zf`.

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """
    S = checked_spectrogram(S)
    if S.min(initial=0.0) < 0:
        raise EdgeSerError("pcen's S must not be negative: give energies, not decibels")
    if not all(0 <= value < math.inf for value in (gain, bias, power)):
        raise EdgeSerError("pcen's gain, bias and power must be finite and not negative")
    if not all(0 < value < math.inf for value in (eps, time_constant)):
        raise EdgeSerError("pcen's eps and time_constant must be finite and above 0")
    if b is None:
        b = low_pass_weight(time_constant * checked_rate(sr) / whole(hop_length, "hop_length"))
    if not 0 <= b <= 1:
        raise EdgeSerError(f"pcen's b must lie in 0..1, not {b!r}")
    state = np.full(S.shape[1], 1.0)
    if zi is not None:
        state = np.asarray(zi, np.float64)
        if state.shape != (S.shape[1],):
            raise EdgeSerError(f"pcen's zi must have the shape ({S.shape[1]},), not {state.shape}")
        if not ((state >= 0) & (state < math.inf)).all():
            raise EdgeSerError("pcen's zi must be finite and not negative")
        state = state / (1 - b) if b < 1 else state
    smooth, state = implementation().smooth(S, b, state)
    energy = S.astype(np.float64)
    level = np.exp(-gain * (np.log(eps) + np.log1p(smooth / eps)))
    if power == 0:
        out = np.log1p(energy * level)
    elif bias == 0:
        out = (energy * level) ** power
    else:
        out = bias**power * np.expm1(power * np.log1p(energy * level / bias))
    return (out.astype(np.float32), (1 - b) * state) if return_zf else out.astype(np.float32)
