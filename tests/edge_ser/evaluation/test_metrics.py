"""Metrics: equal to scikit-learn's, defined at the edges, and lawful."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.metrics import (
    absent_classes,
    accuracy,
    bootstrap_ci,
    ccc,
    confusion,
    macro_f1,
    mae,
    pcc,
    recalls,
    speaker_interval,
    uar,
)

# timings vary on a busy machine, and the same cases each time make a failure repeatable
LABELS = st.integers(1, 60).flatmap(
    lambda n: st.tuples(*(arrays(np.int64, n, elements=st.integers(0, 5)) for _ in range(2)))
)
RATINGS = st.integers(2, 40).flatmap(
    lambda n: st.tuples(*(arrays(np.float64, n, elements=st.floats(-5, 5, width=16)) for _ in range(2)))
)


@given(LABELS)
def test_class_figures_are_those_of_scikit_learn(pair):
    sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed (extra 'train')")
    truth, said = pair
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of predicted classes that do not occur
        assert uar(truth, said) == pytest.approx(sklearn.balanced_accuracy_score(truth, said), abs=1e-12)
        assert macro_f1(truth, said) == pytest.approx(
            sklearn.f1_score(truth, said, average="macro"), abs=1e-12
        )
    assert accuracy(truth, said) == pytest.approx(sklearn.accuracy_score(truth, said), abs=1e-12)
    np.testing.assert_array_equal(
        confusion(truth, said, 6), sklearn.confusion_matrix(truth, said, labels=range(6))
    )


@given(LABELS, st.permutations(range(6)))
def test_renaming_classes_changes_no_figure(pair, order):
    truth, said = pair
    renamed, answers = np.asarray(order)[truth], np.asarray(order)[said]
    for figure in (uar, accuracy, macro_f1):
        assert figure(truth, said) == pytest.approx(figure(renamed, answers), abs=1e-12)
        names = np.array(list("abcdef"))
        assert figure(names[truth], names[said]) == pytest.approx(figure(truth, said), abs=1e-12)


@given(LABELS)
def test_recalls_average_to_the_uar_and_diagonal_is_the_accuracy(pair):
    truth, said = pair
    each = recalls(truth, said, 6)
    assert np.nanmean(each) == pytest.approx(uar(truth, said), abs=1e-12)
    assert np.isnan(each).sum() == len(absent_classes(truth, "abcdef"))
    assert confusion(truth, said, 6).trace() / len(truth) == pytest.approx(accuracy(truth, said), abs=1e-12)
    assert uar(truth, truth) == accuracy(truth, truth) == macro_f1(truth, truth) == 1.0


def test_a_class_that_does_not_occur_is_left_out_of_the_average_and_named():
    truth, said = [0, 0, 1, 1], [0, 0, 1, 2]
    assert uar(truth, said) == 0.75
    assert absent_classes(truth, ("angry", "bored", "calm")) == ("calm",)
    assert macro_f1(truth, said) == pytest.approx((1 + 2 / 3 + 0) / 3)


@pytest.mark.parametrize(
    ("truth", "said", "words"),
    [
        ([], [], "no clips"),
        ([0, 1], [0], "one length"),
        ([[0], [1]], [[0], [1]], "one length"),
        ([0.0, np.nan], [0, 1], "number 1 is NaN"),
        ([0.5, 1.0], [0, 1], "fractions"),
        ([0, -1], [0, 1], "without a known class"),
        ([True, False], [True, True], "whole numbers or names"),
    ],
)
def test_bad_classes_are_a_sentence(truth, said, words):
    for figure in (uar, accuracy, macro_f1, lambda a, b: confusion(a, b, 3)):
        with pytest.raises(EdgeSerError, match=words):
            figure(truth, said)


def test_confusion_refuses_a_class_out_of_range_and_names():
    with pytest.raises(EdgeSerError, match=r"class 3, but only 3 classes \(0..2\)"):
        confusion([0, 3], [0, 1], 3)
    with pytest.raises(EdgeSerError, match="indices, not names"):
        confusion(["a"], ["a"], 1)


def test_ccc_of_a_known_case():
    x, y = np.array([1.0, 2, 3, 4]), np.array([2.0, 3, 4, 5])
    # cov 1.25, variances 1.25, means one apart: 2.5 / 3.5
    assert ccc(x, y) == pytest.approx(2.5 / 3.5)
    assert pcc(x, y) == pytest.approx(1.0)
    assert mae(x, y) == 1.0


@given(RATINGS)
def test_laws_of_agreement(pair):
    x, y = pair
    assert -1 <= ccc(x, y) <= 1
    assert ccc(x, y) == pytest.approx(ccc(y, x), abs=1e-12)
    assert abs(ccc(x, y)) <= abs(pcc(x, y)) + 1e-9  # shifts and scales only take away
    assert ccc(x, x) == pytest.approx(1.0 if np.ptp(x) else 0.0)
    assert mae(x, y) == pytest.approx(mae(y, x)) and mae(x, x) == 0
    if np.ptp(x) > 1e-3 and np.ptp(y) > 1e-3:
        assert pcc(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-9)
        assert pcc(x, 3 * y + 1) == pytest.approx(pcc(x, y), abs=1e-9)
        assert ccc(2 * x + 1, 2 * y + 1) == pytest.approx(ccc(x, y), abs=1e-9)


@pytest.mark.parametrize("constant", [0.1, 0.0, 1e-9, 1e9])
def test_a_constant_agrees_with_nothing(constant):
    other = np.linspace(0, 1, 7)
    flat = np.full(7, constant)
    for figure in (ccc, pcc):
        assert figure(flat, other) == figure(other, flat) == figure(flat, flat) == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_ratings_that_are_not_finite_are_a_sentence(bad):
    for figure in (ccc, pcc, mae):
        with pytest.raises(
            EdgeSerError, match="1 of the predicted ratings are not finite, the first is number 2"
        ):
            figure([0.1, 0.2, 0.3], [0.1, 0.2, bad])
        with pytest.raises(EdgeSerError, match="no clips"):
            figure([], [])


def test_bootstrap_is_over_speakers_seeded_and_holds_the_figure():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 400)
    speakers = [f"s{i // 40}" for i in range(400)]
    # each speaker is recognised at a rate of its own, so that clips are far from independent
    rates = np.repeat(rng.uniform(0.3, 0.9, 10), 40)
    said = np.where(rng.random(400) < rates, truth, (truth + 1) % 4)

    def figure(i):
        return accuracy(truth[i], said[i])

    low, high = bootstrap_ci(figure, speakers, rounds=500, seed=3)
    assert low < accuracy(truth, said) < high
    assert (low, high) == bootstrap_ci(figure, speakers, rounds=500, seed=3)
    assert (low, high) != bootstrap_ci(figure, speakers, rounds=500, seed=4)
    by_clip = bootstrap_ci(figure, [str(i) for i in range(400)], rounds=500)
    assert high - low > 1.5 * (by_clip[1] - by_clip[0])
    narrow = bootstrap_ci(figure, speakers, rounds=500, seed=3, level=0.5)
    assert low < narrow[0] < narrow[1] < high


@settings(max_examples=20)
@given(st.integers(2, 8), st.integers(0, 100))
def test_bootstrap_of_equal_speakers_has_no_width(n, seed):
    speakers = [f"s{i}" for i in range(n) for _ in range(4)]
    truth = np.tile([0, 0, 1, 1], n)
    said = np.tile([0, 1, 1, 1], n)
    assert bootstrap_ci(lambda i: uar(truth[i], said[i]), speakers, rounds=20, seed=seed) == (0.75, 0.75)


def test_bootstrap_within_groups_draws_as_many_of_each_as_there_are():
    speakers = ["a", "a", "b", "c", "d", "d"]
    sexes = np.array(["f", "f", "f", "m", "m", "m"])
    seen = set()

    def share_of_women(i):
        drawn = [set(np.array(speakers)[i][sexes[i] == sex]) for sex in "fm"]
        seen.update(map(frozenset, drawn))
        return float(all(drawn) and drawn[0] <= {"a", "b"} and drawn[1] <= {"c", "d"})

    assert bootstrap_ci(share_of_women, speakers, within=sexes.tolist(), rounds=50) == (1.0, 1.0)
    assert {frozenset("a"), frozenset("ab"), frozenset("c"), frozenset("cd")} <= seen
    with pytest.raises(EdgeSerError, match="a stands in several groups"):
        bootstrap_ci(lambda i: 0.0, ["a", "a", "b"], within=["f", "m", "m"])


def test_a_report_has_an_interval_from_five_speakers_on():
    four, five = list("aabbccdd"), list("aabbccddee")
    assert speaker_interval(lambda i: float(i.mean()), four) is None
    assert speaker_interval(lambda i: float(i.mean()), five, rounds=50) == list(
        bootstrap_ci(lambda i: float(i.mean()), five, rounds=50)
    )


def test_bootstrap_refusals():
    with pytest.raises(EdgeSerError, match="at least two of them, not 1"):
        bootstrap_ci(lambda i: 0.0, ["a", "a"])
    with pytest.raises(EdgeSerError, match="between 0 and 1, not at 1.5"):
        bootstrap_ci(lambda i: 0.0, ["a", "b"], level=1.5)
    with pytest.raises(EdgeSerError, match="at least one round"):
        bootstrap_ci(lambda i: 0.0, ["a", "b"], rounds=0)
    with pytest.raises(EdgeSerError, match="not a number for some draw"):
        bootstrap_ci(lambda i: np.nan, ["a", "b"], rounds=2)
