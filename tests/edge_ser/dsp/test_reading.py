"""A spectrogram read in numbers, of signals whose numbers are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ser.dsp.reading import OCTAVES, Reading, octave_levels, read_spectrogram
from edge_ser.errors import EdgeSerError

SR = 16000
T = np.arange(4 * SR) / SR


def noise(seconds: float = 4.0) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(int(seconds * SR)).astype(np.float32) * 0.1


def bursts(period: float, hz: float, seconds: float = 8.0) -> np.ndarray:
    """Short tones at a steady pace in faint noise."""
    t = np.arange(int(seconds * SR)) / SR
    return np.sin(2 * np.pi * hz * t) * np.exp(-(t % period) / 0.03) + 0.001 * noise(seconds)


def test_a_tone_lies_in_its_octave() -> None:
    read = read_spectrogram(0.5 * np.sin(2 * np.pi * 1500 * T))
    assert read.octaves[OCTAVES.index(1024)] == pytest.approx(1, abs=1e-4)
    assert read.share(512, 2048) == pytest.approx(1, abs=1e-4)
    assert read.filled(1024, 2048) == 1
    assert read.centroid == pytest.approx(1500, abs=5)
    assert read.flatness < 1e-3
    assert read.dynamic_range < 1
    assert read.to_dict()["octaves"] == read.octaves
    assert read.to_vector().shape == (31,)
    assert Reading.of_vector(read.to_vector()) == read


@pytest.mark.parametrize(("faint_db", "filled"), [(-26, 0.5), (-34, 0.0)])
def test_what_is_faint_weighs_little_and_is_dark_30_db_below(faint_db: float, filled: float) -> None:
    loud, faint = np.sin(2 * np.pi * 700 * T), 10 ** (faint_db / 20) * np.sin(2 * np.pi * 3000 * T)
    read = read_spectrogram(0.5 * np.where(T < 2, loud, faint))
    assert read.centroid == pytest.approx(700, abs=20)
    assert read.filled(512, 1024) == pytest.approx(0.5, abs=0.02)
    assert read.filled(2048, 4096) == pytest.approx(filled, abs=0.02)


def test_noise_has_energy_by_bandwidth_and_no_rhythm() -> None:
    read = read_spectrogram(noise(8))
    # what lies above 8 kHz is not in the recording
    widths = np.diff((*OCTAVES[:-1], 8000))
    np.testing.assert_allclose(read.octaves, widths / widths.sum(), atol=0.01)
    assert read.flatness == pytest.approx(
        np.exp(-0.5772), abs=0.02
    )  # of powers that are exponentially distributed
    assert read.periodicity < 0.3
    assert sum(read.octaves) == pytest.approx(1)


@pytest.mark.parametrize("period", [0.25, 0.4, 0.5])
def test_strokes_are_counted_and_their_period_found(period: float) -> None:
    read = read_spectrogram(bursts(period, 120))
    assert read.onsets == pytest.approx(1 / period, abs=0.15)
    assert read.periodicity > 0.9
    times = read.period / period
    assert times == pytest.approx(round(times), abs=0.05)
    assert read.bursts[OCTAVES.index(64)] > 12


def test_dynamics_are_those_of_phrases_not_of_strokes() -> None:
    swell = 10 ** (-40 * (0.5 + 0.5 * np.cos(2 * np.pi * T / 4)) / 20)
    assert 33 < read_spectrogram(swell * noise()).dynamic_range < 40
    assert read_spectrogram(bursts(0.2, 1000)).dynamic_range < 2


def test_octave_levels_are_the_energies() -> None:
    y = noise()
    levels = octave_levels(y)
    assert levels.shape == (len(y) // 256 + 1, 8)
    shares = levels.sum(axis=0) / levels.sum()
    np.testing.assert_allclose(shares, read_spectrogram(y).octaves, rtol=1e-4)


@settings(max_examples=20)
@given(gain=st.floats(0.001, 5))
def test_the_level_of_a_recording_does_not_count(gain: float) -> None:
    y = bursts(0.5, 400, 4)
    one, other = read_spectrogram(y), read_spectrogram(gain * y)
    np.testing.assert_allclose(one.octaves, other.octaves, rtol=1e-3, atol=1e-6)
    assert one.dynamic_range == pytest.approx(other.dynamic_range, abs=0.05)
    assert one.centroid == pytest.approx(other.centroid, rel=1e-3)
    np.testing.assert_allclose(one.fill, other.fill, atol=0.01)


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(EdgeSerError, match="3 s of sound, not 1"):
        read_spectrogram(noise(1))
    with pytest.raises(EdgeSerError, match="silent"):
        read_spectrogram(np.zeros(64000, np.float32))
    with pytest.raises(EdgeSerError, match="no edge of an octave"):
        read_spectrogram(noise()).share(100, 200)
