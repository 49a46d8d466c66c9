"""The sounds to ask with and the comparison of answers."""

from __future__ import annotations

import numpy as np
import pytest

from edge_ser.audio import write_wav
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.parity import (
    LIMITS,
    Difference,
    Limit,
    compare,
    compare_all,
    features_of,
    hard_sounds,
    largest_error,
    recordings,
)
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


def test_difference_of_numbers_and_of_probabilities():
    logits = np.log([[0.7, 0.3], [0.52, 0.48], [0.4, 0.6]])
    wanted = np.concatenate([np.full((3, 3), 0.5), logits], 1)
    mine = wanted.copy()
    mine[0, 0] += 0.03
    mine[:, 3:] += 5  # the same probabilities
    plain, shares = compare(mine, wanted), compare(mine, wanted, rounded=True)
    assert plain.largest == pytest.approx(5) and plain.mean == pytest.approx((0.03 + 6 * 5) / 15)
    assert shares == pytest.approx(Difference(0.03, 0.03 / 15, 1.0))
    # The second step's best is the other one now, and was hardly second; the third's was not.
    swapped = wanted.copy()
    swapped[1:, 3:] = swapped[1:, :2:-1]
    assert compare(swapped, wanted).agreement == pytest.approx(2 / 3)


def test_what_is_no_number_agrees_with_nothing():
    ones = np.ones((2, 5))
    for other in (ones[:1], ones * np.nan, ones * np.inf):
        assert compare(ones, other) == compare(other, ones) == Difference(np.inf, np.inf, 0.0)
    assert compare(ones[:0], ones[:0]) == Difference(0.0, 0.0, 1.0)


def test_the_worst_sound_and_the_agreement_over_all_steps():
    quiet, loud = np.zeros((30, 5)), np.zeros((10, 5))
    loud[:, 3] = 1
    other = {"quiet": quiet + 0.01, "loud": loud + np.array([0.5, 0, 0, -1, 1])}
    difference, worst = compare_all(other, {"quiet": quiet, "loud": loud})
    assert worst == "loud"
    assert difference == pytest.approx(Difference(1.0, 0.5, 0.75))
    # a sound that is off by little and always has the largest mean, another the largest error
    once = loud.copy()
    once[0, 0] += 0.5
    difference, worst = compare_all({"quiet": quiet + 0.1, "loud": once}, {"quiet": quiet, "loud": loud})
    assert worst == "loud" and difference == pytest.approx(Difference(0.5, 0.1, 1.0))


def test_limits():
    limit = Limit(0.2, mean=0.02, agreement=0.9)
    assert Difference(0.2, 0.02, 0.9).within(limit)
    assert not Difference(0.21, 0.02, 0.9).within(limit)
    assert not Difference(0.2, 0.021, 0.9).within(limit)
    assert not Difference(0.2, 0.02, 0.89).within(limit)
    assert Difference(1e-5, 1.0, 0.0).within(LIMITS["fp32"])
    assert not LIMITS["fp32"].rounded and LIMITS["int8"].rounded


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
