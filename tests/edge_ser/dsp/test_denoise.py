"""Noise reduction: a steady background goes, what rises over it stays, lengths and levels hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ser.dsp.denoise import spectral_gate
from edge_ser.errors import EdgeSerError

RNG = np.random.default_rng(0)
NOISE = RNG.normal(0, 0.01, 32000).astype(np.float32)


def test_steady_noise_goes_and_a_burst_stays() -> None:
    wave = NOISE.copy()
    burst = slice(15000, 17000)
    wave[burst] += (0.3 * np.sin(2 * np.pi * 1000 * np.arange(2000) / 16000) * np.hanning(2000)).astype(
        np.float32
    )
    out = spectral_gate(wave)
    power = lambda x: float(np.mean(x.astype(np.float64) ** 2))  # noqa: E731
    assert power(out[:12000]) < 0.05 * power(wave[:12000])
    assert power(out[burst]) > 0.8 * power(wave[burst])
    assert np.corrcoef(out[burst], wave[burst])[0, 1] > 0.98


def test_no_reduction_gives_the_recording_back() -> None:
    assert np.array_equal(spectral_gate(NOISE, reduction=0), NOISE)
    assert np.allclose(
        spectral_gate(NOISE, threshold=1e-9, reduction=1e-9), NOISE, atol=1e-6
    )  # STFT and back


def test_half_of_it() -> None:
    whole, half = spectral_gate(NOISE), spectral_gate(NOISE, reduction=0.5)
    assert np.allclose(half, 0.5 * (whole + NOISE), atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(0, 3000), seed=st.integers(0, 9), gain=st.floats(1e-3, 1))
def test_any_length_and_level(n: int, seed: int, gain: float) -> None:
    wave = np.random.default_rng(seed).normal(0, 0.1, n).astype(np.float32)
    out = spectral_gate(wave, n_fft=256)
    assert out.shape == wave.shape and out.dtype == np.float32 and np.isfinite(out).all()
    assert np.allclose(spectral_gate((gain * wave).astype(np.float32), n_fft=256), gain * out, atol=1e-5)


def test_silence_stays_silent() -> None:
    assert not spectral_gate(np.zeros(5000, np.float32)).any()


def test_what_is_refused() -> None:
    for bad in (np.zeros((2, 5)), np.zeros(5, np.int16), np.full(5, np.nan)):
        with pytest.raises(EdgeSerError, match="one row"):
            spectral_gate(bad)
    for more in ({"reduction": 2.0}, {"threshold": 0.0}, {"seconds": 0.0}, {"n_fft": 8}, {"n_fft": 250}):
        with pytest.raises(EdgeSerError, match="noise reduction needs"):
            spectral_gate(NOISE, **more)
