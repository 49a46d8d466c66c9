"""Calibration: a known temperature is found, folds do not see their own speakers, the rule keeps its coverage."""

import dataclasses

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.calibrate import (
    abstention,
    accuracy_at,
    by_others,
    calibration,
    cross_fitted,
    expected_calibration_error,
    fit_temperature,
    reliability,
    risk_coverage,
    unsure_threshold,
    with_temperature,
    without_temperature,
)
from tests.edge_ser.evaluation.making import make


def drawn(temperature: float, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are off by this temperature, and classes drawn from the right ones."""
    rng = np.random.default_rng(1)
    right = rng.dirichlet((0.6, 0.6, 0.6, 0.6), n)
    truth = np.array([rng.choice(4, p=row) for row in right])
    return with_temperature(right, 1 / temperature), truth


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_found_and_mends_the_error(temperature: float) -> None:
    scores, truth = drawn(temperature)
    found = fit_temperature(scores, truth)
    assert found == pytest.approx(temperature, rel=0.08)
    assert expected_calibration_error(with_temperature(scores, found), truth) < 0.03
    if temperature != 1.0:
        assert expected_calibration_error(scores, truth) > 0.05


def test_the_error_of_known_cases() -> None:
    sure = np.tile([1.0, 0.0], (10, 1))
    assert expected_calibration_error(sure, np.zeros(10, int)) == 0
    assert expected_calibration_error(sure, np.ones(10, int)) == 1
    assert expected_calibration_error(
        np.tile([0.7, 0.3], (10, 1)), np.array([0] * 7 + [1] * 3)
    ) == pytest.approx(0)
    assert sum(row["clips"] for row in reliability(sure, np.zeros(10, int))) == 10


def test_too_sure_and_too_modest_do_not_cancel() -> None:
    scores = np.repeat([[0.9, 0.1], [0.6, 0.4]], 10, axis=0)
    truth = np.array([0] * 6 + [1] * 4 + [0] * 9 + [1])  # right in 0.6 and in 0.9 of them
    assert expected_calibration_error(scores, truth) == pytest.approx(0.3)
    weighed = expected_calibration_error(scores, truth, weights=np.repeat([1.0, 0.0], 10))
    assert weighed == pytest.approx(0.3)


@pytest.mark.parametrize(("clips", "coverage"), [(10, 0.3), (10, 0.8), (49, 5 / 7), (10, 1.0)])
def test_a_share_that_is_met_but_for_rounding_is_met(clips: int, coverage: float) -> None:
    values, weights = np.arange(clips)[::-1] / clips, np.full(clips, 0.1)
    kept = int(np.sum(values >= unsure_threshold(values, coverage, weights)))
    assert kept == round(coverage * clips)


def test_of_equals_all_are_sure() -> None:
    scores, truth = np.tile([0.8, 0.2], (30, 1)), np.arange(30) % 2
    assert by_others(scores, truth, np.arange(30) // 10, 0.5)[1].all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.floats(0.01, 1))
def test_the_rule_keeps_at_least_its_coverage(confidence: list[float], coverage: float) -> None:
    values = np.array(confidence)
    kept, _ = accuracy_at(values, np.ones(len(values), bool), unsure_threshold(values, coverage))
    assert kept >= coverage - 1e-9


@example(25, 28, 0)  # as floats 0.28 * 25 is more than 7, and 0.55 * 100 more than 55
@example(100, 55, 0)
@given(st.integers(1, 300), st.integers(1, 100), st.integers(0, 2**32 - 1))
def test_no_larger_confidence_keeps_the_share(count: int, percent: int, seed: int) -> None:
    values = np.random.default_rng(seed).permutation(count) / count  # no two alike
    kept = int(np.sum(values >= unsure_threshold(values, percent / 100)))
    assert kept == -(-percent * count // 100)


def test_risk_coverage_ends_at_the_accuracy() -> None:
    a = make()
    coverage, accuracy = risk_coverage(a.confidence, a.said == a.truth)
    assert coverage[-1] == 1 and accuracy[-1] == pytest.approx(np.mean(a.said == a.truth))
    told = calibration(a)["risk_coverage"]
    assert [row["coverage"] for row in told] == pytest.approx(np.arange(1, 11) / 10)
    surest = np.argsort(-a.confidence, kind="stable")[: len(a) // 10]
    assert told[0]["accuracy"] == pytest.approx(np.mean((a.said == a.truth)[surest]))


def test_a_fold_is_calibrated_by_the_others() -> None:
    a = make(240)
    scores, sure = cross_fitted(a, 0.8)
    outside = a.folds != 0
    expected = with_temperature(a.scores[~outside], fit_temperature(a.scores[outside], a.truth[outside]))
    assert scores[~outside] == pytest.approx(expected)
    changed = a.scores.copy()
    changed[~outside] = 1 / 3  # the fold's own answers do not move its temperature
    again, _ = cross_fitted(dataclasses.replace(a, scores=changed), 0.8)
    assert again[~outside] == pytest.approx(1 / 3)
    assert 0.6 < sure.mean() < 0.95
    fitted = calibration(a)["fitted"]
    assert fitted["coverage"] == pytest.approx(sure.mean()) and fitted["gain"] > 0


def test_a_clip_that_weighs_three_counts_as_three_in_any_order() -> None:
    scores, truth = drawn(1.6, 300)
    groups, weights = np.arange(300) % 4, np.tile([1.0, 3.0, 2.0], 100)
    mixed = np.random.default_rng(0).permutation(300)
    often = np.repeat(np.arange(300), weights.astype(int))

    def figures(rows: np.ndarray, weights: np.ndarray | None = None) -> list[float]:
        scores_of, truth_of = scores[rows], truth[rows]
        threshold = unsure_threshold(scores_of.max(1), 0.7, weights)
        calibrated, sure = by_others(scores_of, truth_of, groups[rows], 0.7, weights)
        told = abstention(calibrated, truth_of, sure, weights)
        return [fit_temperature(scores_of, truth_of, weights), threshold, *told.values()]

    expected = figures(often)
    assert figures(np.arange(300), weights) == pytest.approx(expected)
    assert figures(mixed, weights[mixed]) == pytest.approx(expected)
    assert figures(np.arange(300)) != pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_what_a_bundle_did_to_probabilities_is_undone(temperature: float) -> None:
    a = make(240)
    sharper = dataclasses.replace(
        a,
        scores=with_temperature(a.scores, temperature),
        about={**a.about, "temperature": temperature, "seen_in_training": False},
    )
    assert without_temperature(a) == pytest.approx(a.scores)
    assert without_temperature(sharper) == pytest.approx(a.scores)
    found, same = (calibration(one)["fitted"] for one in (a, sharper))
    for name in ("temperature", "unsure_below", "ece", "coverage"):
        assert same[name] == pytest.approx(found[name], rel=1e-4)
    of_before = dataclasses.replace(a, about={**a.about, "seen_in_training": False})
    with pytest.raises(EdgeSerError, match="evaluate --report again"):
        without_temperature(of_before)


def test_a_speaker_in_two_folds_is_refused() -> None:
    a = make(240)
    mixed = dataclasses.replace(a, folds=np.arange(240) % 2)
    two = dataclasses.replace(mixed, clips=tuple(dataclasses.replace(c, speaker="s") for c in a.clips))
    with pytest.raises(EdgeSerError, match="keep speakers apart"):
        cross_fitted(two, 0.8)
    with pytest.raises(EdgeSerError, match="two folds"):
        cross_fitted(dataclasses.replace(a, folds=np.zeros(240, np.int64)), 0.8)


def test_bad_input_is_refused() -> None:
    with pytest.raises(EdgeSerError, match="as many"):
        fit_temperature(np.zeros((0, 2)), np.zeros(0, int))
    with pytest.raises(EdgeSerError, match="NaN"):
        fit_temperature(np.full((2, 2), np.nan), np.zeros(2, int))
    with pytest.raises(EdgeSerError, match="leave it out"):
        fit_temperature(np.full((2, 2), 0.5), np.array([0, -1]))
    with pytest.raises(EdgeSerError, match="coverage"):
        unsure_threshold(np.ones(3), 0.0)
