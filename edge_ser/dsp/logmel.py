"""Log-mel, batch and streaming: one code path, so both agree bit for bit.

The arithmetic is NumPy's in double precision, rounded to float32 once at the end, and of a form
whose result for a frame does not depend on how many frames are computed with it: row-wise FFT,
element-wise products and a segmented sum. (A matrix product would not do: BLAS adds up in another
order for another number of rows.)
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.filters import mel_filters, window
from edge_ser.dsp.spec import MelSpec
from edge_ser.errors import EdgeSerError

__all__ = ["LogMelStream", "log_mel"]

_BLOCK_FRAMES = 128  # bounds working memory: 128 frames of 512 doubles are 0.5 MB


class _Plan(NamedTuple):
    """What `_log_mel_frames` needs of a spec, computed once."""

    window: npt.NDArray[np.float64]  # (n_fft,), zero-padded around win_length
    taps: npt.NDArray[np.intp]  # bins of all bands, one band after the other
    weights: npt.NDArray[np.float64]  # weight of each tap
    starts: npt.NDArray[np.intp]  # (n_mels,) where each band's taps begin


@functools.lru_cache(maxsize=16)
def _plan(spec: MelSpec) -> _Plan:
    padded = np.zeros(spec.n_fft)
    left = (spec.n_fft - spec.win_length) // 2
    padded[left : left + spec.win_length] = window(spec.window, spec.win_length)
    filters = mel_filters(spec)
    # A band without any bin keeps one tap of weight 0: reduceat has no empty segments.
    bands = [np.flatnonzero(row) if row.any() else np.array([0]) for row in filters]
    taps = np.concatenate(bands)
    rows = np.repeat(np.arange(spec.n_mels), [len(band) for band in bands])
    starts = np.cumsum([0] + [len(band) for band in bands[:-1]])
    return _Plan(padded, taps, filters[rows, taps], starts)


def _log_mel_frames(frames: npt.NDArray[np.float64], spec: MelSpec) -> npt.NDArray[np.float32]:
    """(frames, n_fft) -> (frames, n_mels)."""
    plan = _plan(spec)
    spectrum = np.fft.rfft(frames * plan.window)
    power = spectrum.real**2 + spectrum.imag**2
    if spec.power == 1.0:
        power = np.sqrt(power)
    mel = np.add.reduceat(power[:, plan.taps] * plan.weights, plan.starts, axis=1)
    if spec.log != "none":
        mel = np.maximum(mel, spec.floor)
        if spec.log == "ln":
            mel = np.log(mel)
        else:
            mel = np.log10(mel) * {"db": 20.0 / spec.power, "log10": 1.0}[spec.log]
    return ((mel - spec.mean) / spec.scale).astype(np.float32)


def _checked(x: npt.ArrayLike) -> npt.NDArray[np.float64]:
    x = np.asarray(x)
    if x.ndim != 1:
        raise EdgeSerError(f"audio must be one channel, shape (samples,), not {x.shape}: mix it down first")
    if not np.issubdtype(x.dtype, np.floating):
        raise EdgeSerError(f"audio must be floating point in -1..1, not {x.dtype}: divide int16 by 32768")
    if not np.isfinite(x).all():
        raise EdgeSerError(f"audio holds {int((~np.isfinite(x)).sum())} samples that are NaN or infinite")
    return x.astype(np.float64)


class LogMelStream:
    """Log-mel of audio that arrives in pieces; equal, bit for bit, to `log_mel` of the whole.

    Parameters
    ----------
    spec : MelSpec
        The front end.

    Examples
    --------
    >>> import numpy as np
    >>> stream = LogMelStream(MelSpec())
    >>> stream.push(np.zeros(500, np.float32)).shape
    (2, 64)
    """

    def __init__(self, spec: MelSpec) -> None:
        self.spec = spec
        self.reset()

    def reset(self) -> None:
        """Forget all audio heard: the next sample is the first."""
        spec = self.spec
        zeros = {"causal": spec.n_fft - spec.hop_length, "center": spec.n_fft // 2}.get(spec.padding, 0)
        self._pending = np.zeros(zeros)  # samples that a frame to come still needs
        self._skip = 0  # samples to come that no frame needs (hop_length > n_fft)
        self._mirror = spec.n_fft // 2 if spec.padding == "reflect" else 0  # left edge still to be reflected
        self._tail = np.zeros(0)  # the last samples, for the reflection of the right edge

    def push(self, x: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Take the next samples and return the frames that they complete.

        Parameters
        ----------
        x : (n,) floating point
            Audio in -1..1 at ``spec.sample_rate``; ``n`` may be 0.

        Returns
        -------
        (new_frames, n_mels) float32

        Raises
        ------
        EdgeSerError
            Not one channel, not floating point, or NaN or infinite samples; the stream is unchanged.
        """
        x = _checked(x)
        if self.spec.padding == "reflect":
            keep = self.spec.n_fft // 2 + 1
            self._tail = np.concatenate([self._tail, x])[-keep:]
        samples = np.concatenate([self._pending, x])
        if self._mirror:
            if len(samples) <= self._mirror:  # the reflection needs one sample more than it mirrors
                self._pending = samples
                return self._no_frames()
            samples = np.concatenate([samples[self._mirror : 0 : -1], samples])
            self._mirror = 0
        return self._frames_of(samples)

    def flush(self) -> npt.NDArray[np.float32]:
        """End the recording: the frames that only its right padding completes; then `reset`.

        Returns
        -------
        (new_frames, n_mels) float32
            None for the paddings 'causal' and 'none'.

        Raises
        ------
        EdgeSerError
            Padding 'reflect' and a recording of at most ``n_fft // 2`` samples.
        """
        half = self.spec.n_fft // 2
        frames = self._no_frames()
        if self.spec.padding == "center":
            frames = self._frames_of(np.concatenate([self._pending, np.zeros(half)]))
        elif self.spec.padding == "reflect":
            if self._mirror:
                raise EdgeSerError(f"{len(self._tail)} samples are too few to reflect at the edges; {half + 1} are needed")
            frames = self._frames_of(np.concatenate([self._pending, self._tail[-2 : -half - 2 : -1]]))
        self.reset()
        return frames

    def _no_frames(self) -> npt.NDArray[np.float32]:
        return np.zeros((0, self.spec.n_mels), np.float32)

    def _frames_of(self, samples: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Frames that are complete in `samples`; keeps what later ones need."""
        n_fft, hop = self.spec.n_fft, self.spec.hop_length
        skipped = min(self._skip, len(samples))
        self._skip -= skipped
        samples = samples[skipped:]
        count = max(0, (len(samples) - n_fft) // hop + 1)
        used = count * hop
        self._skip += max(0, used - len(samples))
        self._pending = samples[used:].copy()
        if count == 0:
            return self._no_frames()
        frames = np.lib.stride_tricks.sliding_window_view(samples, n_fft)[::hop]
        blocks = range(0, count, _BLOCK_FRAMES)
        return np.concatenate([_log_mel_frames(frames[i : i + _BLOCK_FRAMES], self.spec) for i in blocks])


def log_mel(x: npt.ArrayLike, spec: MelSpec) -> npt.NDArray[np.float32]:
    """Log-mel spectrogram of a recording.

    Parameters
    ----------
    x : (n,) floating point
        Audio in -1..1 at ``spec.sample_rate``.
    spec : MelSpec
        The front end.

    Returns
    -------
    (frames, n_mels) float32
        ``frames`` is ``n // hop_length`` for the padding 'causal' and librosa's count for the others.

    Raises
    ------
    EdgeSerError
        As `LogMelStream.push` and `LogMelStream.flush`.
    """
    stream = LogMelStream(spec)
    return np.concatenate([stream.push(x), stream.flush()])
