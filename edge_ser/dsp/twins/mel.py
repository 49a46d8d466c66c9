"""Log-mel of the frames in a block of samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.frames import NumpyFrames
from edge_ser.dsp.spec import MelSpec

__all__ = ["log_mel_frames"]


def log_mel_frames(x: npt.NDArray[np.float32], spec: MelSpec, threads: int = 1) -> npt.NDArray[np.float32]:
    """Log-mel of the frames that lie wholly in `x`, without padding; (frames, n_mels). `threads` has no use."""
    return NumpyFrames(spec).push(x)
