"""Spectrograms at the edges of what can be given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edge_ser.dsp import features as f
from edge_ser.errors import EdgeSerError

pytestmark = pytest.mark.usefixtures("features_backend")

NOISE = (0.1 * np.random.default_rng(0).standard_normal(4000)).astype(np.float32)
SPECTRA = np.abs(f.stft(NOISE, n_fft=512)).astype(np.float64)
SPECTRA /= SPECTRA.max()

# The features of a spectrogram, and the most that theirs may hold: magnitudes, or powers.
OF_SHAPE: dict[str, tuple[Callable[..., Any], float]] = {
    "centroid": (f.spectral_centroid, 1e17),
    "bandwidth": (f.spectral_bandwidth, 1e17),
    "bandwidth-4": (lambda **given: f.spectral_bandwidth(p=4, **given), 1e17),
    "rolloff": (f.spectral_rolloff, 1e17),
    "flatness": (lambda **given: f.spectral_flatness(amin=1e-30, **given), 1e17),
    "contrast": (lambda **given: f.spectral_contrast(n_bands=4, top_db=None, **given), 1e17),
    "chroma": (lambda **given: f.chroma_stft(tuning=0.0, **given), 1e34),
}
OF_LEVEL: dict[str, tuple[Callable[..., Any], float]] = {
    "moment": (lambda **given: f.spectral_bandwidth(norm=False, **given), 1e17),
    "bands": (f.band_energy, 1e34),
    "mel": (lambda **given: f.melspectrogram(n_mels=20, **given), 1e34),
    "rms": (lambda **given: f.rms(frame_length=512, **given), 1e17),
}
ALL = OF_SHAPE | OF_LEVEL


@pytest.mark.parametrize("name", OF_SHAPE)
def test_what_describes_a_shape_does_not_depend_on_the_level(name: str) -> None:
    feature, most = OF_SHAPE[name]
    for level in (1e-4, 0.999 * most):
        np.testing.assert_allclose(feature(S=SPECTRA * level), feature(S=SPECTRA), rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("name", OF_LEVEL)
def test_the_largest_spectrogram_has_finite_features(name: str) -> None:
    feature, most = OF_LEVEL[name]
    assert np.isfinite(feature(S=SPECTRA * 0.999 * most)).all()


@pytest.mark.parametrize("name", ALL)
def test_a_larger_spectrogram_is_refused(name: str) -> None:
    feature, most = ALL[name]
    with pytest.raises(EdgeSerError, match=rf"S must be at most 1e\+{np.log10(most):.0f}, .* scale it down"):
        feature(S=SPECTRA * 1.1 * most)


@pytest.mark.parametrize("name", sorted(set(ALL) - {"contrast", "chroma", "rms"}))
def test_a_spectrogram_of_one_bin_is_of_frames_of_one_sample(name: str) -> None:
    how = {"n_mels": 1} if name == "mel" else {}
    feature = f.melspectrogram if name == "mel" else ALL[name][0]
    x = np.abs(NOISE[:20]) ** (2 if ALL[name][1] > 1e17 else 1)
    found = feature(y=NOISE[:20], n_fft=1, hop_length=1, window="rectangular", **how)
    np.testing.assert_allclose(feature(S=x[:, None], **how), found, rtol=1e-6)


def test_one_bin_is_too_little_for_chroma() -> None:
    for given in ({"S": np.ones((3, 1))}, {"y": NOISE, "n_fft": 1}):
        with pytest.raises(EdgeSerError, match="n_fft must be a whole number of at least 2, not 1"):
            f.chroma_stft(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda **how: f.melspectrogram(NOISE, win_length=0, **how), "win_length"),
        (lambda **how: f.melspectrogram(NOISE, power=np.inf, **how), "power must be a finite number"),
        (lambda **how: f.spectrogram(NOISE, power=np.inf, **how), "power must be a finite number"),
        (lambda **how: f.spectral_flatness(NOISE, power=np.inf, **how), "finite numbers above 0"),
        (lambda **how: f.spectral_flatness(NOISE, amin=np.inf, **how), "finite numbers above 0"),
        (lambda **how: f.spectral_centroid(S=SPECTRA, threads=0, **how), "threads must be"),
        (lambda **how: f.melspectrogram(S=SPECTRA, threads="2", **how), "threads must be"),
        (
            lambda **how: f.spectrogram(NOISE, hop_length=2**64, **how),
            "hop_length must be at most 2147483647",
        ),
        (lambda **how: f.spectrogram(NOISE, window=np.ones(511), **how), "window must be a name or 512 real"),
        (lambda **how: f.spectrogram(NOISE, window=np.full(512, np.nan), **how), "window must be"),
        (lambda **how: f.spectrogram(NOISE, window=np.full(512, -1.1e6), **how), r"from -1e\+06 to 1e\+06"),
        (lambda **how: f.spectrogram(NOISE, window=np.full(512, 1j), **how), "512 real numbers"),
        (lambda **how: f.chroma_stft(NOISE, n_chroma=0, **how), "n_chroma must be"),
        (lambda **how: f.chroma_stft(NOISE, tuning=np.nan, **how), "finite tuning"),
        (lambda **how: f.chroma_stft(NOISE, tuning=0.0, ctroct=np.inf, **how), "finite tuning and ctroct"),
        (lambda **how: f.chroma_stft(NOISE, tuning=0.0, octwidth=0.0, **how), "octwidth above 0"),
        (lambda **how: f.chroma_stft(NOISE, tuning=0.0, octwidth=np.nan, **how), "octwidth above 0"),
    ],
)
def test_what_gave_numbers_that_mean_nothing_is_refused(call: Callable[..., Any], words: str) -> None:
    with pytest.raises(EdgeSerError, match=words):
        call(n_fft=512)


def test_the_largest_hop_and_window_are_taken() -> None:
    assert f.rms(NOISE, frame_length=512, hop_length=2**31 - 1).shape == (1,)
    loud = f.spectrogram(NOISE, n_fft=512, window=np.full(512, 10**6), power=2)
    np.testing.assert_allclose(
        loud, 1e12 * f.spectrogram(NOISE, n_fft=512, window="rectangular", power=2), 1e-5
    )


@pytest.mark.parametrize("power", [0.5, 1, 2, 3, 40, 200])
@pytest.mark.parametrize("amin", [1e-300, 1e-10, 1e38])
def test_flatness_of_any_power_is_the_formula(power: float, amin: float) -> None:
    for level in (1e-25, 1.0, 1e3, 1e14):
        S = (SPECTRA * level).astype(np.float32).astype(np.float64)
        logs = np.maximum(power * np.log(S), np.log(amin))
        top = logs.max(axis=1)
        expected = np.exp(logs.mean(axis=1) - top - np.log(np.exp(logs - top[:, None]).mean(axis=1)))
        found = f.spectral_flatness(S=S, power=power, amin=amin)
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-37)


def test_flatness_is_at_most_one() -> None:
    for bins in (1, 2, 3, 5, 17, 257, 1025):
        levels = np.geomspace(1e-9, 1e6, 100)[:, None]
        found = f.spectral_flatness(S=np.ones((1, bins)) * levels)
        assert found.max() <= 1
        np.testing.assert_allclose(found, 1, rtol=1e-5)
