"""Noise reduction: a steady background goes, what rises over it stays, lengths and levels hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ser.dsp.denoise import spectral_gate
from edge_ser.errors import EdgeSerError

RNG = np.random.default_rng(0)
NOISE = RNG.normal(0, 0.01, 32000).astype(np.float32)


def power(x: np.ndarray) -> float:
    return float(np.mean(x.astype(np.float64) ** 2))


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10**6),
    samples=st.integers(1600, 6000),
    hertz=st.floats(150, 7500),
    decibels=st.floats(20, 50),
)
def test_steady_noise_goes_and_a_burst_stays(seed: int, samples: int, hertz: float, decibels: float) -> None:
    # The narrowest thing there is, a tone that swells and fades within a tenth of a second or longer.
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 0.01, 32000)
    at = int(rng.integers(8000, 32000 - samples))
    level = 0.01 * np.sqrt(2) * 10 ** (decibels / 20)
    tone = level * np.sin(2 * np.pi * hertz * np.arange(samples) / 16000) * np.hanning(samples)
    wave = noise.copy()
    wave[at : at + samples] += tone
    out = spectral_gate(wave)
    heard = out[at : at + samples]
    assert power(out[: at - 1024]) < 0.03 * power(noise[: at - 1024])
    assert 0.95 * power(tone) < power(heard) < 1.02 * power(wave[at : at + samples])
    assert power(heard - tone) < 0.5 * power(noise) + 0.02 * power(tone)  # nearer to it than the noisy one


def test_a_voice_keeps_its_power_and_its_pauses_lose_theirs() -> None:
    # Syllables of harmonics, four a second; half of the time there is nothing but the background.
    time = np.arange(48000) / 16000
    voice = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 30))
    voice *= 0.1 * np.maximum(0, np.sin(2 * np.pi * 4 * time)) ** 2
    noise = RNG.normal(0, 0.003, 48000)
    out = spectral_gate(voice + noise, threshold=1.0)
    spoken, pause = voice**2 > 1e-4, np.sin(2 * np.pi * 4 * time) < -0.5
    assert power(out[spoken]) > 0.9 * power(voice[spoken])
    assert power(out[pause]) < 0.1 * power(noise[pause])


def test_no_reduction_gives_the_recording_back() -> None:
    assert np.array_equal(spectral_gate(NOISE, reduction=0), NOISE)
    assert np.allclose(
        spectral_gate(NOISE, threshold=1e-9, reduction=1e-9), NOISE, atol=1e-6
    )  # STFT and back


def test_half_of_it() -> None:
    whole, half = spectral_gate(NOISE), spectral_gate(NOISE, reduction=0.5)
    assert np.allclose(half, 0.5 * (whole + NOISE), atol=1e-6)


@settings(max_examples=25)
@given(n=st.integers(0, 3000), seed=st.integers(0, 9), gain=st.floats(1e-3, 1))
def test_any_length_and_level(n: int, seed: int, gain: float) -> None:
    wave = np.random.default_rng(seed).normal(0, 0.1, n).astype(np.float32)
    out = spectral_gate(wave, n_fft=256)
    assert out.shape == wave.shape and out.dtype == np.float32 and np.isfinite(out).all()
    assert np.allclose(spectral_gate((gain * wave).astype(np.float32), n_fft=256), gain * out, atol=1e-5)


def test_the_shortest_frame_is_16_samples() -> None:
    quiet = spectral_gate(NOISE[:4000], n_fft=16)
    assert quiet.shape == (4000,) and 0 < power(quiet) < 0.9 * power(NOISE[:4000])


def test_silence_stays_silent() -> None:
    assert not spectral_gate(np.zeros(5000, np.float32)).any()


def test_what_is_refused() -> None:
    for bad in (np.zeros((2, 5)), np.zeros(5, np.int16), np.full(5, np.nan), np.full(5, 1e300)):
        with pytest.raises(EdgeSerError, match="one row"):
            spectral_gate(bad)
    for more in (
        {"reduction": 2.0},
        {"threshold": 0.0},
        {"seconds": 0.0},
        {"seconds": np.inf},
        {"n_fft": 8},
        {"n_fft": 250},
    ):
        with pytest.raises(EdgeSerError, match="noise reduction needs"):
            spectral_gate(NOISE, **more)
    for name, value in (("n_fft", 256.0), ("sample_rate", -1), ("sample_rate", np.nan)):
        with pytest.raises(EdgeSerError, match=name):
            spectral_gate(NOISE, **{name: value})


def test_a_level_of_ages_is_that_of_the_beginning() -> None:
    # So slow a level never leaves the first frame's: after a quiet beginning all that is louder stays.
    wave = NOISE.copy()
    wave[:2048] *= 1e-3
    out = spectral_gate(wave, seconds=1e200)
    assert power(out[8000:] - wave[8000:]) < 0.01 * power(wave[8000:])
