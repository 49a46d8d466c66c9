"""Functionals: what NumPy and SciPy say, and the laws that they keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_ser.errors import EdgeSerError
from edge_ser.features.functionals import FUNCTIONALS, summarise

NAMES = [*FUNCTIONALS, "q0", "q05", "q25", "q50", "q90", "q100"]
#: Whole numbers over a few bits: sums of them are exact, so laws hold without a tolerance for rounding.
COURSES = arrays(
    np.float64, st.tuples(st.integers(1, 30), st.integers(1, 4)), elements=st.integers(-512, 512)
)


def times(frames) -> np.ndarray:
    return np.arange(len(frames)) * 0.25


def table(frames, at=None) -> dict[str, np.ndarray]:
    return dict(zip(NAMES, summarise(frames, NAMES, times(frames) if at is None else at).T, strict=True))


@given(COURSES)
def test_they_are_numpys(x):
    got = table(x)
    close = {"rtol": 1e-12, "atol": 1e-9}
    np.testing.assert_allclose(got["mean"], x.mean(0), **close)
    np.testing.assert_allclose(got["std"], x.std(0), **close)
    np.testing.assert_array_equal(got["min"], x.min(0))
    np.testing.assert_array_equal(got["max"], x.max(0))
    np.testing.assert_array_equal(got["range"], np.ptp(x, axis=0))
    np.testing.assert_allclose(got["median"], np.median(x, axis=0), **close)
    np.testing.assert_allclose(got["iqr"], np.subtract(*np.quantile(x, [0.75, 0.25], axis=0)), **close)
    for share in (0, 5, 25, 50, 90, 100):
        name = f"q{share:02d}" if share == 5 else f"q{share}"
        np.testing.assert_allclose(got[name], np.quantile(x, share / 100, axis=0), **close)
    if len(x) > 1:
        np.testing.assert_allclose(got["slope"], np.polyfit(times(x), x, 1)[0], rtol=1e-9, atol=1e-7)
        np.testing.assert_allclose(got["change"], np.abs(np.diff(x, axis=0)).mean(0) / 0.25, **close)


def test_moments_are_scipys():
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed (extra 'train')")
    x = np.random.default_rng(1).gamma(2.0, size=(200, 5))
    got = table(x)
    np.testing.assert_allclose(got["skewness"], stats.skew(x), rtol=1e-10)
    np.testing.assert_allclose(got["kurtosis"], stats.kurtosis(x), rtol=1e-10)


@given(COURSES, st.sampled_from([0.25, 0.5, 2.0, 8.0]), st.integers(-64, 64))
def test_scaling_and_shifting_a_course_scales_and_shifts_its_functionals(x, gain, shift):
    before, after = table(x), table(gain * x + shift)
    for name in NAMES:
        if name in ("skewness", "kurtosis"):  # have no unit
            expected = before[name]
        elif name in ("std", "range", "iqr", "slope", "change"):  # differences
            expected = gain * before[name]
        else:
            expected = gain * before[name] + shift
        np.testing.assert_allclose(after[name], expected, rtol=1e-7, atol=1e-7, err_msg=name)


@given(COURSES)
def test_time_reversed_turns_slopes_alone(x):
    before, after = table(x), table(x[::-1])
    for name in NAMES:
        sign = -1.0 if name == "slope" else 1.0
        np.testing.assert_allclose(after[name], sign * before[name], rtol=1e-9, atol=1e-9, err_msg=name)


@given(COURSES)
def test_order_of_what_they_say(x):
    got = table(x)
    quantiles = np.stack([got[name] for name in ("min", "q05", "q25", "median", "q90", "max")])
    assert (np.diff(quantiles, axis=0) >= 0).all()
    assert (got["min"] <= got["mean"]).all() and (got["mean"] <= got["max"]).all()
    assert (2 * got["std"] <= got["range"] * (1 + 1e-12)).all()  # Popoviciu's inequality
    np.testing.assert_array_equal(got["q0"], got["min"])
    np.testing.assert_array_equal(got["q100"], got["max"])


@pytest.mark.parametrize("value", [0.0, 0.1, -1e6, 1e-30])
@pytest.mark.parametrize("frames", [1, 2, 7, 100])
def test_a_constant_does_not_deviate(value, frames):
    got = table(np.full((frames, 2), value))
    for name in NAMES:
        level = name not in ("std", "range", "iqr", "slope", "change", "skewness", "kurtosis")
        np.testing.assert_array_equal(got[name], value if level else 0.0, err_msg=name)


def test_slopes_are_per_second_of_the_times_given():
    at = np.array([0.0, 1.0, 5.0])
    got = table(3 * at[:, None] + 1, at)
    assert got["slope"] == pytest.approx(3) and got["change"] == pytest.approx(3)


def test_bad_input_is_a_sentence():
    with pytest.raises(EdgeSerError, match="no functional 'avg'; there are mean, std"):
        summarise([[1.0]], ["avg"], [0.0])
    with pytest.raises(EdgeSerError, match="'q101'"):
        summarise([[1.0]], ["q101"], [0.0])
    with pytest.raises(EdgeSerError, match=r"\(frames, features\), not \(0, 3\)"):
        summarise(np.zeros((0, 3)), ["mean"], [])
    with pytest.raises(EdgeSerError, match=r"\(frames, features\), not \(2,\)"):
        summarise([1.0, 2.0], ["mean"], [0.0, 1.0])
    for times in ([0.0], [0.0, 1.0, 2.0], [[0.0], [1.0]]):
        with pytest.raises(EdgeSerError, match="a time for each of 2 frames"):
            summarise(np.zeros((2, 3)), ["mean"], times)
    for times in ([0.0, 0.0], [1.0, 0.0], [0.0, np.nan], [-np.inf, 0.0]):
        with pytest.raises(EdgeSerError, match="each later than the one before"):
            summarise([[1.0], [2.0]], ["mean"], times)
    with pytest.raises(EdgeSerError, match="NaN or infinite"):
        summarise([[np.nan]], ["mean"], [0.0])
    assert summarise([[1.0, 2.0]], [], [0.0]).shape == (2, 0)
