"""Waves for the tests of perturbations, and what is measured of them."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

RATE = 16000

#: Few examples a law: the waves are long, and the same every time.
LAW = settings(max_examples=25)


def noise_of(samples: int, seed: int = 0, level: float = 0.1) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def tone(hz: float, seconds: float = 1.0, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def vowel(f0: float, seconds: float, faster: float = 1.0, formants: float = 1.0) -> np.ndarray:
    """A voice with vibrato and stress, as it would be spoken ``faster``, or with ``formants`` moved."""
    at = np.arange(round(seconds * RATE)) / RATE * faster
    pitch = f0 * (1 + 0.1 * np.sin(2 * np.pi * 3 * at))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    wave = np.zeros(len(at))
    for h in range(1, int(7000 / f0)):
        hz = h * pitch / formants
        peaks = ((600, 80, 1.0), (1200, 100, 0.5), (2500, 150, 0.25), (3500, 200, 0.12))
        wave += sum(g / (1 + ((hz - f) / b) ** 2) for f, b, g in peaks) * np.sin(h * phase)
    return (0.05 * wave * (0.6 + 0.4 * np.sin(2 * np.pi * 2 * at))).astype(np.float32)


def level_db(wave: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(wave, dtype=np.float64)) + 1e-300))


def levels_db(wave: np.ndarray, samples: int) -> np.ndarray:
    """Level over a window of so many samples, at every place."""
    square = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
    return 10 * np.log10(np.maximum((square[samples:] - square[:-samples]) / samples, 1e-30))


def band_db(wave: np.ndarray, low: float, high: float) -> float:
    """Energy between two frequencies, in dB."""
    spectrum = np.fft.rfft(wave.astype(np.float64) * np.hanning(len(wave)))
    hz = np.fft.rfftfreq(len(wave), 1 / RATE)
    return float(10 * np.log10((np.abs(spectrum[(hz >= low) & (hz < high)]) ** 2).sum() + 1e-300))


def loudest_hz(wave: np.ndarray) -> float:
    """The frequency with most energy, between bins."""
    size = 1 << 18
    spectrum = np.abs(np.fft.rfft(wave.astype(np.float64) * np.hanning(len(wave)), size))
    return float(np.argmax(spectrum)) * RATE / size


def is_wave(wave: np.ndarray, samples: int) -> bool:
    return wave.dtype == np.float32 and wave.shape == (samples,) and bool(np.isfinite(wave).all())


#: Waves of any length from one sample on, level -80 dB to above full scale, some silent.
waves = st.builds(
    noise_of,
    st.one_of(st.integers(1, 300), st.integers(1, 12000)),
    st.integers(0, 5),
    st.sampled_from([0.0, 1e-4, 0.01, 0.1, 1.5]),
)
