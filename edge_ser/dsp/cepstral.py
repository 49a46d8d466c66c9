"""Cepstra: cosine transforms, MFCC and their slopes over time; named as in librosa, frames first."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.compute import implementation
from edge_ser.dsp.levels import power_to_db
from edge_ser.dsp.spectrum import SAMPLE_RATE, Floats, checked_spectrogram, melspectrogram, whole
from edge_ser.errors import EdgeSerError

__all__ = ["dct", "dct_matrix", "delta", "delta_weights", "mfcc"]


@functools.lru_cache(maxsize=16)
def dct_matrix(size: int, count: int, kind: int = 2, norm: str | None = "ortho") -> npt.NDArray[np.float64]:
    """Cosine transform as a matrix, as `scipy.fft.dct` defines it.

    Parameters
    ----------
    size, count : int
        Length of the input; outputs wanted, the first ones.
    kind : {1, 2, 3, 4}
        Type.
    norm : {'ortho', None}
        Orthonormal, or SciPy's "backward".

    Returns
    -------
    (count, size) float64

    Raises
    ------
    EdgeSerError
        Unknown type or norm, more outputs than inputs, or type 1 of one number.
    """
    if kind not in (1, 2, 3, 4) or norm not in ("ortho", None):
        raise EdgeSerError(
            f"dct type must be 1, 2, 3 or 4 and norm 'ortho' or None, not {kind!r} and {norm!r}"
        )
    if not 1 <= count <= size or (kind == 1 and size < 2):
        raise EdgeSerError(f"a dct of type {kind} of {size} numbers has no {count} coefficients")
    k, n = np.arange(count)[:, None], np.arange(size)[None, :]
    if kind == 1:
        matrix = 2 * np.cos(np.pi * k * n / (size - 1))
        matrix[:, [0, -1]] /= 2
        if norm:
            matrix[:, [0, -1]] *= math.sqrt(2)
            edge = (k == 0) | (k == size - 1)
            matrix *= np.where(edge, math.sqrt(0.5), 1.0) / math.sqrt(2 * (size - 1))
    elif kind == 2:
        matrix = 2 * np.cos(np.pi * k * (2 * n + 1) / (2 * size))
        if norm:
            matrix *= np.where(k == 0, math.sqrt(0.5), 1.0) / math.sqrt(2 * size)
    elif kind == 3:
        matrix = 2 * np.cos(np.pi * (2 * k + 1) * n / (2 * size))
        matrix[:, 0] /= 2
        if norm:
            matrix[:, 0] *= math.sqrt(2)
            matrix /= math.sqrt(2 * size)
    else:
        matrix = 2 * np.cos(np.pi * (2 * k + 1) * (2 * n + 1) / (4 * size))
        if norm:
            matrix /= math.sqrt(2 * size)
    matrix.setflags(write=False)
    return matrix


def dct(x: npt.ArrayLike, *, type: int = 2, n: int | None = None, norm: str | None = "ortho") -> Floats:
    """Cosine transform of each row.

    Parameters
    ----------
    x : (frames, size)
        Real numbers.
    type : {1, 2, 3, 4}
        As in `scipy.fft.dct`.
    n : int, optional
        Coefficients wanted, the first ones; all if not given.
    norm : {'ortho', None}
        Orthonormal, or SciPy's "backward".

    Returns
    -------
    (frames, n) float32

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """
    rows = checked_spectrogram(x, "x")
    count = rows.shape[1] if n is None else whole(n, "n")
    return implementation().weigh(rows, dct_matrix(rows.shape[1], count, type, norm))


def mfcc(
    y: npt.ArrayLike | None = None,
    *,
    sr: int = SAMPLE_RATE,
    S: npt.ArrayLike | None = None,
    n_mfcc: int = 20,
    dct_type: int = 2,
    norm: str | None = "ortho",
    lifter: float = 0.0,
    top_db: float | None = 80.0,
    mel_norm: str | None = "slaney",
    **mel: Any,
) -> Floats:
    """Mel-frequency cepstral coefficients.

    Parameters
    ----------
    y : (n,) floating point, optional
        Audio in -1..1.
    sr : int
        Its sample rate in Hz.
    S : (frames, bands), optional
        Log-mel spectrogram (decibels) to take instead of `y`.
    n_mfcc : int
        Coefficients, at most as many as there are mel bands.
    dct_type, norm
        See `dct`.
    lifter : float
        Above 0: coefficient ``n`` is multiplied by ``1 + lifter / 2 * sin(pi * (n + 1) / lifter)``.
    top_db : float or None
        Of the decibels, see `edge_ser.dsp.levels.power_to_db`: librosa's 80, or None for streams.
    mel_norm, **mel
        See `edge_ser.dsp.spectrum.melspectrogram`.

    Returns
    -------
    (frames, n_mfcc) float32

    Raises
    ------
    EdgeSerError
        Bad audio or a value out of its range.
    """
    if not 0 <= lifter < math.inf:
        raise EdgeSerError(f"lifter must be finite and not negative, but is {lifter!r}")
    if S is None:
        S = power_to_db(melspectrogram(y, sr=sr, norm=mel_norm, **mel), top_db=top_db)
    cepstra = dct(S, type=dct_type, n=n_mfcc, norm=norm)
    if lifter > 0:
        ripple = 1 + lifter / 2 * np.sin(np.pi * np.arange(1, n_mfcc + 1) / lifter)
        cepstra *= ripple.astype(np.float32)
    return cepstra


@functools.lru_cache(maxsize=16)
def delta_weights(width: int, order: int) -> npt.NDArray[np.float64]:
    """Weights of `width` neighbours for the `order`-th derivative of the polynomial fitted to them."""
    if width < 3 or width % 2 == 0:
        raise EdgeSerError(f"width must be odd and at least 3, not {width}")
    if not order < width:
        raise EdgeSerError(f"order {order} needs a width above it, not {width}")
    times = np.arange(width) - width // 2
    fit = np.linalg.pinv(np.vander(times, order + 1, increasing=True).astype(np.float64))
    weights = fit[order] * math.factorial(order)
    weights.setflags(write=False)
    return weights


def slopes(rows: Floats, weights: npt.NDArray[np.float64]) -> Floats:
    """Sums of neighbouring rows: (frames, dims) -> (frames - width + 1, dims)."""
    count = len(rows) - len(weights) + 1
    total = np.zeros((count, rows.shape[1]))
    for i, weight in enumerate(weights):
        if weight:
            total += weight * rows[i : i + count]
    return total.astype(np.float32)


_DELTA_MODES = {"nearest": "edge", "mirror": "reflect", "wrap": "wrap", "constant": "constant"}


def delta(data: npt.ArrayLike, *, width: int = 9, order: int = 1, mode: str = "interp") -> Floats:
    """Slope of each column over time (Savitzky-Golay), `order` 2 for the slope of the slope.

    Parameters
    ----------
    data : (frames, dims)
        Feature by frame.
    width : int
        Frames that a slope is fitted to, odd, at least 3.
    order : int
        Of the derivative, and of the polynomial.
    mode : {'interp', 'nearest', 'mirror', 'wrap', 'constant'}
        What stands for the frames beyond the ends; 'interp': the fit to the first or last `width` frames.

    Returns
    -------
    (frames, dims) float32
        Per frame to the power of `order`.

    Raises
    ------
    EdgeSerError
        A value is out of its range; with 'interp', fewer frames than `width`.
    """
    rows = checked_spectrogram(data, "data")
    weights = delta_weights(whole(width, "width"), whole(order, "order"))
    half = width // 2
    if mode == "interp":
        if len(rows) < width:
            raise EdgeSerError(f"{len(rows)} frames are fewer than the width of {width}: use mode 'nearest'")
        inner = slopes(rows, weights)
        return np.pad(inner, ((half, half), (0, 0)), mode="edge")  # that fit's highest derivative is constant
    if mode not in _DELTA_MODES:
        raise EdgeSerError(f"mode must be 'interp' or one of {', '.join(_DELTA_MODES)}, not {mode!r}")
    if not len(rows):
        return rows
    padded = np.pad(rows, ((half, half), (0, 0)), mode=_DELTA_MODES[mode])  # type: ignore[call-overload]
    return slopes(padded, weights)
