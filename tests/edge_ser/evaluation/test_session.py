"""Figures of a session: what speakers add goes as their clips are heard, by other speakers' typical answer."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from edge_ser.audio import write_wav
from edge_ser.bundle import DEFAULT_MODEL, Bundle, load_bundle
from edge_ser.cli import main
from edge_ser.corpora import load_corpus
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.answers import Answers
from edge_ser.evaluation.calibrate import with_temperature
from edge_ser.evaluation.evaluate import evaluate_bundle
from edge_ser.evaluation.score import Scored
from edge_ser.evaluation.session import (
    adapted_answers,
    session_figures,
    typical_answers,
    typical_of_bundle,
)
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
    assert figures["uar_alone"] < 0.8 < 0.9 < figures["uar"]
    by = [row["uar"] for row in figures["heard"]]
    assert figures["heard"][0] == {"from": 0, "to": 0, "uar": by[0]} and by[0] < by[-1] == pytest.approx(1.0)
    assert figures["uar_alone"] <= figures["by_mood"] < figures["uar"]
    assert figures["one_mood"] < figures["by_mood"]  # a mood that is all that is heard is taken for the voice
    assert figures["together"] < figures["uar"]  # voices have nothing in common
    assert {row["fold"] for row in figures["folds"]} == {0, 1, 2} and figures["orders"] == 4


def test_nothing_is_gained_where_speakers_add_nothing() -> None:
    figures = session_figures(coloured(0.0), orders=2)
    assert figures["uar_alone"] == figures["uar"] == 1.0


def test_first_clips_stand_and_sessions_are_kept_apart() -> None:
    answers = coloured()
    typical = dict.fromkeys(answers.speakers.tolist(), typical_answers(answers.scores, answers.truth))
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


def test_how_softly_emotions_are_expected_is_the_callers() -> None:
    """Infinitely softly is all alike: one typical answer for all."""
    answers = coloured()
    typical = typical_answers(answers.scores, answers.truth)
    order = np.arange(len(answers))
    alike, plain, own = (
        adapted_answers(answers, order, dict.fromkeys(answers.speakers.tolist(), rows), **options)[0].scores
        for rows, options in (
            (typical, {"softening": np.inf}),
            (np.tile(typical.mean(0), (3, 1)), {}),
            (typical, {}),
        )
    )
    assert alike == pytest.approx(plain) and alike != pytest.approx(own, abs=1e-3)


def test_the_typical_answer_is_of_other_speakers(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = coloured()
    asked = []

    def spy(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
        asked.append(len(scores))
        assert not any((scores[0] == answers.scores[answers.folds == len(asked) - 1]).all(1))
        return typical_answers(scores, truth)

    monkeypatch.setattr("edge_ser.evaluation.session.typical_answers", spy)
    session_figures(answers, orders=1)
    assert asked == [240] * 3


def test_one_fold_has_no_others() -> None:
    answers = make()
    with pytest.raises(EdgeSerError, match="two folds"):
        session_figures(answers.take(answers.folds == 0))
    with pytest.raises(EdgeSerError, match="need answers"):
        typical_answers(np.zeros((0, len(LABELS))), np.zeros(0, np.int64))


def test_a_model_that_heard_none_of_the_corpus_brings_its_typical_answer_along() -> None:
    """One fold is enough then, and a model that leans to one label is put right."""
    answers = coloured(0.0)
    leaning = np.log(answers.scores) + np.array([2.5, 0.0, 0.0])
    powers = np.exp(leaning)
    answers = dataclasses.replace(
        answers, scores=powers / powers.sum(1, keepdims=True), folds=np.zeros(len(answers), np.int64)
    )
    figures = session_figures(answers, orders=4, typical_of_training=np.zeros((3, 3)))
    assert figures["uar_alone"] < 0.5 < 0.9 < min(figures["uar"], figures["together"])
    unmoved = session_figures(
        answers, orders=4, typical_of_training=typical_answers(answers.scores, answers.truth)
    )
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
    whole = typical_answers(answers.scores, answers.truth)
    known = np.ones(answers.scores.shape, bool)
    known[::2, 2] = False  # half of them know two labels
    part = np.where(known, answers.scores, 1e-12)
    part /= part.sum(1, keepdims=True)
    found = typical_answers(part, answers.truth, known)
    assert found[:, 1] - found[:, 0] == pytest.approx(whole[:, 1] - whole[:, 0], abs=1e-6)
    assert abs((found - found[:, :1]) - (whole - whole[:, :1])).max() < 0.7  # the third is of other clips
    with pytest.raises(EdgeSerError, match="every label"):
        typical_answers(part, answers.truth, known & (np.arange(3) < 2))


def test_typical_answers_are_of_each_emotion_and_of_all_where_none_is_known() -> None:
    answers = coloured(0.0)
    rows = typical_answers(answers.scores, answers.truth)
    assert rows == pytest.approx(2.0 * np.eye(3) - 2 / 3)
    some = answers.take(answers.truth != 2)
    fewer = typical_answers(some.scores, some.truth)
    assert fewer[:2] == pytest.approx(rows[:2]) and fewer[2] == pytest.approx(rows[:2].mean(0))
    known = np.ones(some.scores.shape, bool)
    known[some.truth == 1, 2] = (
        False  # of the second emotion nobody knows the third label: what all say of it stands
    )
    mixed = typical_answers(some.scores, some.truth, known)
    assert mixed[1, 2] - mixed[1, 0] == pytest.approx(mixed[0, 2] - mixed[1, 0], abs=1.1)


def test_a_clip_that_weighs_three_is_typical_as_three() -> None:
    scores = np.random.default_rng(0).dirichlet(np.ones(3), 30)
    truth, weights = np.arange(30) % 3, np.repeat([1.0, 3.0], 15)
    known = np.ones((30, 3), bool)
    known[20:, 2] = False
    often = np.repeat(np.arange(30), weights.astype(int))
    weighed = typical_answers(scores, truth, known, weights)
    assert weighed == pytest.approx(typical_answers(scores[often], truth[often], known[often]))
    assert weighed != pytest.approx(typical_answers(scores, truth, known), abs=1e-2)


def test_a_day_is_mostly_neutral() -> None:
    """What is expected of that mood is not taken for the voice, as it is where one typical answer stands for all."""
    answers = coloured(0.0)
    assert not {"everyday", "everyday_alone"} & set(session_figures(answers, orders=1))
    labels = ("angry", "neutral", "sad")
    clips = tuple(
        dataclasses.replace(clip, emotion={"happy": "neutral"}.get(clip.emotion or "", clip.emotion))
        for clip in answers.clips
    )
    powers = answers.scores**2 * np.exp(np.random.default_rng(0).standard_normal(answers.scores.shape))
    noisy = dataclasses.replace(
        answers, labels=labels, clips=clips, scores=powers / powers.sum(1, keepdims=True)
    )
    typical = typical_answers(noisy.scores, noisy.truth)
    by_mood, plain = (
        session_figures(noisy, orders=3, typical_of_training=rows)
        for rows in (typical, np.tile(typical.mean(0), (3, 1)))
    )
    assert by_mood["everyday_alone"] == plain["everyday_alone"] > 0.95
    assert by_mood["everyday"] > by_mood["everyday_alone"] - 0.05 > plain["everyday"]


def test_a_bundle_gets_used_to_speakers_by_what_it_brings_along(
    tmp_path: Path, numpy_bundle: Bundle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    labels, rows = ("sad", "angry"), ["file,speaker,emotion"]
    for i in range(12):
        wave = np.cumsum(rng.standard_normal(12_000)) if i % 3 else rng.standard_normal(12_000)
        write_wav(tmp_path / f"{i}.wav", (0.2 * wave / np.abs(wave).max()).astype(np.float32))
        rows.append(f"{i}.wav,s{i % 2},{labels[i % 2]}")
    (tmp_path / "mine.csv").write_text("\n".join(rows) + "\n")
    call = [
        "evaluate",
        "--engine",
        "numpy",
        "--corpus",
        str(tmp_path / "mine.csv"),
        "--session",
        "-o",
        "json",
    ]
    assert main(call) == 0
    result = json.loads(capsys.readouterr().out)
    bundle = load_bundle(DEFAULT_MODEL)
    heard: list[Scored] = []
    about = evaluate_bundle(DEFAULT_MODEL, load_corpus(tmp_path / "mine.csv"), engine="numpy", onto=heard)
    answers = Answers.of(about, heard, ("angry", "sad"))
    places = [bundle.labels.index("angry"), bundle.labels.index("sad")]
    typical = np.array(bundle.calibration.typical)[np.ix_(places, places)]
    np.testing.assert_array_equal(typical_of_bundle(bundle, ("angry", "sad")), typical)
    # what devices add up are scores before the temperature
    own = with_temperature(answers.scores, 1 / bundle.calibration.temperature)
    wanted = session_figures(dataclasses.replace(answers, scores=own), typical_of_training=typical)
    assert bundle.calibration.temperature != 1.0 and result["session"] == json.loads(json.dumps(wanted))

    monkeypatch.setattr("edge_ser.evaluation.evaluate.evaluate_bundle", None)  # refused before that
    assert main([*call[:1], str(numpy_bundle.path), *call[1:]]) == 2
    assert "does not say its typical answers" in capsys.readouterr().err
    assert main([*call, "--pipeline", "svm.toml"]) == 2
    assert "--session is of a bundle or of --checkpoints" in capsys.readouterr().err
