"""What changes a wave's spectrum: tilt, low-pass, another microphone's response, another vocal tract's length."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edge_ser.audio import SAMPLE_RATE
from edge_ser.errors import require
from edge_ser.perturb.waves import Floats, as_wave, filtered, in_range

__all__ = ["DEEPEST", "LIFTER", "LOWEST_HZ", "OCTAVES", "formants", "lowpass", "microphone", "tilt"]

LOWEST_HZ = 50.0  # Hz; a tilt is level below, where its logarithm has no end
OCTAVES = math.log2(SAMPLE_RATE / 2 / LOWEST_HZ)
_N_FFT, _HOP = 512, 128
LIFTER = (
    40  # samples of the cepstrum that are the envelope: 2.5 ms, shorter than any voice's period but a child's
)
DEEPEST = math.log(10.0)  # the envelope moves a bin by at most so much, 20 dB: more is noise of empty bands


def tilt(wave: npt.ArrayLike, db_per_octave: float) -> Floats:
    """Make the spectrum lean, around 1 kHz and without delay.

    Parameters
    ----------
    wave : array_like of shape (samples,)
        16 kHz mono.
    db_per_octave : float
        -12 to 12; below 0 is duller. Level at and below 50 Hz, 0 dB at 1 kHz.

    Returns
    -------
    ndarray of shape (samples,), float32
    """
    exponent = in_range(db_per_octave, -12, 12, "the tilt in dB per octave") / (20 * math.log10(2))
    return filtered(as_wave(wave), lambda hz: (np.maximum(hz, LOWEST_HZ) / 1000.0) ** exponent)


def lowpass(wave: npt.ArrayLike, hz: float, *, order: int = 8) -> Floats:
    """Take the high frequencies away: a Butterworth filter's amplitude, without its delay.

    Parameters
    ----------
    wave : array_like of shape (samples,)
        16 kHz mono.
    hz : float
        100 to 8000: where 3 dB are lost.
    order : int
        1 to 16; above `hz` 6 dB an octave for each.

    Returns
    -------
    ndarray of shape (samples,), float32
    """
    in_range(hz, 100, SAMPLE_RATE / 2, "the low-pass in Hz")
    in_range(order, 1, 16, "the filter's order")
    return filtered(as_wave(wave), lambda f: 1 / np.sqrt(1 + (f / hz) ** (2 * order)))


def microphone(wave: npt.ArrayLike, spread_db: float, rng: np.random.Generator) -> Floats:
    """The smooth response of another microphone: three cosines over the octaves from 50 Hz to 8 kHz.

    Parameters
    ----------
    wave : array_like of shape (samples,)
        16 kHz mono.
    spread_db : float
        0 to 20: standard deviation of each cosine's height, cut at two of them.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (samples,), float32
        The response is 0 dB in the mean over octaves, so the level stays about the same.
    """
    in_range(spread_db, 0, 20, "the microphone's spread in dB")
    heights = np.clip(rng.standard_normal(3), -2, 2) * spread_db

    def response(hz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        place = np.pi * np.log2(np.maximum(hz, LOWEST_HZ) / LOWEST_HZ) / OCTAVES
        db = sum(height * np.cos(k * place) for k, height in enumerate(heights, 1))
        return 10.0 ** (np.asarray(db) / 20)

    return filtered(as_wave(wave), response)


def formants(wave: npt.ArrayLike, factor: float) -> Floats:
    """Move the spectral envelope, as a shorter or longer vocal tract does, and leave pitch and tempo.

    The envelope of each 32 ms is the cepstrum's first 2.5 ms; each bin is raised or lowered to the envelope read at
    another frequency. What vocal tract length perturbation does to features (Jaitly and Hinton 2013), on the wave.

    Parameters
    ----------
    wave : array_like of shape (samples,)
        16 kHz mono.
    factor : float
        0.7 to 1.4: a formant at f Hz goes to ``factor * f``. 1 changes nothing.

    Returns
    -------
    ndarray of shape (samples,), float32
    """
    wave = as_wave(wave)
    if in_range(factor, 0.7, 1.4, "the factor of the formants") == 1:
        return wave.copy()
    fft = require("scipy.fft", extra="train", purpose="moving formants")
    frames = -(-(len(wave) + _N_FFT) // _HOP)
    padded = np.zeros((frames - 1) * _HOP + _N_FFT, np.float32)
    padded[_N_FFT - _HOP : _N_FFT - _HOP + len(wave)] = wave
    # periodic Hann, its root before and after: at a quarter's hop the squares add up to 2 everywhere
    window = np.sin(np.pi * np.arange(_N_FFT) / _N_FFT).astype(np.float32)
    spectrum = fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, _N_FFT)[::_HOP] * window)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    cepstrum = fft.irfft(0.5 * np.log(power + np.float32(1e-12)))
    cepstrum[:, LIFTER : 1 - LIFTER] = 0
    envelope = fft.rfft(cepstrum).real
    at = np.minimum(np.arange(_N_FFT // 2 + 1) / factor, _N_FFT // 2)
    below = np.minimum(at.astype(np.int64), _N_FFT // 2 - 1)
    part = (at - below).astype(np.float32)
    moved = envelope[:, below] * (1 - part) + envelope[:, below + 1] * part
    spectrum *= np.exp(np.clip(moved - envelope, -DEEPEST, DEEPEST))
    pieces = fft.irfft(spectrum) * (window / 2)
    result = np.zeros(len(padded) + _N_FFT, np.float32)
    quarters = pieces.reshape(frames, _N_FFT // _HOP, _HOP)
    for i in range(_N_FFT // _HOP):
        result[i * _HOP : (i + frames) * _HOP] += quarters[:, i].reshape(-1)
    return result[_N_FFT - _HOP : _N_FFT - _HOP + len(wave)]
