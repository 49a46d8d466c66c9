"""A window of samples brought to one level, as networks that hear a clip as a whole want it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["POWER_FLOOR", "unit_power"]

#: Added to the mean power under the root, so that silence stays silent (Kounadis-Bastian et al., arXiv 2408.13920).
POWER_FLOOR = 1e-7


def unit_power(wave: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Samples without their mean and at a mean power of one.

    Parameters
    ----------
    wave : (n,) floating point
        Audio in -1..1; at least one sample.

    Returns
    -------
    (n,) float32
    """
    samples = np.asarray(wave, np.float64)
    samples = samples - np.mean(samples)
    return (samples / np.sqrt(np.mean(samples * samples) + POWER_FLOOR)).astype(np.float32)
