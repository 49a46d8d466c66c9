"""The fundamental period by YIN against its definition, sum by sum, in both forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ser.dsp.compute import implementation
from edge_ser.dsp.twins.pitch import transform_length

LENGTH, LOW, HIGH = 150, 20, 60


@given(st.integers(1, 100_000))
def test_transforms_are_no_longer_than_they_must_be(least: int) -> None:
    sizes = [odd << twos for odd in (1, 3, 5, 9) for twos in range(1, 18)]
    assert transform_length(least) == min(size for size in sizes if size >= least)


def differences(frame: np.ndarray) -> np.ndarray:
    """Of the frame, with zeros after it, and itself shifted by LOW .. HIGH, in parts of their mean up to there."""
    padded = np.concatenate([frame, np.zeros(HIGH)])
    squares = [((frame - padded[k : k + LENGTH]) ** 2).sum() for k in range(1, HIGH + 1)]
    d = [squares[k - 1] / (np.mean(squares[:k]) + np.finfo(np.float32).tiny) for k in range(LOW, HIGH + 1)]
    return np.array(d)


def period(frame: np.ndarray, threshold: float) -> tuple[float, float]:
    d = differences(frame)
    around = np.concatenate([[np.inf], d, [np.inf]])
    troughs = [
        k for k in range(len(d)) if around[k] > d[k] <= around[k + 2] and (k > 0 or d[0] < d[1])
    ]  # where two are the same, the first
    deep = [k for k in troughs if d[k] < threshold]
    k = deep[0] if deep else int(np.argmin(d))
    if not 0 < k < len(d) - 1:
        return LOW + k, d[k]
    parabola = np.polyfit([-1.0, 0.0, 1.0], d[k - 1 : k + 2], 2)
    return LOW + k - parabola[1] / (2 * parabola[0]), d[k]


def pulses(every: float) -> np.ndarray:
    """Bumps three samples wide."""
    n = np.arange(1000)
    return np.exp(-0.5 * (((n + every / 2) % every - every / 2) / 1.5) ** 2)


SIGNALS = {f"period {every}": pulses(every) for every in (20, 20.5, 21, 33.4, 40, 59, 59.6, 60, 60.4)} | {
    "noise": np.random.default_rng(5).standard_normal(1000),
    "two periods": pulses(25) + 0.7 * pulses(50),
    "offset": np.ones(1000),
}


@pytest.mark.usefixtures("features_backend")
@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5, 5.0])
@pytest.mark.parametrize("signal", SIGNALS)
def test_the_period_is_the_first_deep_trough_or_the_deepest(signal: str, threshold: float) -> None:
    x = (0.3 * SIGNALS[signal]).astype(np.float32)
    found = implementation().yin(x, LENGTH, 37, LOW, HIGH, threshold)
    frames = np.lib.stride_tricks.sliding_window_view(x, LENGTH)[::37].astype(np.float64)
    expected = [period(frame, threshold) for frame in frames]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("features_backend")
def test_silence_has_the_shortest_period() -> None:
    found = implementation().yin(np.zeros(500, np.float32), LENGTH, 50, LOW, HIGH, 0.1)
    np.testing.assert_array_equal(found, np.tile([LOW, 0.0], (8, 1)))
