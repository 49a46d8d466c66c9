"""Ranges of activations: laws of the three methods."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.ranges import METHODS, Histogram


def counted(values: np.ndarray) -> Histogram:
    histogram = Histogram(values.min(), values.max())
    for part in np.array_split(values, 3):
        histogram.add(part)
    return histogram


def error(values: np.ndarray, low: float, high: float) -> float:
    """Mean squared error of values in eight bits, as the ONNX files have them."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = (high - low) / 255
    zero = np.rint(-low / step)
    return float(np.mean(((np.clip(np.rint(values / step) + zero, 0, 255) - zero) * step - values) ** 2))


@given(st.integers(0, 10_000), st.sampled_from(["normal", "gamma", "two"]), st.floats(1e-3, 1e3))
@settings(max_examples=40)
def test_ranges_lie_within_what_was_met(seed, shape, size):
    rng = np.random.default_rng(seed)
    values = {
        "normal": rng.normal(0, size, 4000),
        "gamma": rng.gamma(1, size, 4000),
        "two": rng.choice([-size, 3 * size], 4000),
    }[shape].astype(np.float32)
    histogram = counted(values)
    assert histogram.range("minmax") == (float(values.min()), float(values.max()))
    for method in METHODS:
        low, high = histogram.range(method)
        assert histogram.low <= low <= high <= histogram.high


@pytest.mark.parametrize("sign", [1, -1])
def test_one_value_far_out(sign):
    """min/max spends the steps on it; the others do not, and what they give the many is nearer."""
    values = sign * np.random.default_rng(0).gamma(1, 1, 200_000).astype(np.float32)
    values[7] = sign * 1000
    histogram = counted(values)
    wide = histogram.range("minmax")
    assert max(map(abs, wide)) == 1000
    assert 5 < max(map(abs, histogram.range("percentile"))) < 20
    assert 500 < max(map(abs, histogram.range("mse"))) < 1000
    many = np.delete(values, 7)
    assert error(many, *histogram.range("percentile")) < error(many, *wide) / 100
    # In the mean of squares the one counts too: no range is better for all of them.
    best = error(values, *histogram.range("mse"))
    assert best <= error(values, *wide) and best <= error(values, *histogram.range("percentile"))


def test_the_least_error_is_found():
    """Against a search over many ranges."""
    values = np.random.default_rng(1).standard_t(3, 50_000).astype(np.float32)
    found = error(values, *counted(values).range("mse"))
    low, high = float(values.min()), float(values.max())
    searched = min(
        error(values, low * a, high * b) for a in np.linspace(0.2, 1, 17) for b in np.linspace(0.2, 1, 17)
    )
    assert found < 1.1 * searched


def test_percentiles_are_shares_of_the_values():
    values = np.random.default_rng(2).uniform(-1, 3, 100_000).astype(np.float32)
    low, high = counted(values).range("percentile")
    bin_ = 1 / 4096  # of all the values, as they are spread evenly
    for outside in (np.mean(values < low), np.mean(values > high)):
        assert outside <= 1e-4 < outside + 2 * bin_  # a hundredth of a per cent, to a bin
    assert low > values.min() - 1e-6 and high <= values.max()


@pytest.mark.parametrize(("low", "high"), [(5.0, 5.0001), (0.0, 1e-42), (-100.0, -99.9999), (-3e38, 3e38)])
def test_narrow_ranges_and_wide_ones(low, high):
    values = np.linspace(low, high, 1000).astype(np.float32)
    histogram = counted(values)
    assert histogram.counts.sum() == 1000
    for method in METHODS:
        least, most = histogram.range(method)
        assert histogram.low <= least <= most <= histogram.high


def test_constants_and_nothing():
    constant = Histogram(2.0, 2.0)
    constant.add(np.full(10, 2.0))
    assert all(constant.range(method) == (2.0, 2.0) for method in METHODS)
    assert Histogram(-1.0, 1.0).range("mse") == (-1.0, 1.0)
    with pytest.raises(ValueError, match="no method 'entropy'"):
        constant.range("entropy")
