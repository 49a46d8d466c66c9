"""The sounds to ask with and the comparison of answers."""

from __future__ import annotations

import numpy as np
import pytest

from edge_ser.audio import write_wav
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.parity import features_of, hard_sounds, largest_error, recordings
from tests.support import SPEC


def test_hard_sounds_are_what_they_are_called():
    sounds = hard_sounds(12.0)
    assert all(wave.dtype == np.float32 and wave.shape == (192_000,) for wave in sounds.values())
    assert all(np.abs(wave).max() <= 1 for wave in sounds.values())
    assert not sounds["silence"].any()
    assert set(np.unique(sounds["full scale"])) == {-1.0, 1.0}
    assert len(np.unique(sounds["direct current"])) == 1
    assert np.count_nonzero(sounds["click"]) == 1
    again = hard_sounds(12.0)
    assert all(np.array_equal(wave, again[name]) for name, wave in sounds.items())


def test_features_are_whole_steps():
    features = features_of({"a": np.zeros(4000 * 3 + 3999, np.float32)}, SPEC, 20)
    assert features["a"].shape == (3, 20, 64)
    with pytest.raises(EdgeSerError, match=r"a is shorter than one step of 0\.25 s"):
        features_of({"a": np.zeros(3999, np.float32)}, SPEC, 20)


def test_largest_error():
    ones = np.ones((2, 3), np.float32)
    assert largest_error(ones, ones) == 0
    assert largest_error(ones, ones + np.array([[0, 0, 0], [0, -0.5, 0.25]])) == 0.5
    assert largest_error(ones, ones[:1]) == np.inf
    assert largest_error(ones * np.nan, ones) == np.inf
    assert largest_error(np.array([[1.0, np.nan]]), np.array([[1.0, 1.0]])) == np.inf
    assert largest_error(ones * np.inf, ones * np.inf) == np.inf


def test_recordings(tmp_path):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        write_wav(tmp_path / place / "x.wav", np.linspace(-0.5, 0.5, 16000, dtype=np.float32))
    names = [str(tmp_path / place / "x.wav") for place in ("a", "b")]
    found = recordings(names, seconds=0.5)
    assert list(found) == names
    assert all(len(wave) == 8000 for wave in found.values())
    assert list(recordings(names[:1])) == ["x.wav"]
    with pytest.raises(EdgeSerError):
        recordings([str(tmp_path / "none.wav")])
