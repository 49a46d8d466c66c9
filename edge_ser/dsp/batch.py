"""Log-mel of whole recordings on the host: `edge_ser.dsp.log_mel` at ten times the speed, in single precision.

Training and studies compute it for thousands of recordings. What is shipped to a device is computed by
`edge_ser.dsp.log_mel` on both sides; the two agree within 1e-3 dB above the floor, or above 1e-37 if that is lower.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from itertools import islice

import numpy.typing as npt

from edge_ser.dsp.compute import implementation
from edge_ser.dsp.spec import MelSpec
from edge_ser.dsp.spectrum import Floats, checked_signal, pad_signal, whole
from edge_ser.errors import EdgeSerError

__all__ = ["log_mel", "log_mels"]


def _padded(y: npt.ArrayLike, spec: MelSpec) -> Floats:
    x = checked_signal(y)
    half = spec.n_fft // 2
    if spec.padding == "causal":
        width = spec.n_fft - spec.hop_length
        return pad_signal(x, width, "constant")[: width + len(x)]
    if spec.padding == "center":
        return pad_signal(x, half, "constant")
    if spec.padding == "reflect":
        if len(x) <= half:
            raise EdgeSerError(f"{len(x)} samples are too few to reflect at the edges; {half + 1} are needed")
        return pad_signal(x, half, "reflect")
    return x


def log_mel(y: npt.ArrayLike, spec: MelSpec, *, threads: int = 1) -> Floats:
    """Log-mel spectrogram of a recording, computed as `edge_ser.dsp.compute` says.

    Parameters
    ----------
    y : (n,) floating point
        Audio in -1..1 at ``spec.sample_rate``.
    spec : MelSpec
        The front end.
    threads : int
        Threads that share the frames. The numbers do not depend on it.

    Returns
    -------
    (frames, n_mels) float32
        As many frames as `edge_ser.dsp.log_mel`.

    Raises
    ------
    EdgeSerError
        Bad audio; padding 'reflect' and at most ``n_fft // 2`` samples.
    """
    return implementation().log_mel_frames(_padded(y, spec), spec, whole(threads, "threads"))


def log_mels(recordings: Iterable[npt.ArrayLike], spec: MelSpec, *, threads: int = 1) -> Iterator[Floats]:
    """`log_mel` of many recordings, in their order, several at the same time.

    Parameters
    ----------
    recordings : iterable of (n,) floating point
        Taken as they are needed, a few ahead of what was yielded.
    spec : MelSpec
        The front end.
    threads : int
        Recordings computed at the same time, each by one thread.

    Yields
    ------
    (frames, n_mels) float32

    Raises
    ------
    EdgeSerError
        As `log_mel`, when the recording's turn comes.
    """
    source = iter(recordings)
    if whole(threads, "threads") == 1:
        for recording in source:
            yield log_mel(recording, spec)
        return
    implementation()  # imported and compiled once, not by every thread
    with ThreadPoolExecutor(threads) as pool:

        def started(count: int) -> list[Future[Floats]]:
            # in this thread's context, which may have a backend of its own
            return [pool.submit(copy_context().run, log_mel, y, spec) for y in islice(source, count)]

        waiting = started(2 * threads)
        while waiting:
            yield waiting.pop(0).result()
            waiting += started(1)
