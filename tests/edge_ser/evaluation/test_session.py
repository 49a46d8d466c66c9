"""Figures of a session: what speakers add goes as their clips are heard, by other speakers' typical answer."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.answers import Answers
from edge_ser.evaluation.session import adapted_answers, session_figures, typical_answer
from tests.edge_ser.evaluation.making import LABELS, make


def coloured(strength: float = 2.0) -> Answers:
    """Answers that are right but for what each speaker adds to them."""
    answers = make(360, right=1.0)
    rng = np.random.default_rng(0)
    voices = {speaker: strength * rng.standard_normal(3) for speaker in sorted(set(answers.speakers))}
    logs = 2.0 * np.eye(3)[answers.truth] + np.stack([voices[s] for s in answers.speakers])
    powers = np.exp(logs)
    return dataclasses.replace(answers, scores=powers / powers.sum(1, keepdims=True))


def test_getting_used_to_speakers_mends_what_they_add() -> None:
    figures = session_figures(coloured(), orders=4)
    assert figures["uar_alone"] < 0.8 < 0.95 < figures["uar"]
    by = [row["uar"] for row in figures["heard"]]
    assert figures["heard"][0] == {"from": 0, "to": 0, "uar": by[0]} and by[0] < by[-1] == pytest.approx(1.0)
    assert figures["uar_alone"] <= figures["by_mood"] < figures["uar"]
    assert figures["together"] < figures["uar"]  # voices have nothing in common
    assert {row["fold"] for row in figures["folds"]} == {0, 1, 2} and figures["orders"] == 4


def test_nothing_is_gained_where_speakers_add_nothing() -> None:
    figures = session_figures(coloured(0.0), orders=2)
    assert figures["uar_alone"] == figures["uar"] == 1.0


def test_first_clips_stand_and_sessions_are_kept_apart() -> None:
    answers = coloured()
    typical = dict.fromkeys(answers.speakers.tolist(), typical_answer(answers.scores))
    order = np.random.default_rng(1).permutation(len(answers))
    changed, heard = adapted_answers(answers, order, typical)
    first = heard == 0
    assert first.sum() == 6 and changed.scores[first] == pytest.approx(answers.scores[first])
    assert np.bincount(heard).tolist() == [6] * 60
    _, among_all = adapted_answers(answers, order, typical, together=True)
    assert np.bincount(among_all).tolist() == [3] * 120  # three folds, two speakers each
    one = np.flatnonzero(answers.speakers == "s0")
    alone, _ = adapted_answers(answers.take(one), np.argsort(np.argsort(order)[one]), typical)
    assert alone.scores == pytest.approx(changed.scores[one])


def test_the_typical_answer_is_of_other_speakers(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = coloured()
    asked = []

    def spy(scores: np.ndarray) -> np.ndarray:
        asked.append(len(scores))
        assert not any((scores[0] == answers.scores[answers.folds == len(asked) - 1]).all(1))
        return typical_answer(scores)

    monkeypatch.setattr("edge_ser.evaluation.session.typical_answer", spy)
    session_figures(answers, orders=1)
    assert asked == [240] * 3


def test_one_fold_has_no_others() -> None:
    answers = make()
    with pytest.raises(EdgeSerError, match="two folds"):
        session_figures(answers.take(answers.folds == 0))
    with pytest.raises(EdgeSerError, match="needs answers"):
        typical_answer(np.zeros((0, len(LABELS))))


def test_a_model_that_heard_none_of_the_corpus_brings_its_typical_answer_along() -> None:
    """One fold is enough then, and a model that leans to one label is put right."""
    answers = coloured(0.0)
    leaning = np.log(answers.scores) + np.array([2.5, 0.0, 0.0])
    powers = np.exp(leaning)
    answers = dataclasses.replace(
        answers, scores=powers / powers.sum(1, keepdims=True), folds=np.zeros(len(answers), np.int64)
    )
    figures = session_figures(answers, orders=4, typical_of_training=np.zeros(3))
    assert figures["uar_alone"] < 0.5 < 0.9 < min(figures["uar"], figures["together"])
    unmoved = session_figures(answers, orders=4, typical_of_training=typical_answer(answers.scores))
    assert unmoved["uar"] == pytest.approx(figures["uar_alone"], abs=0.05)


def test_clips_without_an_emotion_take_no_part() -> None:
    answers = coloured()
    some = tuple(
        dataclasses.replace(c, emotion=None) if i % 7 == 0 else c for i, c in enumerate(answers.clips)
    )
    fewer = dataclasses.replace(answers, clips=some)
    assert session_figures(fewer, orders=1) == session_figures(fewer.take(fewer.truth >= 0), orders=1)


def test_a_label_counts_where_it_is_known() -> None:
    """Clips answered among some of the labels say of these what clips answered among all would."""
    answers = coloured(0.5)
    whole = typical_answer(answers.scores)
    known = np.ones(answers.scores.shape, bool)
    known[::2, 2] = False  # half of them know two labels
    part = np.where(known, answers.scores, 1e-12)
    part /= part.sum(1, keepdims=True)
    found = typical_answer(part, known)
    assert found[:2] - found[0] == pytest.approx(whole[:2] - whole[0], abs=1e-6)
    assert abs((found[2] - found[0]) - (whole[2] - whole[0])) < 0.7  # of other clips
    with pytest.raises(EdgeSerError, match="every label"):
        typical_answer(part, known & (np.arange(3) < 2))
