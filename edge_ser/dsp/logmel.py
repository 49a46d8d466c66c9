"""Log-mel, batch and streaming: one code path, so both agree bit for bit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.backends import backend, frames_of
from edge_ser.dsp.frames import Samples, require_finite
from edge_ser.dsp.spec import MelSpec
from edge_ser.errors import EdgeSerError

__all__ = ["LogMelStream", "log_mel"]


def _checked(x: npt.ArrayLike) -> Samples:
    x = np.asarray(x)
    if x.ndim != 1:
        raise EdgeSerError(f"audio must be one channel, shape (samples,), not {x.shape}: mix it down first")
    if x.dtype.kind != "f":
        raise EdgeSerError(f"audio must be floating point in -1..1, not {x.dtype}: divide int16 by 32768")
    if x.dtype.itemsize > 8:  # what a double cannot hold has to be found before a stream takes any of it
        with np.errstate(over="ignore"):
            return x.astype(np.float64)
    return x


class LogMelStream:
    """Log-mel of audio that arrives in pieces; equal, bit for bit, to `log_mel` of the whole.

    Not to be used from two threads at once.

    Parameters
    ----------
    spec : MelSpec
        The front end.

    Attributes
    ----------
    spec : MelSpec
        The front end.
    backend : {'c', 'numpy'}
        What it runs on, see `edge_ser.dsp.backend`.

    Raises
    ------
    EdgeSerError
        ``EDGE_SER_DSP`` forces a backend that is not to be had.

    Examples
    --------
    >>> import numpy as np
    >>> stream = LogMelStream(MelSpec())
    >>> stream.push(np.zeros(500, np.float32)).shape
    (2, 64)
    """

    def __init__(self, spec: MelSpec) -> None:
        self.spec = spec
        self.backend = backend(spec)
        self._frames = frames_of(spec)
        self.reset()

    def reset(self) -> None:
        """Forget all audio heard: the next sample is the first."""
        spec = self.spec
        self._frames.start(
            {"causal": spec.n_fft - spec.hop_length, "center": spec.n_fft // 2}.get(spec.padding, 0)
        )
        self._reflects = spec.padding == "reflect"
        self._mirror = spec.n_fft // 2 if self._reflects else 0  # left edge still to be reflected
        self._head: Samples = np.zeros(0)  # the first samples, until there are enough of them to reflect
        self._tail: Samples = np.zeros(0)  # the last samples, for the reflection of the right edge

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
        return self._push_reflecting(x) if self._reflects else self._frames.push(x)

    def _push_reflecting(self, x: Samples) -> npt.NDArray[np.float32]:
        require_finite(x)
        self._tail = np.concatenate([self._tail, x])[-(self.spec.n_fft // 2 + 1) :]
        if self._mirror:
            self._head = x = np.concatenate([self._head, x])
            if len(x) <= self._mirror:  # the reflection needs one sample more than it mirrors
                return self._frames.push(x[:0])
            x = np.concatenate([x[self._mirror : 0 : -1], x])
            self._mirror, self._head = 0, x[:0]
        return self._frames.push(x)

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
        if self._mirror:
            raise EdgeSerError(
                f"{len(self._tail)} samples are too few to reflect at the edges; {half + 1} are needed"
            )
        edge = {"center": np.zeros(half), "reflect": self._tail[-2 : -half - 2 : -1]}.get(self.spec.padding)
        frames = self._frames.push(np.zeros(0) if edge is None else edge)
        self.reset()
        return frames


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
