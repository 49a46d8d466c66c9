"""Energy and zero crossings of frames; named as in librosa, frames first."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.compute import implementation
from edge_ser.dsp.spectrum import (
    Floats,
    check_largest,
    checked_signal,
    checked_spectrogram,
    pad_signal,
    whole,
)
from edge_ser.errors import EdgeSerError

__all__ = ["rms", "zero_crossing_rate"]


def rms(
    y: npt.ArrayLike | None = None,
    *,
    S: npt.ArrayLike | None = None,
    frame_length: int = 2048,
    hop_length: int = 512,
    center: bool = True,
    pad_mode: str = "constant",
    threads: int = 1,
) -> Floats:
    """Root mean square of each frame.

    Parameters
    ----------
    y : (n,) floating point, optional
        Audio in -1..1.
    S : (frames, frame_length // 2 + 1), optional
        Magnitude spectrogram to take instead of `y`.
    frame_length, hop_length : int
        Samples of a frame and from frame to frame.
    center, pad_mode, threads
        See `edge_ser.dsp.spectrum.Framing`.

    Returns
    -------
    (frames,) float32

    Raises
    ------
    EdgeSerError
        Bad audio or a value out of its range.
    """
    frame_length = whole(frame_length, "frame_length")
    if y is not None:
        x = checked_signal(y)
        if center:
            x = pad_signal(x, frame_length // 2, pad_mode)
        hop = whole(hop_length, "hop_length")
        return np.sqrt(implementation().mean_square(x, frame_length, hop, whole(threads, "threads")))
    if S is None:
        raise EdgeSerError("either audio y or a spectrogram S is needed")
    spectra = checked_spectrogram(S)
    if spectra.shape[1] != frame_length // 2 + 1:
        raise EdgeSerError(
            f"S has {spectra.shape[1]} bins, but frame_length {frame_length} {frame_length // 2 + 1}"
        )
    check_largest(spectra, 1)
    shares = _shares(frame_length)
    return np.sqrt(implementation().weigh(spectra * spectra, shares, whole(threads, "threads"))[:, 0])


@functools.lru_cache(maxsize=4)
def _shares(frame_length: int) -> npt.NDArray[np.float64]:
    """What each bin of a power spectrum adds to the mean square."""
    shares = np.full(
        (1, frame_length // 2 + 1), 2.0 / frame_length**2
    )  # a bin stands for its mirror image, too
    shares[0, 0] /= 2
    if frame_length % 2 == 0:
        shares[0, -1] /= 2
    shares.setflags(write=False)
    return shares


def zero_crossing_rate(
    y: npt.ArrayLike,
    *,
    frame_length: int = 2048,
    hop_length: int = 512,
    center: bool = True,
    threshold: float = 1e-10,
) -> Floats:
    """Share of a frame's samples whose sign differs from that of the sample before, within the frame.

    Parameters
    ----------
    y : (n,) floating point
        Audio in -1..1.
    frame_length, hop_length : int
        Samples of a frame and from frame to frame.
    center : bool
        Frame ``k`` is centred at ``k * hop_length``; the ends are continued by their samples.
    threshold : float
        Samples not beyond it are taken as positive zeros; not negative.

    Returns
    -------
    (frames,) float32
        0..1.

    Raises
    ------
    EdgeSerError
        Bad audio or a value out of its range.
    """
    if not threshold >= 0:
        raise EdgeSerError(f"threshold must not be negative, but is {threshold!r}")
    x = checked_signal(y)
    length, hop = whole(frame_length, "frame_length"), whole(hop_length, "hop_length")
    if center:
        x = pad_signal(x, length // 2, "edge")
    if len(x) < length:
        return np.zeros(0, np.float32)
    negative = x < -np.float32(threshold)
    before = np.zeros(len(x), np.int64)  # changes of sign up to each sample
    np.cumsum(negative[1:] != negative[:-1], out=before[1:])
    changes = before[length - 1 :: hop] - before[: len(x) - length + 1 : hop]
    return (changes / length).astype(np.float32)
