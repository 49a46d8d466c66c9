"""Onsets and tempo; named as in librosa, frames first."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.compute import implementation
from edge_ser.dsp.filters import window as window_of
from edge_ser.dsp.levels import power_to_db
from edge_ser.dsp.spectrum import (
    SAMPLE_RATE,
    Floats,
    checked_rate,
    checked_spectrogram,
    melspectrogram,
    whole,
)
from edge_ser.errors import EdgeSerError

__all__ = ["level_rises", "onset_strength", "tempo", "tempogram"]


def onset_strength(
    y: npt.ArrayLike | None = None,
    *,
    sr: int = SAMPLE_RATE,
    S: npt.ArrayLike | None = None,
    lag: int = 1,
    n_fft: int = 2048,
    hop_length: int = 512,
    center: bool = True,
    top_db: float | None = 80.0,
    **mel: Any,
) -> Floats:
    """How much the level of the mel bands rises from frame to frame, on average.

    Parameters
    ----------
    y : (n,) floating point, optional
        Audio in -1..1.
    sr : int
        Its sample rate in Hz.
    S : (frames, bands), optional
        Log-mel spectrogram (decibels) to take instead of `y`.
    lag : int
        Frames between the two that are compared.
    n_fft, hop_length : int
        Samples of a frame and from frame to frame.
    center : bool
        Shift by half a frame, so that a frame's number says when the onset was.
    top_db : float or None
        See `edge_ser.dsp.levels.power_to_db`.
    **mel
        See `edge_ser.dsp.spectrum.melspectrogram`.

    Returns
    -------
    (frames,) float32
        Decibels, not negative.

    Raises
    ------
    EdgeSerError
        Bad audio or a value out of its range.
    """
    lag, n_fft, hop_length = whole(lag, "lag"), whole(n_fft, "n_fft"), whole(hop_length, "hop_length")
    if S is None:
        power = melspectrogram(y, sr=sr, n_fft=n_fft, hop_length=hop_length, center=center, **mel)
        S = power_to_db(power, top_db=top_db)
    rises, _ = level_rises(S, lag=lag)
    before = n_fft // (2 * hop_length) if center else 0
    return np.concatenate([np.zeros(before, np.float32), rises])[: len(rises)]


def level_rises(
    S: npt.ArrayLike, *, lag: int = 1, zi: npt.ArrayLike | None = None
) -> tuple[Floats, npt.NDArray[np.float32]]:
    """Mean rise of the bands since `lag` frames before, with the state that lets it go on.

    Parameters
    ----------
    S : (frames, bands)
        Log-mel spectrogram (decibels).
    lag : int
        Frames between the two that are compared.
    zi : (lag, bands), optional
        The frames before `S`, as an earlier call returned them; the first `lag` frames are 0 without.

    Returns
    -------
    rises : (frames,) float32
    zf : (up to lag, bands) float32

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """
    levels, lag = checked_spectrogram(S), whole(lag, "lag")
    known = levels[:0] if zi is None else checked_spectrogram(zi, "zi")
    if known.shape[1] != levels.shape[1]:
        raise EdgeSerError(f"zi has {known.shape[1]} bands, but S {levels.shape[1]}")
    together = np.concatenate([known, levels])
    rises = np.maximum(together[lag:] - together[:-lag], 0.0).mean(axis=1, dtype=np.float64)
    out = np.concatenate([np.zeros(min(lag, len(together))), rises])[len(known) :]
    return out.astype(np.float32), together[-lag:]


def tempogram(
    onset_envelope: npt.ArrayLike, *, win_length: int = 384, center: bool = True, window: str = "hann"
) -> Floats:
    """Autocorrelation of the onsets about each frame.

    Parameters
    ----------
    onset_envelope : (frames,)
        See `onset_strength`.
    win_length : int
        Frames that are correlated with themselves.
    center : bool
        Frame ``k`` of the answer is about frame ``k``.
    window : str
        See `edge_ser.dsp.filters.window`.

    Returns
    -------
    (frames, win_length) float32
        Lag by lag, the largest being 1; all 0 where there are no onsets. Without `center` there are
        ``win_length - 1`` frames fewer, or none.

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """
    envelope = np.ascontiguousarray(onset_envelope, np.float32)
    if envelope.ndim != 1 or not np.isfinite(envelope).all():
        raise EdgeSerError("onset_envelope must be finite numbers, one a frame")
    size, count = whole(win_length, "win_length"), len(envelope)
    if center and count:
        # librosa's ramps from the ends down to 0
        envelope = np.pad(envelope, size // 2, mode="linear_ramp", end_values=0)
    rows: Floats = implementation().autocorrelation(envelope, window_of(window, size), 1, size)
    rows = rows[:count]
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    return (rows / np.where(largest < np.finfo(np.float32).tiny, 1.0, largest)).astype(np.float32)


def tempo(
    y: npt.ArrayLike | None = None,
    *,
    sr: int = SAMPLE_RATE,
    onset_envelope: npt.ArrayLike | None = None,
    hop_length: int = 512,
    start_bpm: float = 120.0,
    std_bpm: float = 1.0,
    ac_size: float = 8.0,
    max_tempo: float | None = 320.0,
) -> float:
    """Tempo of a recording from the periodicity of its onsets.

    Parameters
    ----------
    y : (n,) floating point, optional
        Audio in -1..1.
    sr : int
        Its sample rate in Hz.
    onset_envelope : (frames,), optional
        Onsets to take instead of `y`.
    hop_length : int
        Samples from frame to frame.
    start_bpm, std_bpm : float
        Middle and width (in octaves) of what is expected.
    ac_size : float
        Seconds of onsets that are correlated with themselves.
    max_tempo : float or None
        This and faster ones are left out.

    Returns
    -------
    float
        Beats a minute.

    Raises
    ------
    EdgeSerError
        Bad audio or a value out of its range.
    """
    if not (start_bpm > 0 and std_bpm > 0):
        raise EdgeSerError(f"start_bpm and std_bpm must be above 0, not {start_bpm!r} and {std_bpm!r}")
    seconds = ac_size * checked_rate(sr) / whole(hop_length, "hop_length")
    size = int(seconds) if seconds < math.inf else 0  # also of NaN
    if size < 2:
        raise EdgeSerError(f"ac_size {ac_size!r} s holds no two frames")
    if onset_envelope is None:
        onset_envelope = onset_strength(y, sr=sr, hop_length=hop_length)
    strength = tempogram(onset_envelope, win_length=size)
    if not len(strength):
        raise EdgeSerError("the recording is too short for a tempo")
    bpm = 60.0 * sr / (hop_length * np.arange(1, size))  # of the lags from 1 on
    prior = -0.5 * (np.log2(bpm / start_bpm) / std_bpm) ** 2
    if max_tempo is not None:
        if not bpm[-1] < max_tempo:
            raise EdgeSerError(f"max_tempo {max_tempo!r} leaves out all that ac_size {ac_size!r} s can tell")
        prior[bpm >= max_tempo] = -np.inf
    likely = np.log1p(1e6 * strength.mean(axis=0, dtype=np.float64)[1:]) + prior
    return float(bpm[np.argmax(likely)])
