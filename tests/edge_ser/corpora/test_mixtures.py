"""Sums of known sources."""

from __future__ import annotations

import csv
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ser.corpora.mixtures import (
    RATE,
    mix_speech,
    pair_speakers,
    sinusoid_pairs,
    trim_silence,
    write_sinusoids,
)
from edge_ser.errors import EdgeSerError


def test_sinusoids_are_what_the_table_says(tmp_path: Path) -> None:
    made = sinusoid_pairs(12, seconds=0.5, seed=3)
    assert made.waves.shape == (12, 2, 4000) and made.waves.dtype == np.float32
    assert np.abs(made.mixtures).max() <= 1
    spectra = np.abs(np.fft.rfft(made.waves, axis=2))
    np.testing.assert_allclose(spectra.argmax(2) * 2.0, made.frequencies, atol=1.01)
    assert (np.abs(np.diff(made.frequencies)) >= 100).all()
    table = write_sinusoids(tmp_path / "out", made)
    rows = list(csv.DictReader(table.open()))
    assert len(rows) == 12 and len(list((tmp_path / "out").glob("*.wav"))) == 36
    for i, row in enumerate(rows):
        assert float(row["f1"]) == pytest.approx(made.frequencies[i, 0], abs=1e-5)
        waves = {}
        for name in ("mixture", "source1", "source2"):
            with wave.open(str(tmp_path / "out" / row[name])) as file:
                assert file.getframerate() == RATE and file.getnframes() == 4000
                waves[name] = np.frombuffer(file.readframes(4000), "<i2") / 32768
        np.testing.assert_allclose(waves["source1"] + waves["source2"], waves["mixture"], atol=5e-5)
        np.testing.assert_allclose(waves["source2"], made.waves[i, 1], atol=2e-5)


def test_a_seed_gives_the_same_pairs() -> None:
    assert (sinusoid_pairs(3, seed=1).waves == sinusoid_pairs(3, seed=1).waves).all()
    assert (sinusoid_pairs(3, seed=1).frequencies != sinusoid_pairs(3, seed=2).frequencies).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"pairs": 0},
        {"seconds": 0.0},
        {"amplitude": 0.6},
        {"highest": 5000.0},
        {"lowest": 0.0},
        {"apart": 3000.0},
    ],
)
def test_sinusoids_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(EdgeSerError, match="sinusoids"):
        sinusoid_pairs(**wrong)  # type: ignore[arg-type]


def test_silence_goes_from_the_ends_alone() -> None:
    rng = np.random.default_rng(0)
    loud = rng.normal(0, 0.1, 1600).astype(np.float32)
    quiet = rng.normal(0, 1e-4, 1600).astype(np.float32)
    wave_ = np.concatenate([quiet, loud, quiet, loud, quiet, quiet[:77]])
    trimmed = trim_silence(wave_, RATE)
    assert (trimmed == wave_[1600:6400]).all()
    assert (trim_silence(0.001 * wave_, RATE) == trimmed * np.float32(0.001)).all()
    for short in (loud[:10], np.zeros(500, np.float32)):
        assert (trim_silence(short, RATE) == short).all()


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 900), st.integers(1, 900), st.integers(100, 600))
def test_sources_of_a_mixture(seed: int, one: int, other: int, samples: int) -> None:
    rng = np.random.default_rng(seed)
    waves = [0.1 * rng.normal(0, 1, n).astype(np.float32) + np.float32(1e-3) for n in (one, other)]
    sources = mix_speech(*waves, samples, rng)
    assert sources.shape == (2, samples) and np.abs(sources.sum(0)).max() <= 0.9 + 1e-5
    level = 10 * np.log10((sources.astype(np.float64) ** 2).mean(1))
    assert abs(level[0] - level[1]) <= 2.5 + 1e-3
    for source, wave_ in zip(sources, waves, strict=True):
        assert np.count_nonzero(source) == min(samples, len(wave_))


def test_mixtures_are_of_two_speakers() -> None:
    speakers = ["a", "a", "b", "c", "a"]
    pairs = pair_speakers(speakers, 200, 0)
    assert len(pairs) == 200 and all(speakers[i] != speakers[k] for i, k in pairs)
    assert pairs == pair_speakers(speakers, 200, 0) and len(set(pairs)) > 10
    with pytest.raises(EdgeSerError, match="two of them, and there are 1"):
        pair_speakers(["a", "a"], 1, 0)
    with pytest.raises(EdgeSerError, match="silent"):
        mix_speech(np.zeros(10, np.float32), np.ones(10, np.float32), 10, np.random.default_rng(0))
