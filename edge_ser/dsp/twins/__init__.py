"""The arithmetic of the features in NumPy: the reference, and what runs where numba is absent.

Computed in double precision and rounded to float32 once, block by block of frames, in forms whose result for
a frame does not depend on the frames beside it (no matrix product: BLAS adds up in another order for another
number of rows). Arguments are not checked; the public functions do that.
"""

from edge_ser.dsp.twins.mel import log_mel_frames
from edge_ser.dsp.twins.pitch import autocorrelation, yin
from edge_ser.dsp.twins.spectral import (
    bandwidth,
    centroid,
    contrast,
    flatness,
    logarithm,
    peaks,
    rolloff,
    spectra,
    weigh,
)
from edge_ser.dsp.twins.temporal import mean_square, smooth

__all__ = [
    "autocorrelation",
    "bandwidth",
    "centroid",
    "contrast",
    "flatness",
    "log_mel_frames",
    "logarithm",
    "mean_square",
    "peaks",
    "rolloff",
    "smooth",
    "spectra",
    "weigh",
    "yin",
]
