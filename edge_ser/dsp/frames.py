"""The arithmetic of a log-mel frame in NumPy: the reference, and what runs where nothing is compiled.

It is in double precision, rounded to float32 once at the end, and of a form whose result for a frame
does not depend on how many frames are computed with it: row-wise FFT, element-wise products and a
segmented sum. (A matrix product would not do: BLAS adds up in another order for another number of rows.)
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.filters import mel_filters, window
from edge_ser.dsp.spec import MelSpec
from edge_ser.errors import EdgeSerError

__all__ = ["Frames", "NumpyFrames", "Samples", "Tables", "require_finite", "tables"]

Samples = npt.NDArray[np.floating[Any]]

_BLOCK_FRAMES = 128  # bounds working memory: 128 frames of 512 doubles are 0.5 MB


class Frames(Protocol):
    """Log-mel frames of samples that arrive in pieces, without any padding."""

    def start(self, zeros: int) -> None:
        """Forget all that was heard, and begin with ``zeros`` samples of 0, fewer than ``n_fft``."""

    def push(self, x: Samples) -> npt.NDArray[np.float32]:
        """(n,) samples -> the (new_frames, n_mels) that they complete.

        Raises
        ------
        EdgeSerError
            NaN or infinite samples; nothing has changed.
        """


class Tables(NamedTuple):
    """What the arithmetic needs of a spec."""

    window: npt.NDArray[np.float64]  # (n_fft,), zero-padded around win_length
    taps: npt.NDArray[np.intp]  # bins of all bands, one band after the other
    weights: npt.NDArray[np.float64]  # weight of each tap
    starts: npt.NDArray[np.intp]  # (n_mels,) where each band's taps begin


@functools.lru_cache(maxsize=16)
def tables(spec: MelSpec) -> Tables:
    """Window and sparse mel filters of a spec; a band's taps are consecutive bins."""
    padded = np.zeros(spec.n_fft)
    left = (spec.n_fft - spec.win_length) // 2
    padded[left : left + spec.win_length] = window(spec.window, spec.win_length)
    filters = mel_filters(spec)
    # A band without any bin keeps one tap of weight 0: reduceat has no empty segments.
    bands = [np.flatnonzero(row) if row.any() else np.array([0]) for row in filters]
    taps = np.concatenate(bands)
    rows = np.repeat(np.arange(spec.n_mels), [len(band) for band in bands])
    starts = np.cumsum([0] + [len(band) for band in bands[:-1]])
    return Tables(padded, taps, filters[rows, taps], starts)


def require_finite(x: Samples) -> None:
    """Refuse NaN and infinite samples."""
    finite = np.isfinite(x)
    if not finite.all():
        raise EdgeSerError(f"audio holds {int((~finite).sum())} samples that are NaN or infinite")


def _log_mel_frames(frames: npt.NDArray[np.float64], spec: MelSpec, table: Tables) -> npt.NDArray[np.float32]:
    """(frames, n_fft) -> (frames, n_mels)."""
    spectrum = np.fft.rfft(frames * table.window)
    power = spectrum.real**2 + spectrum.imag**2
    if spec.power == 1.0:
        power = np.sqrt(power)
    mel = np.add.reduceat(power[:, table.taps] * table.weights, table.starts, axis=1)
    if spec.log != "none":
        mel = np.maximum(mel, spec.floor)
        if spec.log == "ln":
            mel = np.log(mel)
        else:
            mel = np.log10(mel) * {"db": 20.0 / spec.power, "log10": 1.0}[spec.log]
    return ((mel - spec.mean) / spec.scale).astype(np.float32)


class NumpyFrames:
    """`Frames` in NumPy."""

    def __init__(self, spec: MelSpec) -> None:
        self._spec = spec
        self._tables = tables(spec)
        self.start(0)

    def start(self, zeros: int) -> None:
        """See `Frames.start`."""
        self._pending = np.zeros(zeros)  # samples that a frame to come still needs
        self._skip = 0  # samples to come that no frame needs (hop_length > n_fft)

    def push(self, x: Samples) -> npt.NDArray[np.float32]:
        """See `Frames.push`."""
        require_finite(x)
        spec = self._spec
        samples = np.concatenate([self._pending, x.astype(np.float64, copy=False)])
        skipped = min(self._skip, len(samples))
        self._skip -= skipped
        samples = samples[skipped:]
        count = max(0, (len(samples) - spec.n_fft) // spec.hop_length + 1)
        used = count * spec.hop_length
        self._skip += max(0, used - len(samples))
        self._pending = samples[used:].copy()
        if count == 0:
            return np.zeros((0, spec.n_mels), np.float32)
        if count == 1:  # hop by hop, the view below would cost as much as the arithmetic
            return _log_mel_frames(samples[None, : spec.n_fft], spec, self._tables)
        frames = np.lib.stride_tricks.sliding_window_view(samples, spec.n_fft)[:: spec.hop_length]
        blocks = range(0, count, _BLOCK_FRAMES)
        return np.concatenate(
            [_log_mel_frames(frames[i : i + _BLOCK_FRAMES], spec, self._tables) for i in blocks]
        )
