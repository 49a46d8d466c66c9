"""Energy of frames, and the smoothing of spectra over time.

The functions equal those of `edge_ser.dsp.twins` in name and meaning; documented there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.kernels.jit import kernel
from edge_ser.dsp.kernels.simd import (
    LANES,
    broadcast,
    load,
    store,
)
from edge_ser.dsp.kernels.threads import in_threads
from edge_ser.dsp.kernels.transpose import aligned

__all__ = ["mean_square", "smooth"]

Floats = npt.NDArray[np.float32]


@kernel
def _mean_square(x: Any, length: int, hop: int, count: int, out: Any) -> None:
    part = aligned(LANES)
    whole = length - length % (2 * LANES)
    for frame in range(count):
        start = frame * hop
        a, b = broadcast(np.float32(0.0)), broadcast(np.float32(0.0))
        for i in range(start, start + whole, 2 * LANES):
            u, v = load(x, i), load(x, i + LANES)
            a = a + u * u
            b = b + v * v
        store(part, 0, a + b)
        total = 0.0
        for lane in range(LANES):
            total += part[lane]
        for i in range(start + whole, start + length):
            total += np.float64(x[i]) * x[i]
        out[frame] = total / length


def mean_square(x: Floats, length: int, hop: int, threads: int = 1) -> Floats:
    """See `edge_ser.dsp.twins.mean_square`."""
    count = max(0, (len(x) - length) // hop + 1)
    out = np.empty(count, np.float32)
    in_threads(lambda a, b: _mean_square(x[a * hop :], length, hop, b - a, out[a:]), count, threads)
    return out


@kernel
def _smooth(x: Any, b: float, state: Any, out: Any) -> None:
    for frame in range(x.shape[0]):
        for band in range(x.shape[1]):
            state[band] = b * x[frame, band] + (1.0 - b) * state[band]
            out[frame, band] = state[band]


def smooth(x: Floats, b: float, state: npt.NDArray[np.float64]) -> tuple[Floats, npt.NDArray[np.float64]]:
    """See `edge_ser.dsp.twins.smooth`."""
    out, state = np.empty(x.shape, np.float32), state.copy()
    _smooth(x, float(b), state, out)
    return out, state
