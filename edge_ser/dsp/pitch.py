"""Fundamental frequency; named as in librosa, frames first."""

from __future__ import annotations

import math
from typing import Literal, overload

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.compute import implementation
from edge_ser.dsp.spectrum import SAMPLE_RATE, Floats, checked_rate, checked_signal, pad_signal, whole
from edge_ser.errors import EdgeSerError

__all__ = ["yin"]


@overload
def yin(
    y: npt.ArrayLike,
    *,
    fmin: float,
    fmax: float,
    sr: float = SAMPLE_RATE,
    frame_length: int = 2048,
    hop_length: int | None = None,
    trough_threshold: float = 0.1,
    center: bool = True,
    pad_mode: str = "constant",
    threads: int = 1,
    return_aperiodicity: Literal[False] = False,
) -> Floats: ...
@overload
def yin(
    y: npt.ArrayLike,
    *,
    fmin: float,
    fmax: float,
    sr: float = SAMPLE_RATE,
    frame_length: int = 2048,
    hop_length: int | None = None,
    trough_threshold: float = 0.1,
    center: bool = True,
    pad_mode: str = "constant",
    threads: int = 1,
    return_aperiodicity: Literal[True],
) -> tuple[Floats, Floats]: ...
def yin(
    y: npt.ArrayLike,
    *,
    fmin: float,
    fmax: float,
    sr: float = SAMPLE_RATE,
    frame_length: int = 2048,
    hop_length: int | None = None,
    trough_threshold: float = 0.1,
    center: bool = True,
    pad_mode: str = "constant",
    threads: int = 1,
    return_aperiodicity: bool = False,
) -> Floats | tuple[Floats, Floats]:
    """Fundamental frequency of each frame by YIN (de Cheveigne and Kawahara, 2002).

    Parameters
    ----------
    y : (n,) floating point
        Audio in -1..1.
    fmin, fmax : float
        Range in Hz; a frame has to hold more than one period of `fmin`.
    sr : float
        Sample rate in Hz.
    frame_length : int
        Samples of a frame.
    hop_length : int, optional
        Samples from frame to frame; a quarter of the frame if not given.
    trough_threshold : float
        Periods whose normalised difference is below it are periods; the shortest is taken.
    center, pad_mode, threads
        See `edge_ser.dsp.spectrum.Framing`.
    return_aperiodicity : bool
        Return the normalised difference at the period, too: 0 for a periodic frame, 1 and more for noise,
        so below 0.1 to 0.2 in voiced speech.

    Returns
    -------
    f0 : (frames,) float32
        Hz. Every frame has one: an unvoiced frame's means nothing.
    aperiodicity : (frames,) float32
        With `return_aperiodicity`.

    Raises
    ------
    EdgeSerError
        Bad audio or a value out of its range.
    """
    length = whole(frame_length, "frame_length", 3)
    hop = max(1, length // 4) if hop_length is None else whole(hop_length, "hop_length")
    if not 0 < fmin < fmax <= checked_rate(sr) / 2:
        raise EdgeSerError(f"yin needs 0 < fmin < fmax <= {sr / 2:g} Hz, not {fmin!r} and {fmax!r}")
    low, high = math.floor(sr / fmax), min(math.ceil(sr / fmin), length - 1)
    if sr / fmin >= length - 1 or high - low < 2:
        raise EdgeSerError(
            f"a frame of {length} samples does not hold the periods of {fmin:g} to {fmax:g} Hz"
        )
    x = checked_signal(y)
    if center:
        x = pad_signal(x, length // 2, pad_mode)
    found = implementation().yin(
        x, length, hop, low, high, float(trough_threshold), whole(threads, "threads")
    )
    f0 = (np.float32(sr) / found[:, 0]).astype(np.float32)
    return (f0, found[:, 1].copy()) if return_aperiodicity else f0
