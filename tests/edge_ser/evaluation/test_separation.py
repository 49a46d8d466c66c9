"""The scale-invariant signal-to-noise ratio against its formula, and its laws."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.separation import si_snr, si_snr_of_sources

SIGNALS = arrays(np.float64, (2, 50), elements=st.floats(-1, 1, width=32))


def reference(estimate: list[float], target: list[float]) -> float:
    """The formula, number by number."""
    n = len(target)
    x = [v - math.fsum(estimate) / n for v in estimate]
    s = [v - math.fsum(target) / n for v in target]
    a = math.fsum(p * q for p, q in zip(x, s, strict=True)) / math.fsum(q * q for q in s)
    signal = math.fsum((a * q) ** 2 for q in s)
    noise = math.fsum((p - a * q) ** 2 for p, q in zip(x, s, strict=True))
    return 10 * math.log10(signal / noise)


def pair(seed: int, share: float = 0.3, n: int = 800) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.normal(0, 0.2, n) + 0.05
    return target + share * rng.normal(0, 0.2, n), target


def test_the_formula() -> None:
    for seed in range(100):
        x, s = pair(seed, 10.0 ** ((seed % 9) - 5))
        assert si_snr(x, s) == pytest.approx(reference(x.tolist(), s.tolist()), abs=1e-5)
        assert si_snr(x.astype(np.float32), s.astype(np.float32)) == pytest.approx(si_snr(x, s), abs=0.05)


def test_known_values() -> None:
    t = np.arange(8000) / 8000
    one, other = np.sin(2 * np.pi * 440 * t), np.sin(2 * np.pi * 1000 * t)
    assert si_snr(one + other, one) == pytest.approx(0.0, abs=1e-9)
    assert si_snr(one + 0.1 * other, one) == pytest.approx(20.0, abs=1e-9)


@settings(max_examples=100)
@given(SIGNALS, st.floats(1e-3, 1e3), st.booleans(), st.floats(-1, 1), st.floats(1e-3, 1e3))
def test_level_sign_and_offset_do_not_matter(
    signals: np.ndarray, gain: float, turned: bool, offset: float, other: float
) -> None:
    x, s = signals
    assume(np.ptp(x) > 0.01 and np.ptp(s) > 0.01)
    before = si_snr(x, s)
    assume(-60 < before < 100)
    assert si_snr((-gain if turned else gain) * x + offset, other * s - offset) == pytest.approx(
        before, abs=1e-4
    )


@settings(max_examples=50)
@given(SIGNALS)
def test_estimate_and_target_may_change_places(signals: np.ndarray) -> None:
    x, s = signals
    assume(np.ptp(x) > 0.01 and np.ptp(s) > 0.01)
    before = si_snr(x, s)
    assume(-60 < before < 100)
    assert si_snr(s, x) == pytest.approx(before, abs=1e-5)  # it is a function of the angle between them


def test_silence_and_perfection() -> None:
    x, s = pair(0)
    assert si_snr(np.zeros_like(x), s) == -math.inf
    assert si_snr(np.full_like(x, 0.1), s) == -math.inf  # an offset is no sound
    assert si_snr(s, s) == math.inf or si_snr(s, s) > 250
    assert si_snr(-3 * s, s) > 250
    for silent in (np.zeros_like(s), np.full_like(s, 0.1)):
        with pytest.raises(EdgeSerError, match="the target is silent"):
            si_snr(x, silent)


@pytest.mark.parametrize(
    ("x", "s", "words"),
    [
        ([0.0, 1.0], [0.0, 1.0, 2.0], "2 samples cannot be compared with a target of 3"),
        ([], [], "one channel of samples"),
        ([[0.0, 1.0]], [[0.0, 1.0]], "one channel"),
        ([0.0, math.nan], [0.0, 1.0], "the estimate holds 1 samples that are not finite"),
        ([0.0, 1.0], [0.0, math.inf], "the target holds 1"),
    ],
)
def test_what_is_no_signal_is_refused(x: list[float], s: list[float], words: str) -> None:
    with pytest.raises(EdgeSerError, match=words):
        si_snr(x, s)


@settings(max_examples=30)
@given(st.integers(1, 4), st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_the_order_of_estimates_does_not_matter(sources: int, seed: int, chance: object) -> None:
    rng = np.random.default_rng(seed)
    targets = rng.normal(0, 1, (sources, 60))
    estimates = targets + rng.normal(0, 1, (sources, 60))
    values, order = si_snr_of_sources(estimates, targets)
    shuffled = list(range(sources))
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    again, other = si_snr_of_sources(estimates[shuffled], targets)
    np.testing.assert_allclose(again, values)
    assert [shuffled[k] for k in other] == list(order)
    best = max(
        sum(si_snr(estimates[k], targets[i]) for i, k in enumerate(p))
        for p in itertools.permutations(range(sources))
    )
    assert values.sum() == pytest.approx(best)


def test_a_silent_estimate_goes_to_whom_it_hurts_least() -> None:
    rng = np.random.default_rng(0)
    targets = rng.normal(0, 1, (2, 100))
    values, order = si_snr_of_sources(np.stack([np.zeros(100), targets[0]]), targets)
    assert order == (1, 0) and values[0] > 250 and values[1] == -math.inf


@pytest.mark.parametrize("shape", [(9, 4), (4,), (0, 4)])
def test_shapes_that_are_no_sources(shape: tuple[int, ...]) -> None:
    with pytest.raises(EdgeSerError, match="1 to 8 sources"):
        si_snr_of_sources(np.zeros(shape), np.zeros(shape))
