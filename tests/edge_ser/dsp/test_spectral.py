"""Bands of the spectrum: what belongs to which, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from edge_ser.dsp import features as f
from edge_ser.errors import EdgeSerError

pytestmark = pytest.mark.usefixtures("features_backend")

NOISE = (0.1 * np.random.default_rng(0).standard_normal(6000)).astype(np.float32)


def test_every_bin_is_in_one_band_alone() -> None:
    powers = np.eye(9)  # frame k holds bin k alone, of k kHz
    hz = 1000.0 * np.arange(9)
    found = f.band_energy(S=powers, freq=hz, edges=(1000, 3000, 3500, 7000))
    expected = np.zeros((9, 3))
    expected[1:3, 0] = expected[3, 1] = expected[4:8, 2] = 1  # the lower edge, and at the end the upper one
    np.testing.assert_array_equal(found, expected)


def test_the_usual_bands_hold_all_of_speech() -> None:
    powers = f.spectrogram(NOISE, power=2)
    bands = f.band_energy(NOISE)
    assert bands.shape == (len(powers), 6)
    np.testing.assert_allclose(bands.sum(axis=1), powers.astype(np.float64).sum(axis=1), rtol=1e-6)
    assert f.band_energy(S=np.eye(1, 1025, 1024))[0].tolist() == [0, 0, 0, 0, 0, 1]  # 8 kHz is among them


def test_frequencies_are_of_the_usual_frame() -> None:
    np.testing.assert_allclose(f.fft_frequencies(), np.linspace(0, 8000, 1025))


@pytest.mark.parametrize("n_fft", [512, 1000])
def test_of_nearly_all_bins_peak_and_valley_are_the_mean(n_fft: int) -> None:
    found = f.spectral_contrast(NOISE, n_fft=n_fft, n_bands=4, quantile=0.999, linear=True)
    np.testing.assert_allclose(found, 0, atol=1e-5 * np.abs(f.stft(NOISE, n_fft=n_fft)).max())


def test_octaves_without_bins_are_refused() -> None:
    hz = np.array([0, 50, 100, 150, 1700, 1800, 1900])
    with pytest.raises(EdgeSerError, match="no bin lies between 200 and 400 Hz: raise n_fft or fmin"):
        f.spectral_contrast(S=np.ones((2, 7)), freq=hz, n_bands=3)


def test_a_complex_spectrogram_is_refused() -> None:
    for feature in (f.spectral_centroid, f.band_energy, f.melspectrogram, f.estimate_tuning):
        with pytest.raises(EdgeSerError, match="real numbers, not complex64: take the magnitude first"):
            feature(S=f.stft(NOISE))
