"""Energy of frames, and the smoothing of spectra over time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.twins.spectral import blocks

__all__ = ["mean_square", "smooth"]

Floats = npt.NDArray[np.float32]


def mean_square(x: Floats, length: int, hop: int, threads: int = 1) -> Floats:
    """Mean of the squares of each frame of `length` samples: (frames,)."""
    if len(x) < length:
        return np.zeros(0, np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(x, length)[::hop]
    return blocks(frames, lambda rows: (rows * rows).mean(axis=1), np.float32)


def smooth(x: Floats, b: float, state: npt.NDArray[np.float64]) -> tuple[Floats, npt.NDArray[np.float64]]:
    """First-order low-pass over time, ``state = b * x + (1 - b) * state``: (frames, bands), and the last state."""
    out = np.empty(x.shape, np.float32)
    for i, row in enumerate(x.astype(np.float64)):
        state = b * row + (1.0 - b) * state
        out[i] = state
    return out, state
