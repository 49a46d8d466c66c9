"""A spectrogram read in numbers: where its energy lies, how it swings, how often and how regularly it sets in."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.levels import power_to_db
from edge_ser.dsp.rhythm import level_rises, onset_strength, tempo
from edge_ser.dsp.spectral import band_energy, spectral_centroid, spectral_flatness
from edge_ser.dsp.spectrum import SAMPLE_RATE, Floats, checked_signal, spectrogram
from edge_ser.errors import EdgeSerError

__all__ = ["OCTAVES", "Reading", "octave_levels", "read_spectrogram"]

#: Edges of the octave bands in Hz.
OCTAVES = (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
_N_FFT, _HOP = 2048, 256
_LEAST_S = 3.0
_LOUDNESS_S = 0.4  # dynamics are those of phrases, not of single drum strokes
_AUDIBLE_DB = 30.0  # below the loudest octave of the whole clip; what is fainter leaves the picture dark
_ONSET_S = 0.06  # an onset is the largest within so much on both sides
_ONSET_OVER = 0.07  # and over the mean about it by so much of the clip's largest
_LOW_HZ = (64.0, 256.0)
_PERIODS_S = (0.3, 4.0)


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a spectrogram says.

    Attributes
    ----------
    octaves : tuple of float
        Share of the energy in each band of `OCTAVES`, 0..1; together 1.
    fill : tuple of float
        Share of the time in which each band is within 30 dB of the loudest band's loudest moment.
    bursts : tuple of float
        Of each band the level that it exceeds in a twentieth of the time over its median, in dB, at most 60.
    centroid : float
        Hz, mean over frames weighted by their energy.
    flatness : float
        0..1, the same mean.
    dynamic_range : float
        dB between the levels that are exceeded in a twentieth and in 19 twentieths of the time, smoothed over 0.4 s, at
        most 80.
    onsets : float
        A second.
    tempo : float
        Beats a minute.
    periodicity : float
        0..1: how much the onsets between 64 and 256 Hz are those of a period earlier, the best period of 0.3 to 4 s.
    period : float
        That period in s.
    """

    octaves: tuple[float, ...]
    fill: tuple[float, ...]
    bursts: tuple[float, ...]
    centroid: float
    flatness: float
    dynamic_range: float
    onsets: float
    tempo: float
    periodicity: float
    period: float

    def share(self, low: float, high: float) -> float:
        """Share of the energy between two edges of `OCTAVES`."""
        return float(sum(self.octaves[_place(low) : _place(high)]))

    def filled(self, low: float, high: float) -> float:
        """Mean `fill` of the bands between two edges of `OCTAVES`."""
        return float(np.mean(self.fill[_place(low) : _place(high)]))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)

    def to_vector(self) -> npt.NDArray[np.float64]:
        """All numbers in the order of the attributes: (31,)."""
        return np.hstack(list(dataclasses.asdict(self).values())).astype(np.float64)

    @classmethod
    def of_vector(cls, values: npt.ArrayLike) -> Reading:
        """From `to_vector`'s form."""
        bands = len(OCTAVES) - 1
        numbers = np.asarray(values, np.float64).tolist()
        lists = [tuple(numbers[k * bands : (k + 1) * bands]) for k in range(3)]
        return cls(lists[0], lists[1], lists[2], *numbers[3 * bands :])


def octave_levels(y: npt.ArrayLike, *, sr: int = SAMPLE_RATE) -> Floats:
    """Energy of the octave bands over time.

    Parameters
    ----------
    y : (n,) floating point
        Audio in -1..1.
    sr : int
        Its sample rate in Hz.

    Returns
    -------
    (frames, 8) float32
        Of each band of `OCTAVES`, every 256 samples.

    Raises
    ------
    EdgeSerError
        Bad audio.
    """
    power = spectrogram(y, n_fft=_N_FFT, hop_length=_HOP, power=2.0)
    return band_energy(S=power, sr=sr, n_fft=_N_FFT, edges=OCTAVES)


