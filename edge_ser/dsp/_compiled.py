"""The compiled front end, ``front_end.c``, called through ctypes (which NumPy has loaded already).

An extension of the stable Python ABI would be called a little faster and would need Python's headers on
every board that builds from source.
"""

from __future__ import annotations

import ctypes
import functools
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.frames import Samples, require_finite, tables
from edge_ser.dsp.spec import MelSpec

__all__ = ["LIBRARY", "SMALLEST_FLOOR", "CompiledFrames", "library", "radices"]

LIBRARY = Path(__file__).with_name("_front_end.so")  # hatch_build.py makes it where there is a C compiler
SMALLEST_FLOOR = float(np.finfo(np.float64).tiny)  # the logarithm takes normal numbers only
_LARGEST_RADIX = 31  # as in front_end.c
_SLACK = 4  # as in front_end.c
_BLOCK_SAMPLES = 8192  # bounds working memory, and is enough for a call's cost to be lost in its work


class _Plan(ctypes.Structure):
    """``plan_t`` of ``front_end.c``."""

    _fields_ = (
        *(
            (name, ctypes.c_int64)
            for name in ("n_fft", "hop_length", "n_mels", "passes", "magnitude", "logarithm")
        ),
        *((name, ctypes.c_double) for name in ("floor", "gain", "bias")),
        *(
            (name, ctypes.c_void_p)
            for name in (
                *("radices", "window", "twiddles", "roots", "split", "first_bin", "quads", "weights"),
                *("work", "samples", "out"),
            )
        ),
    )


@functools.cache
def library() -> ctypes.CDLL | None:
    """The library, or None where it was not built.

    Raises
    ------
    OSError
        It is there and cannot be loaded: built for another machine.
    """
    if not LIBRARY.exists():
        return None
    loaded = ctypes.CDLL(str(LIBRARY))
    loaded.edge_ser_push.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
    loaded.edge_ser_push.restype = ctypes.c_int64
    loaded.edge_ser_ln.argtypes = [ctypes.c_double]
    loaded.edge_ser_ln.restype = ctypes.c_double
    loaded.edge_ser_source_crc.restype = ctypes.c_uint32
    return loaded


def radices(n_fft: int) -> tuple[int, ...] | None:
    """The passes of the transform of ``n_fft / 2`` complex numbers; None where NumPy's has to be used."""
    if n_fft % 8:
        return None  # the pairs of doubles begin with a pass of four
    rest, fours, odd = n_fft // 2, 0, []
    while rest % 4 == 0:
        rest, fours = rest // 4, fours + 1
    two = rest % 2 == 0
    rest //= 1 + two
    for radix in range(3, _LARGEST_RADIX + 1, 2):
        while rest % radix == 0:
            rest //= radix
            odd.append(radix)
    return (4,) * fours + tuple(odd) + (2,) * two if rest == 1 else None


def _turns(numerators: npt.NDArray[np.int64], whole: int) -> npt.NDArray[np.float64]:
    """Cosines, then sines, of minus these parts of a turn."""
    phase = -2 * np.pi * (numerators % whole) / whole
    return np.concatenate([np.cos(phase), np.sin(phase)])


@functools.lru_cache(maxsize=16)
def _arrays(spec: MelSpec) -> dict[str, npt.NDArray[np.float64] | npt.NDArray[np.int64]]:
    """The arrays of `_Plan` that streams of one spec share."""
    passes = radices(spec.n_fft)
    assert passes is not None
    twiddles, length = [], spec.n_fft // 2
    for radix in passes:
        part = np.arange(length // radix)
        twiddles += [_turns(part * k, length) for k in range(1, radix)]
        length //= radix
    shared = tables(spec)
    counts = np.diff(np.append(shared.starts, len(shared.taps)))
    quads = -(-counts // 4)
    weights = np.zeros(4 * quads.sum())
    offsets = np.repeat(4 * (np.cumsum(quads) - quads) - shared.starts, counts)
    weights[np.arange(len(shared.taps)) + offsets] = shared.weights
    return {
        "radices": np.array(passes, np.int64),
        "window": 0.5 * shared.window,
        "twiddles": np.concatenate([*twiddles, [0.0]]),
        "roots": np.concatenate([*(_turns(np.arange(radix), radix) for radix in passes), [0.0]]),
        "split": _turns(np.arange(spec.n_fft // 4 + 1), spec.n_fft),
        "first_bin": shared.taps[shared.starts].astype(np.int64),
        "quads": quads.astype(np.int64),
        "weights": weights,
    }


class CompiledFrames:
    """`edge_ser.dsp.frames.Frames` in C, for a spec that `radices` finds passes for."""

    def __init__(self, spec: MelSpec) -> None:
        loaded = library()
        assert loaded is not None
        self._call = loaded.edge_ser_push
        self._hop = spec.hop_length
        self._samples = np.zeros(spec.n_fft + _BLOCK_SAMPLES)  # fewer than n_fft held, and a block
        self._out = np.zeros((_BLOCK_SAMPLES // spec.hop_length + 1, spec.n_mels), np.float32)
        self._work = np.zeros(5 * (spec.n_fft // 2 + _SLACK) + spec.n_mels + 2)
        self._arrays = _arrays(spec)
        gain = {"db": 20.0 / spec.power / math.log(10.0), "log10": 1.0 / math.log(10.0)}.get(spec.log, 1.0)
        self._plan = _Plan(
            n_fft=spec.n_fft,
            hop_length=spec.hop_length,
            n_mels=spec.n_mels,
            passes=len(self._arrays["radices"]),
            magnitude=spec.power == 1.0,
            logarithm=spec.log != "none",
            floor=spec.floor,
            gain=gain / spec.scale,
            bias=-spec.mean / spec.scale,
            work=self._work.ctypes.data,
            samples=self._samples.ctypes.data,
            out=self._out.ctypes.data,
            **{name: array.ctypes.data for name, array in self._arrays.items()},
        )
        self._plan_at = ctypes.addressof(self._plan)
        self._held = 0  # samples kept; below 0, samples to come that no frame needs (hop_length > n_fft)

    def start(self, zeros: int) -> None:
        """See `Frames.start`."""
        self._samples[:zeros] = 0.0
        self._held = zeros

    def push(self, x: Samples) -> npt.NDArray[np.float32]:
        """See `Frames.push`."""
        if len(x) <= _BLOCK_SAMPLES and self._held >= 0:
            return self._push_block(x)
        require_finite(x)
        frames = [self._out[:0]]
        while len(x):
            skipped = min(max(0, -self._held), len(x))
            self._held += skipped
            end = skipped + _BLOCK_SAMPLES
            frames.append(self._push_block(x[skipped:end]))
            x = x[end:]
        return np.concatenate(frames)

    def _push_block(self, x: Samples) -> npt.NDArray[np.float32]:
        held, fresh = self._held, len(x)
        self._samples[held : held + fresh] = x
        frames: int = self._call(self._plan_at, held, fresh)
        if frames < 0:
            require_finite(self._samples[held : held + fresh])
        self._held = held + fresh - frames * self._hop
        return self._out[:frames].copy()
