"""The arithmetic of the features, compiled by Numba: the same functions as `edge_ser.dsp.twins`.

Imported by `edge_ser.dsp.compute` only, when a feature is first asked for where numba is installed. Importing
`edge_ser.dsp` does not import it: numba costs a process 130 MB, which a device does not have.
"""

from edge_ser.dsp.kernels.fft import spectra
from edge_ser.dsp.kernels.mel import log_mel_frames
from edge_ser.dsp.kernels.pitch import autocorrelation, yin
from edge_ser.dsp.kernels.rows import logarithm, weigh
from edge_ser.dsp.kernels.spectral import bandwidth, centroid, contrast, flatness, peaks, rolloff
from edge_ser.dsp.kernels.temporal import mean_square, smooth

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
