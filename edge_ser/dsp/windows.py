"""What a window does to a spectrum: its side lobes, the width of its main lobe, how a tone between bins leaks.

The figures of merit are those of Harris 1978, "On the use of windows for harmonic analysis with the discrete Fourier
transform" (Proceedings of the IEEE 66(1), table I), measured on the window's samples and not looked up.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.filters import window
from edge_ser.dsp.spectrum import whole
from edge_ser.errors import EdgeSerError

__all__ = ["WindowFigures", "leakage", "tone_spectrum", "window_figures", "window_response"]

Doubles = npt.NDArray[np.float64]

_FINER = 128  # points of the response in a bin
_LEAST = 256  # samples; with fewer there is no room for the octaves over which side lobes fall
_FAR = (
    32,
    64,
)  # bins of the first octave whose highest side lobe counts for the fall; the other is two octaves up
_FLOOR = 1e-15


class WindowFigures(NamedTuple):
    """Figures of merit of a window (Harris 1978); widths in bins of its DFT, levels in dB.

    Attributes
    ----------
    coherent_gain : float
        Mean of the samples: what a tone's peak is multiplied by.
    noise_bandwidth : float
        Width of a rectangular filter that passes as much white noise, in bins.
    width_3db, width_6db : float
        Width of the main lobe at half power and at half amplitude.
    main_lobe : float
        Its width from zero to zero.
    side_lobe_db : float
        The highest side lobe, below 0.
    fall_db_per_octave : float
        How the side lobes fall far from the main lobe.
    scalloping_db : float
        What a tone midway between two bins loses in the nearer ones, at least 0.
    worst_loss_db : float
        The same and the noise bandwidth together: the worst loss of a tone against white noise.
    """

    coherent_gain: float
    noise_bandwidth: float
    width_3db: float
    width_6db: float
    main_lobe: float
    side_lobe_db: float
    fall_db_per_octave: float
    scalloping_db: float
    worst_loss_db: float


def window_response(name: str, length: int, *, finer: int = _FINER) -> Doubles:
    """Amplitude of a window's spectrum from its middle upwards.

    Parameters
    ----------
    name : str
        See `edge_ser.dsp.filters.window`; the periodic form.
    length : int
        Samples.
    finer : int
        Points a bin.

    Returns
    -------
    (length * finer // 2 + 1,) float64
        1 at 0; point ``k`` is ``k / finer`` bins away.

    Raises
    ------
    EdgeSerError
        Unknown window, or a number below 1.
    """
    values = window(name, whole(length, "length"))
    return np.abs(np.fft.rfft(values, length * whole(finer, "finer"))) / values.sum()


def window_figures(name: str, length: int = 4096) -> WindowFigures:
    """Figures of merit, measured on the window's samples.

    Parameters
    ----------
    name : str
        See `edge_ser.dsp.filters.window`; the periodic form, as spectra use it.
    length : int
        Samples, at least 256. Long windows have the figures of Harris's table.

    Returns
    -------
    WindowFigures

    Raises
    ------
    EdgeSerError
        Unknown window, or too few samples.
    """
    values = window(name, whole(length, "length", _LEAST))
    response = window_response(name, length)
    first_zero = int(np.argmax(np.diff(response) > 0))  # the main lobe falls up to here
    noise = length * float(np.square(values).sum() / values.sum() ** 2)
    scalloping = -_db(response[_FINER // 2])
    top = len(response) // _FINER  # bins
    near = _FAR if _FAR[1] * 4 <= top else (top // 8, top // 4)
    fall = _db(_highest(response, near[0] * 4, near[1] * 4)) - _db(_highest(response, *near))
    return WindowFigures(
        coherent_gain=float(values.mean()),
        noise_bandwidth=noise,
        width_3db=2 * _falls_to(response, 0.5**0.5),
        width_6db=2 * _falls_to(response, 0.5),
        main_lobe=2 * first_zero / _FINER,
        side_lobe_db=_db(response[first_zero:].max()),
        fall_db_per_octave=fall / 2,
        scalloping_db=scalloping,
        worst_loss_db=scalloping + 10 * float(np.log10(noise)),
    )


def tone_spectrum(name: str, offset: float, length: int = 1024, *, bin_at: int | None = None) -> Doubles:
    """Levels of the bins of one windowed tone that lies between two of them.

    Parameters
    ----------
    name : str
        See `edge_ser.dsp.filters.window`.
    offset : float
        How far above a bin's frequency the tone is, in bins, -0.5..0.5: 0.5 is midway, where it leaks most.
    length : int
        Samples of the frame, at least 16.
    bin_at : int, optional
        The bin; a quarter of the sample rate if not given.

    Returns
    -------
    (length // 2 + 1,) float64
        dB below what a tone on a bin has in it.

    Raises
    ------
    EdgeSerError
        A value out of its range.
    """
    length = whole(length, "length", 16)
    if not -0.5 <= offset <= 0.5:
        raise EdgeSerError(f"offset is the way to the nearest bin, -0.5 to 0.5, not {offset!r}")
    at = length // 4 if bin_at is None else whole(bin_at, "bin_at")
    if not 0 < at < length // 2:
        raise EdgeSerError(f"bin_at must lie between 0 and {length // 2}, not at {at}")
    values = window(name, length)
    # a complex tone: a real one has a mirror image whose own leakage would be added
    tone = np.exp(2j * np.pi * (at + offset) * np.arange(length) / length)
    spectrum = np.abs(np.fft.fft(values * tone))[: length // 2 + 1] / values.sum()
    return 20 * np.log10(np.maximum(spectrum, _FLOOR))


def leakage(name: str, offset: float, away: float, length: int = 1024) -> float:
    """Share of a tone's energy that stands in bins far from it.

    Parameters
    ----------
    name : str
        See `edge_ser.dsp.filters.window`.
    offset : float
        Bins from the nearest bin, -0.5..0.5.
    away : float
        Bins from the tone beyond which energy counts as leaked, above 0.
    length : int
        Samples of the frame.

    Returns
    -------
    float
        0..1.

    Raises
    ------
    EdgeSerError
        A value out of its range.
    """
    if not away > 0:
        raise EdgeSerError(f"away must be above 0 bins, not {away!r}")
    power = 10 ** (tone_spectrum(name, offset, length) / 10)
    distance = np.abs(np.arange(len(power)) - (length // 4 + offset))
    return float(power[distance > away].sum() / power.sum())


def _db(amplitude: float | np.floating) -> float:
    return 20 * float(np.log10(max(float(amplitude), _FLOOR)))


def _highest(response: Doubles, low: int, high: int) -> float:
    """The largest of the response between two numbers of bins."""
    return float(response[low * _FINER : high * _FINER].max())


def _falls_to(response: Doubles, level: float) -> float:
    """Bins at which the main lobe has fallen to `level`, between two points in proportion."""
    k = int(np.argmax(response < level))
    before, after = response[k - 1], response[k]
    return float(k - 1 + (before - level) / (before - after)) / _FINER
