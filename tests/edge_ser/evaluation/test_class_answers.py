"""Answers among classes: figures over folds and seeds, intervals over groups, a trip through a part."""

import numpy as np
import pytest

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.class_answers import ClassAnswers, macro_precision

LABELS = ("a", "b", "c")


def answers(n: int = 30, wrong: int = 6, seed: int = 0, fold: int = 0) -> ClassAnswers:
    truth = np.arange(n) % 3
    said = truth.copy()
    said[:wrong] = (said[:wrong] + 1) % 3
    scores = np.eye(3)[said] * 0.8 + 0.1
    return ClassAnswers.of(LABELS, truth, scores, [f"s{i % 5}" for i in range(n)], fold=fold, seed=seed)


def test_figures_are_means_over_seeds_of_all_clips() -> None:
    one, other = answers(wrong=6, seed=0), answers(wrong=0, seed=1)
    both = ClassAnswers.joined([one, other]).figure()
    assert both.value == pytest.approx((24 / 30 + 1) / 2) and both.n == 30
    assert both.spread == pytest.approx(np.std([0.8, 1.0], ddof=1))
    assert both.ci95 is not None and both.ci95[0] < both.value < both.ci95[1]
    assert one.figure(interval=False).ci95 is None and one.figure().spread is None
    folds = ClassAnswers.joined([answers(30, 6, fold=0), answers(10, 0, fold=1)])
    assert folds.figure().value == pytest.approx(34 / 40)  # of clips, not of folds


def test_metrics_are_sklearns() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(3)
    truth = np.r_[rng.integers(0, 3, 50), 0, 1, 2]
    one = ClassAnswers.of(LABELS, truth, rng.random((53, 3)), ["s"] * 53)
    options = {"average": "macro", "zero_division": 0}
    assert one.figure("precision").value == pytest.approx(metrics.precision_score(truth, one.said, **options))
    assert one.figure("recall").value == pytest.approx(metrics.recall_score(truth, one.said, **options))
    assert one.figure("f1").value == pytest.approx(metrics.f1_score(truth, one.said, **options))
    assert one.figure().ci95 is None  # one speaker has no interval
    assert macro_precision(np.array([0, 1]), np.array([0, 0])) == 0.25


def test_a_trip_through_a_part() -> None:
    one = answers()
    again = ClassAnswers.of_part({**one.to_part(), "records": []})
    assert again.labels == one.labels and (again.scores == one.scores).all()
    assert again.recalls() == one.recalls() and again.confusion().sum() == 30
    few = ClassAnswers.of(LABELS, np.array([0, 1]), np.eye(3)[[0, 1]], ["s", "t"])
    assert few.recalls() == {"a": 1.0, "b": 1.0, "c": None}


def test_the_answers_of_one_seed() -> None:
    truth, right = np.array([0, 1, 2]), np.eye(3)
    both = ClassAnswers.joined(
        [
            ClassAnswers.of(LABELS, truth, scores, ["s"] * 3, seed=seed)
            for seed, scores in ((0, right), (4, -right))
        ]
    )
    assert both.by_seed() == both.by_seed("uar") == [1.0, 0.0] and both.figure().value == 0.5
    with pytest.raises(EdgeSerError, match="there is no figure"):
        both.by_seed("luck")


def test_what_is_refused() -> None:
    with pytest.raises(EdgeSerError, match="no answers"):
        ClassAnswers.joined([])
    with pytest.raises(EdgeSerError, match="no answers"):
        ClassAnswers.of(LABELS, np.zeros(0, int), np.zeros((0, 3)), [])
    with pytest.raises(EdgeSerError, match="other classes"):
        ClassAnswers.joined([answers(), ClassAnswers.of("xy", np.array([0]), np.ones((1, 2)), ["s"])])
    with pytest.raises(EdgeSerError, match="must be 0 to 2"):
        ClassAnswers.of(LABELS, np.array([3]), np.ones((1, 3)), ["s"])
    with pytest.raises(EdgeSerError, match="not numbers"):
        ClassAnswers.of(LABELS, np.array([0]), np.full((1, 3), np.nan), ["s"])
    with pytest.raises(EdgeSerError, match="shapes"):
        ClassAnswers.of(LABELS, np.array([0]), np.ones((1, 3)), ["s", "t"])
    with pytest.raises(EdgeSerError, match="there is no figure"):
        answers().figure("luck")
