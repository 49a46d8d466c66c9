"""Windows and mel filter banks as librosa defines them, in double precision."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.spec import MEL_SCALES, MelSpec
from edge_ser.errors import EdgeSerError

__all__ = ["hz_to_mel", "mel_filters", "mel_frequencies", "mel_to_hz", "window"]

Floats = npt.NDArray[np.float64]

# Slaney's Auditory Toolbox (Apple TR 45, 1993): linear to 1 kHz, then 27 bands for each factor of 6.4.
_LINEAR_HZ_PER_MEL = 200.0 / 3
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0


_COSINES = {  # of a window as a sum of cosines of 0, 1, 2 periods
    "hann": (0.5, -0.5),
    "hamming": (0.54, -0.46),
    "blackman": (0.42, -0.5, 0.08),
    "rectangular": (1.0,),
}


def window(name: str, length: int, periodic: bool = True) -> Floats:
    """Window function.

    Parameters
    ----------
    name : {'hann', 'hamming', 'blackman', 'rectangular'}
    length : int
        Samples, at least 1.
    periodic : bool
        One period of an endless sequence, for spectra (SciPy's ``fftbins=True``); otherwise symmetric,
        for filters: the last sample equals the first.

    Returns
    -------
    (length,) float64

    Raises
    ------
    EdgeSerError
        Unknown name, or no sample.
    """
    if name not in _COSINES:
        raise EdgeSerError(f"no window is called {name!r}; there are {', '.join(_COSINES)}")
    if not isinstance(length, int | np.integer) or length < 1:
        raise EdgeSerError(f"a window has at least one sample, a whole number of them, not {length!r}")
    if length == 1:
        return np.ones(1)
    phase = 2 * np.pi * np.arange(length) / (length if periodic else length - 1)
    return np.sum([a * np.cos(i * phase) for i, a in enumerate(_COSINES[name])], axis=0)


def hz_to_mel(hz: npt.ArrayLike, scale: str = "slaney") -> Floats:
    """Frequency in Hz to mel ('slaney', or 'htk': ``2595 log10(1 + f / 700)``); any shape.

    Raises
    ------
    EdgeSerError
        Another scale.
    """
    hz = np.asarray(hz, dtype=np.float64)
    if _is_htk(scale):
        return 2595.0 * np.log10(1.0 + hz / 700.0)
    above = _BREAK_MEL + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz >= _BREAK_HZ, above, hz / _LINEAR_HZ_PER_MEL)


def mel_to_hz(mel: npt.ArrayLike, scale: str = "slaney") -> Floats:
    """Inverse of `hz_to_mel`."""
    mel = np.asarray(mel, dtype=np.float64)
    if _is_htk(scale):
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    above = _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _BREAK_MEL) - _BREAK_MEL))
    return np.where(mel >= _BREAK_MEL, above, mel * _LINEAR_HZ_PER_MEL)


def _is_htk(scale: str) -> bool:
    if scale not in MEL_SCALES:
        raise EdgeSerError(f"there is no mel scale {scale!r}; there are {' and '.join(MEL_SCALES)}")
    return scale == "htk"


def mel_frequencies(spec: MelSpec) -> Floats:
    """Edges and centres of the bands in Hz: band ``m`` rises from ``[m]``, peaks at ``[m + 1]``, ends at ``[m + 2]``.

    Returns
    -------
    (n_mels + 2,) float64
    """
    low, high = hz_to_mel([spec.fmin, spec.fmax], spec.mel_scale)
    return mel_to_hz(np.linspace(low, high, spec.n_mels + 2), spec.mel_scale)


def mel_filters(spec: MelSpec) -> Floats:
    """Triangular mel filter bank, equal to ``librosa.filters.mel``.

    Returns
    -------
    (n_mels, n_fft // 2 + 1) float64
        A band narrower than the spacing of the bins may be all zeros, as in librosa.
    """
    edges = mel_frequencies(spec)[:, None]
    bins = np.arange(spec.n_fft // 2 + 1) * (spec.sample_rate / spec.n_fft)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    weights = np.maximum(0.0, np.minimum(rising, falling))
    if spec.mel_norm == "slaney":
        weights *= 2.0 / (edges[2:] - edges[:-2])
    return weights
