"""Features of audio that arrives in pieces, equal bit for bit to those of the whole.

Three forms cover all: `FrameStream` for what is computed frame by frame, `RowStream` for what carries a state
from frame to frame, `DeltaStream` for what looks a few frames ahead. They can be chained.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.cepstral import delta_weights, slopes
from edge_ser.dsp.spectrum import Floats, checked_signal, checked_spectrogram, whole
from edge_ser.errors import EdgeSerError

__all__ = ["DeltaStream", "FrameState", "FrameStream", "RowStream"]


@dataclasses.dataclass
class FrameState:
    """What a `FrameStream` remembers.

    Attributes
    ----------
    pending : (fewer than a frame,) float32
        Samples that a frame to come still needs.
    skip : int
        Samples to come that no frame needs (``hop_length`` longer than a frame).
    last : float or None
        The last sample heard; None before the first.
    """

    pending: Floats
    skip: int = 0
    last: float | None = None


class FrameStream:
    """Any frame-by-frame feature of audio that arrives in pieces.

    Parameters
    ----------
    feature : callable
        A function of `edge_ser.dsp.features` that takes audio: `spectral_centroid`, `rms`, `yin`,
        `frame_features`, ... It is called with ``center=False`` on samples that hold whole frames. What looks
        at the whole recording has to be switched off: ``top_db=None``, ``tuning=0.0``.
    hop_length : int
        Samples from frame to frame.
    n_fft, frame_length : int
        Samples of a frame, by the name by which `feature` takes it; one of the two.
    center : bool
        As the batch form: frame ``k`` is centred at ``k * hop_length``, so it is complete half a frame later.
    pad_mode : {'constant', 'edge'}
        What the ends are continued by; 'edge' for `zero_crossing_rate`, as in the batch form.
    **options
        Further arguments of `feature`.

    Attributes
    ----------
    state : FrameState
        All that is remembered; it may be copied, stored and put back.

    Raises
    ------
    EdgeSerError
        A value is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> from edge_ser.dsp.features import rms
    >>> stream = FrameStream(rms, frame_length=400, hop_length=160, center=False)
    >>> stream.push(np.zeros(500, np.float32)).shape
    (1,)
    """

    def __init__(
        self,
        feature: Callable[..., Any],
        *,
        hop_length: int,
        n_fft: int | None = None,
        frame_length: int | None = None,
        center: bool = True,
        pad_mode: str = "constant",
        **options: Any,
    ) -> None:
        if (n_fft is None) == (frame_length is None):
            raise EdgeSerError("a FrameStream needs either n_fft or frame_length")
        if pad_mode not in ("constant", "edge"):
            raise EdgeSerError(f"a stream's pad_mode may be 'constant' or 'edge', not {pad_mode!r}")
        name = "frame_length" if n_fft is None else "n_fft"
        self._length = whole(frame_length if n_fft is None else n_fft, name)
        self._hop = whole(hop_length, "hop_length")
        self._half = self._length // 2 if center else 0
        self._edge = pad_mode == "edge"
        fixed = {name: self._length, "hop_length": self._hop, "center": False}
        self._feature = functools.partial(feature, **fixed, **options)
        self.reset()

    def reset(self) -> None:
        """Forget all audio heard: the next sample is the first."""
        zeros = 0 if self._edge else self._half
        self.state = FrameState(np.zeros(zeros, np.float32))

    def push(self, x: npt.ArrayLike) -> Any:
        """Take the next samples and return the feature of the frames that they complete.

        Parameters
        ----------
        x : (n,) floating point
            Audio in -1..1; ``n`` may be 0.

        Returns
        -------
        what the feature returns
            With as many frames as there are new ones, perhaps none.

        Raises
        ------
        EdgeSerError
            Not one channel, not floating point, or NaN or infinite samples; the stream is unchanged.
        """
        samples = checked_signal(x)
        if not len(samples):
            return self._feature(samples)
        if self._edge and self.state.last is None:
            samples = np.concatenate([np.full(self._half, samples[0]), samples])
        return self._take(samples, float(samples[-1]))

    def flush(self) -> Any:
        """End the recording: the frames that only its right padding completes; then `reset`.

        Returns
        -------
        what the feature returns

        Raises
        ------
        EdgeSerError
            Centred frames with ``pad_mode='edge'``, and no sample was heard.
        """
        last = self.state.last
        if self._edge and self._half and last is None:
            raise EdgeSerError("0 samples are too few for pad_mode 'edge'; 1 is needed")
        rest = self._take(np.full(self._half, last if self._edge else 0.0, np.float32), last)
        self.reset()
        return rest

    def _take(self, x: Floats, last: float | None) -> Any:
        state = self.state
        samples = np.concatenate([state.pending, x])
        skipped = min(state.skip, len(samples))
        samples = samples[skipped:]
        count = max(0, (len(samples) - self._length) // self._hop + 1)
        used = count * self._hop
        frames = samples[: (count - 1) * self._hop + self._length] if count else samples[:0]
        result = self._feature(frames)
        skip = state.skip - skipped + max(0, used - len(samples))
        self.state = FrameState(samples[used:].copy(), skip, last)
        return result


class RowStream:
    """A feature that carries a state from frame to frame, such as `pcen`.

    Parameters
    ----------
    step : callable
        ``step(rows, zi=state) -> (rows, state)``; the state is None before the first frame. For instance
        ``functools.partial(pcen, sr=16000, hop_length=160, return_zf=True)``, or `level_rises`.

    Attributes
    ----------
    state
        What `step` returned last; it may be stored and put back.
    """

    def __init__(self, step: Callable[..., tuple[Any, Any]]) -> None:
        self._step = step
        self.state: Any = None

    def reset(self) -> None:
        """Forget all frames: the next one is the first."""
        self.state = None

    def push(self, rows: npt.ArrayLike) -> Any:
        """(new_frames, dims) -> what `step` makes of them; the state is unchanged where it raises."""
        result, self.state = self._step(rows, zi=self.state)
        return result


class DeltaStream:
    """`delta` of frames that arrive in pieces; a frame's slope is known ``width // 2`` frames later.

    Parameters
    ----------
    width, order : int
        See `edge_ser.dsp.cepstral.delta`; its mode is 'interp'.

    Attributes
    ----------
    state : (rows, first) or None
        The last frames (up to ``width - 1``), and the last slope, None while there is none.

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """

    def __init__(self, *, width: int = 9, order: int = 1) -> None:
        self._weights = delta_weights(whole(width, "width"), whole(order, "order"))
        self.reset()

    def reset(self) -> None:
        """Forget all frames: the next one is the first."""
        self.state: tuple[Floats, Floats | None] | None = None

    def push(self, rows: npt.ArrayLike) -> Floats:
        """(new_frames, dims) -> the slopes that are now known, (frames, dims) float32."""
        new = checked_spectrogram(rows, "rows")
        kept, last = self.state or (new[:0], None)
        if kept.shape[1] != new.shape[1]:
            raise EdgeSerError(f"frames of {new.shape[1]} numbers do not follow frames of {kept.shape[1]}")
        together, width = np.concatenate([kept, new]), len(self._weights)
        if len(together) < width:
            self.state = together, last
            return new[:0]
        out = slopes(together, self._weights)
        self.state = together[1 - width :].copy(), out[-1:].copy()
        return out if last is not None else np.concatenate([np.repeat(out[:1], width // 2, axis=0), out])

    def flush(self) -> Floats:
        """The slopes of the last frames; then `reset`.

        Raises
        ------
        EdgeSerError
            Fewer frames were heard than the width.
        """
        heard, last = self.state or (np.zeros((0, 1), np.float32), None)
        width = len(self._weights)
        if last is None:
            raise EdgeSerError(f"{len(heard)} frames are fewer than the width of {width}")
        self.reset()
        return np.repeat(last, width // 2, axis=0)