def read_spectrogram(y: npt.ArrayLike, *, sr: int = SAMPLE_RATE) -> Reading:
    """Read a recording's spectrogram in numbers.

    Parameters
    ----------
    y : (n,) floating point
        Audio in -1..1, 3 s at least.
    sr : int
        Its sample rate in Hz.

    Returns
    -------
    Reading

    Raises
    ------
    EdgeSerError
        Bad audio, too short, or silent.
    """
    x = checked_signal(y)
    if len(x) < _LEAST_S * sr:
        raise EdgeSerError(f"a reading needs {_LEAST_S:g} s of sound, not {len(x) / sr:.1f} s")
    power = spectrogram(x, n_fft=_N_FFT, hop_length=_HOP, power=2.0)
    bands = band_energy(S=power, sr=sr, n_fft=_N_FFT, edges=OCTAVES).astype(np.float64)
    frames = power.sum(axis=1, dtype=np.float64)
    if not bands.any():
        raise EdgeSerError("the recording is silent between 32 and 8192 Hz: there is nothing to read")
    loudest = bands.max()
    levels = 10 * np.log10(np.maximum(bands, loudest * 1e-8) / loudest)
    weight = frames / frames.sum()
    rises = onset_strength(x, sr=sr, n_fft=_N_FFT, hop_length=_HOP)
    periodicity, period = _periodicity(power, sr)
    return Reading(
        octaves=tuple(map(float, bands.sum(axis=0) / bands.sum())),
        fill=tuple(map(float, (levels > -_AUDIBLE_DB).mean(axis=0))),
        bursts=tuple(
            map(float, np.minimum(np.percentile(levels, 95, axis=0) - np.median(levels, axis=0), 60))
        ),
        centroid=float(weight @ spectral_centroid(S=np.sqrt(power), sr=sr, n_fft=_N_FFT)),
        flatness=float(weight @ spectral_flatness(S=np.sqrt(power))),
        dynamic_range=_dynamic_range(frames, sr),
        onsets=_onsets(rises, sr) / (len(x) / sr),
        tempo=tempo(sr=sr, onset_envelope=rises, hop_length=_HOP),
        periodicity=periodicity,
        period=period,
    )


def _place(hz: float) -> int:
    if hz not in OCTAVES:
        raise EdgeSerError(
            f"{hz:g} Hz is no edge of an octave here; there are {', '.join(map(str, OCTAVES))}"
        )
    return OCTAVES.index(int(hz))


def _dynamic_range(frames: npt.NDArray[np.float64], sr: int) -> float:
    width = min(len(frames), max(1, round(_LOUDNESS_S * sr / _HOP)))
    smooth = np.convolve(frames, np.ones(width) / width, mode="valid")
    low, high = np.percentile(10 * np.log10(np.maximum(smooth, smooth.max() * 1e-8)), (5, 95))
    return float(high - low)


def _onsets(rises: Floats, sr: int) -> int:
    """Peaks that are the largest near them and stand out from the mean about them."""
    if not rises.any():
        return 0
    near = max(1, round(_ONSET_S * sr / _HOP))
    around = 2 * near
    padded = np.pad(rises.astype(np.float64), around)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * around + 1)
    close = windows[:, around - near : around + near + 1].max(axis=1)
    return int(np.sum((rises >= close) & (rises > windows.mean(axis=1) + _ONSET_OVER * rises.max())))


def _periodicity(power: Floats, sr: int) -> tuple[float, float]:
    """The largest correlation of the low band's onsets with themselves, and its lag."""
    low = band_energy(S=power, sr=sr, n_fft=_N_FFT, edges=_LOW_HZ)
    rises, _ = level_rises(power_to_db(low, top_db=40.0))
    first, last = (round(s * sr / _HOP) for s in _PERIODS_S)
    best, at = 0.0, first
    for lag in range(first, min(last, len(rises) // 2) + 1):
        a, b = rises[lag:] - rises[lag:].mean(), rises[:-lag] - rises[:-lag].mean()
        size = float(np.sqrt((a @ a) * (b @ b)))
        one = float(a @ b) / size if size > 0 else 0.0
        if one > best:
            best, at = one, lag
    return best, at * _HOP / sr
