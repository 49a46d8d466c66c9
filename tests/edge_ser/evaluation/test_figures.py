"""Figures by class, speaker and group agree with scikit-learn's and audmetric's; ends of scales are seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.figures import (
    by_class,
    by_group,
    details,
    extremes,
    learning_curve,
    precision_recall_curve,
    roc_curve,
)
from tests.edge_ser.evaluation.making import LABELS, make


def test_classes_agree_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    a = make()
    theirs = metrics.precision_recall_fscore_support(a.truth, a.said, labels=range(3))
    ours = by_class(a.truth, a.said, LABELS)
    for i, name in enumerate(("precision", "recall", "f1", "clips")):
        assert [row[name] for row in ours] == pytest.approx(theirs[i])


def test_figures_agree_with_audmetric() -> None:
    audmetric = pytest.importorskip("audmetric")
    a = make()
    truth, said = [LABELS[i] for i in a.truth], [LABELS[i] for i in a.said]
    d = details(a)
    assert d["accuracy"] == pytest.approx(audmetric.accuracy(truth, said))
    assert d["macro_f1"] == pytest.approx(audmetric.unweighted_average_fscore(truth, said))
    assert d["uap"] == pytest.approx(audmetric.unweighted_average_precision(truth, said))
    recalls = audmetric.recall_per_class(truth, said)
    precisions = audmetric.precision_per_class(truth, said)
    for row in d["classes"]:
        assert row["recall"] == pytest.approx(recalls[row["label"]])
        assert row["precision"] == pytest.approx(precisions[row["label"]])
    for k, name in enumerate(("arousal", "dominance", "valence")):
        pair = a.ratings[:, k], a.adv[:, k]
        assert d["adv"][name]["ccc"] == pytest.approx(audmetric.concordance_cc(*pair))
        assert d["adv"][name]["pcc"] == pytest.approx(audmetric.pearson_cc(*pair))
        assert d["adv"][name]["mae"] == pytest.approx(audmetric.mean_absolute_error(*pair))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=60))
@settings(max_examples=40)
def test_curves_agree_with_scikit_learn_for_any_scores(pairs: list[tuple[bool, int]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    positive = np.array([p for p, _ in pairs])
    score = np.array([s for _, s in pairs], float)
    if positive.all() or not positive.any():
        with pytest.raises(EdgeSerError, match="clips of"):
            roc_curve(positive, score)
        return
    assert roc_curve(positive, score)[2] == pytest.approx(metrics.roc_auc_score(positive, score))
    average = metrics.average_precision_score(positive, score)
    assert precision_recall_curve(positive, score)[2] == pytest.approx(average)
    recall, precision, _ = precision_recall_curve(positive, score)
    assert recall[0] == 0 and recall[-1] == 1 and (np.diff(recall) >= 0).all() and (precision <= 1).all()


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(EdgeSerError, match="NaN"):
        roc_curve(np.array([True, False]), np.array([np.nan, 0.0]))


def test_a_class_without_clips_or_answers_has_no_figure() -> None:
    rows = by_class(np.array([0, 0, 1]), np.array([0, 0, 0]), LABELS)
    assert rows[1]["precision"] is None and rows[1]["recall"] == 0
    assert rows[2]["recall"] is None and rows[2]["f1"] is None


def test_groups_are_scored_each_by_itself() -> None:
    a = make()
    rows = by_group(a, lambda clip: clip.sex)
    assert [row["group"] for row in rows] == ["f", "m"] and sum(row["clips"] for row in rows) == len(a)
    female = a.take(np.array([clip.sex == "f" for clip in a.clips]))
    assert rows[0]["accuracy"] == pytest.approx(np.mean(female.truth == female.said))
    assert set(details(a)) >= {
        "speakers",
        "sex",
        "language",
        "classes",
        "curves",
        "adv",
        "states",
        "excluded",
    }


def test_a_model_of_the_middle_does_not_reach_the_ends() -> None:
    truth = np.linspace(0, 1, 101)
    same, middle = extremes(truth, truth), extremes(truth, 0.5 + 0.2 * (truth - 0.5))
    assert same["range_ratio"] == pytest.approx(1) and same["low"]["reached"] == same["high"]["reached"] == 1
    assert middle["range_ratio"] == pytest.approx(0.2) and middle["low"]["reached"] == 0
    assert middle["high"]["mean_answer"] < 0.65
    assert extremes(np.full(5, 0.5), np.full(5, 0.5)) == {"range_ratio": None, "low": None, "high": None}


def test_a_learning_curve_is_in_order() -> None:
    rows = learning_curve({8: [0.5, 0.7], 2: [0.3]})
    assert [row["speakers"] for row in rows] == [2, 8] and rows[1]["uar"] == pytest.approx(0.6)


def test_a_clip_that_models_of_two_seeds_answered_is_one() -> None:
    a = make()
    twice = a.take(np.tile(np.arange(len(a)), 2))
    alone, both = details(a), details(twice)
    assert both["clips"] == alone["clips"] == len(a)
    for part in ("classes", "speakers", "sex"):
        assert [row["clips"] for row in both[part]] == [row["clips"] for row in alone[part]]
        assert sum(row["clips"] for row in both[part]) == len(a)
