"""What every teacher asks of a recording, and the normalisation that the families of encoders were trained with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_ser.audio import SAMPLE_RATE
from edge_ser.errors import EdgeSerError

__all__ = ["LONGEST_S", "checked_wave", "standardised"]

Floats = npt.NDArray[np.float32]

#: Seconds; self-attention's memory grows with the square of a clip's length.
LONGEST_S = 60.0


def checked_wave(wave: npt.ArrayLike, least: int = 1, longest_s: float = LONGEST_S) -> Floats:
    """A recording that a teacher can hear.

    Parameters
    ----------
    wave : (n,) floating point
        16 kHz mono.
    least : int
        Samples that it must have.
    longest_s : float
        Seconds that it may have.

    Returns
    -------
    (n,) float32

    Raises
    ------
    EdgeSerError
        Not one channel of finite numbers, too short or too long.
    """
    x = np.asarray(wave)
    if x.ndim != 1 or not np.issubdtype(x.dtype, np.floating):
        raise EdgeSerError(
            f"a recording is one row of floating point samples, not {x.dtype} of shape {x.shape}"
        )
    if len(x) < least:
        raise EdgeSerError(
            f"{len(x)} samples are too few for the teacher, which needs {least}; leave the clip out"
        )
    if len(x) > longest_s * SAMPLE_RATE:
        raise EdgeSerError(
            f"a clip of {len(x) / SAMPLE_RATE:.1f} s is longer than the {longest_s:g} s that the teacher hears; cut it"
        )
    if not np.isfinite(x).all():
        raise EdgeSerError("the recording holds samples that are no numbers; export it again")
    return np.asarray(x, np.float32)


def standardised(wave: Floats) -> Floats:
    """Mean 0 and variance 1, as the feature extractor of wav2vec 2.0 does: ``(x - mean) / sqrt(var + 1e-7)``."""
    x = wave.astype(np.float64)
    return ((x - x.mean()) / np.sqrt(x.var() + 1e-7)).astype(np.float32)
