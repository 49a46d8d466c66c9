"""Noise reduction by spectral gating: what hardly rises over the band's own slow level is turned down.

The method is that of the package noisereduce in its non-stationary form (Sainburg, Thielk and Gentner 2020), written
from its description, but for one thing: there a clean tone loses a third of its power, since the mask is a mean over
more bins than a tone fills; here what stands out together with its surroundings is kept whole.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.filters import window
from edge_ser.dsp.levels import low_pass_weight
from edge_ser.dsp.spectrum import checked_rate, whole
from edge_ser.errors import EdgeSerError

__all__ = ["spectral_gate"]

_SLOPE = 10.0  # of the mask over how far a point rises


def spectral_gate(
    wave: npt.ArrayLike,
    sample_rate: int = 16000,
    *,
    reduction: float = 1.0,
    threshold: float = 2.0,
    seconds: float = 2.0,
    n_fft: int = 1024,
) -> npt.NDArray[np.float32]:
    """A recording with its steady background turned down.

    Parameters
    ----------
    wave : (n,) floating point
        Audio in -1..1.
    sample_rate : int
        Hz.
    reduction : float
        Share of the background that is taken away, 0..1; 0 gives the recording back.
    threshold : float
        A point stays where it rises so many times its band's slow level above that level. The slow level holds the
        voice too: of one that speaks half of the time, 2 (the published value) takes a third of the power, 1 a tenth.
    seconds : float
        Time constant of the slow level, finite, smoothed forwards and backwards.
    n_fft : int
        Samples of a frame; the hop is a quarter.

    Returns
    -------
    (n,) float32

    Raises
    ------
    EdgeSerError
        Not one channel of finite floating point numbers, or a value out of its range.
    """
    x = np.asarray(wave)
    with np.errstate(over="ignore"):  # the answer is float32, so what that cannot hold counts as infinite
        if x.ndim != 1 or x.dtype.kind != "f" or not np.isfinite(x.astype(np.float32)).all():
            raise EdgeSerError("noise is reduced in one row of finite floating point samples")
    checked_rate(sample_rate, "sample_rate")
    n_fft = whole(n_fft, "n_fft")
    if not (
        0 <= reduction <= 1 and threshold > 0 and 0 < seconds < np.inf and n_fft >= 16 and n_fft % 4 == 0
    ):
        raise EdgeSerError(
            "noise reduction needs a reduction of 0 to 1, threshold and seconds above 0, the latter finite, and frames "
            "of 16 samples or more, a multiple of 4"
        )
    if not len(x) or reduction == 0:
        return x.astype(np.float32)
    hop, taper = n_fft // 4, window("hann", n_fft).astype(np.float64)
    count = 1 + -(-len(x) // hop)
    padded = np.zeros((count - 1) * hop + n_fft)
    padded[n_fft // 2 : n_fft // 2 + len(x)] = x
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    spectrum = np.fft.rfft(frames * taper, axis=1)
    mask = _mask(np.abs(spectrum), threshold, max(1.0, seconds * sample_rate / hop))
    back = np.fft.irfft(spectrum * (1 - reduction * (1 - mask)), n_fft, axis=1) * taper
    out, weight = np.zeros_like(padded), np.zeros_like(padded)
    for k, frame in enumerate(back):
        out[k * hop : k * hop + n_fft] += frame
        weight[k * hop : k * hop + n_fft] += taper**2
    out /= np.maximum(weight, 1e-8)
    return out[n_fft // 2 : n_fft // 2 + len(x)].astype(np.float32)


def _mask(magnitude: npt.NDArray[np.float64], threshold: float, frames: float) -> npt.NDArray[np.float64]:
    """0..1 for each frame and bin, smoothed over neighbours."""
    share = low_pass_weight(frames)
    slow = _smoothed(_smoothed(magnitude, share)[::-1], share)[::-1]
    rise = (magnitude - slow) / np.maximum(slow, 1e-12)
    gate = 1 / (1 + np.exp(-np.clip(_SLOPE * (rise - threshold), -60, 60)))
    mask = gate
    for axis, width in ((0, 3), (1, 9)):  # about 50 ms and 140 Hz of a voice's frames
        triangle = np.bartlett(width + 2)[1:-1]
        triangle /= triangle.sum()
        edge = [(width // 2, width // 2) if a == axis else (0, 0) for a in (0, 1)]
        wide = np.pad(mask, edge, mode="edge")
        mask = sum(
            part * np.take(wide, np.arange(k, k + mask.shape[axis]), axis) for k, part in enumerate(triangle)
        )
    # A mean alone takes a third of the power of a clean tone, which fills few bins: where half of the surroundings is
    # open too, a point keeps all that its own gate lets through. A peak of the noise stands alone.
    return np.maximum(mask, np.minimum(gate, 2 * mask))


def _smoothed(rows: npt.NDArray[np.float64], share: float) -> npt.NDArray[np.float64]:
    """A one-pole low-pass over the first axis, that begins at its first row."""
    out = np.empty_like(rows)
    level = rows[0]
    for k, row in enumerate(rows):
        level = level + share * (row - level)
        out[k] = level
    return out
