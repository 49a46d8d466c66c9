"""Scores of answers: the figures of small sets worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_ser.corpora import Clip  # noqa: E402
from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.evaluation.score import (  # noqa: E402
    Scored,
    answered_as,
    best_label,
    score,
    stream_clip,
    summarise,
    whole_clip,
)
from edge_ser.models.stream72k import Stream72k, Stream72kConfig  # noqa: E402
from tests.edge_ser.models.networks import lively  # noqa: E402

LABELS = ("angry", "sad")


def one(
    emotion: str | None, said: str | None, *, fold: int = 0, seed: int = 0, adv: float | None = None
) -> Scored:
    clip = Clip(
        Path("x.wav"), "c", f"speaker{fold}", emotion=emotion, arousal=adv, dominance=adv, valence=adv
    )
    return Scored(clip, said, (0.5, 0.5, 0.5) if adv is None else (adv, 1 - adv, 0.5), fold, seed)


def test_mean_over_folds_and_seeds() -> None:
    scored = [
        one("angry", "angry"),
        one("sad", "angry"),
        one("sad", "sad", fold=1),
        one("angry", "angry", fold=1),
    ]
    scored += [one(s.clip.emotion, s.clip.emotion, fold=s.fold, seed=1) for s in scored]
    summary = summarise(scored, LABELS)
    assert [(f["seed"], f["fold"], f["uar"], f["n"]) for f in summary["folds"]] == [
        (0, 0, 0.5, 2), (0, 1, 1.0, 2), (1, 0, 1.0, 2), (1, 1, 1.0, 2)]  # fmt: skip
    assert summary["uar"]["mean"] == pytest.approx(0.875)
    assert summary["uar"]["ci95"] is None and summary["uar"]["speakers"] == 2
    assert summary["baseline_uar"] == 0.5
    assert summary["confusion"] == [[4, 0], [1, 3]]
    assert "adv" not in summary


def test_ratings_alone_and_one_speaker() -> None:
    summary = summarise([one(None, None, adv=a) for a in (0.1, 0.5, 0.9)], LABELS)
    assert "uar" not in summary and summary["adv"]["n"] == 3
    assert summary["adv"]["arousal"] == pytest.approx({"ccc": 1.0, "pcc": 1.0, "mae": 0.0})
    assert summary["adv"]["dominance"]["ccc"] == pytest.approx(-1.0)
    assert summarise([one("sad", "sad")], LABELS)["uar"] == {"mean": 1.0, "ci95": None, "speakers": 1}


def test_a_speaker_drawn_twice_counts_twice() -> None:
    """With a speaker a fold, the interval is the bootstrap's of a mean of the speakers' figures."""
    right = (0, 1, 1, 2, 2, 2, 2)
    scored = [
        one(emotion, emotion if i < number else LABELS[emotion == LABELS[0]], fold=fold, seed=seed)
        for fold, number in enumerate(right)
        for seed in (0, 1)
        for i, emotion in enumerate(LABELS)
    ]
    figures = np.array(right) / 2
    drawn = np.random.default_rng(0).integers(len(right), size=(2000, len(right)))
    expected = np.quantile(figures[drawn].mean(1), [0.025, 0.975])
    uar = summarise(scored, LABELS)["uar"]
    assert uar["mean"] == pytest.approx(figures.mean()) and uar["ci95"] == pytest.approx(expected)


def test_the_trivial_answer_is_scored_fold_by_fold() -> None:
    scored = [one("angry", "angry"), one("sad", "sad"), one("sad", "sad", fold=1), one("sad", "sad", fold=2)]
    assert summarise(scored, LABELS)["baseline_uar"] == pytest.approx((0.5 + 1 + 1) / 3)


def test_best_label_is_the_first_of_equals() -> None:
    assert best_label([0.2, 0.5, 0.5], ("a", "b", "c")) == "b"


def test_the_answer_is_that_of_the_last_full_step() -> None:
    torch.manual_seed(0)
    model = Stream72k(Stream72kConfig(labels=LABELS)).eval()
    features = np.random.default_rng(0).standard_normal((95, 64)).astype(np.float32)
    adv, logits = stream_clip(model.fold(), features)
    with torch.inference_mode():
        whole = model(torch.from_numpy(features)[None])
    np.testing.assert_allclose(adv, whole[0][0, -1], atol=1e-5)
    np.testing.assert_allclose(logits, whole[1][0, -1], atol=1e-5)
    with pytest.raises(EdgeSerError, match="shorter than one step"):
        stream_clip(model.fold(), features[:19])


def test_a_network_that_streams_is_fed_step_by_step() -> None:
    torch.manual_seed(0)
    model = Stream72k(Stream72kConfig(labels=LABELS))
    features = np.random.default_rng(1).standard_normal((95, 64)).astype(np.float16)
    clip = one("sad", None).clip
    [answer] = score(model, [(clip, features)], LABELS, fold=2, seed=3)
    assert answered_as(model) == "streaming form fed step by step"
    assert answer.adv == pytest.approx(stream_clip(model.eval().fold(), features)[0].tolist(), abs=1e-6)
    assert (answer.fold, answer.seed) == (2, 3)


def test_a_network_that_does_not_hears_each_clip_as_a_whole() -> None:
    model = lively("wav2small-17k").train()
    features = [np.random.default_rng(n).standard_normal((n, 26)).astype(np.float16) for n in (190, 61)]
    clips = [one("sad", None).clip, one(None, None, adv=0.5).clip]
    answers = score(model, zip(clips, features, strict=True), LABELS)
    assert answered_as(model) == "each clip heard as a whole"
    assert not model.training
    for answer, own in zip(answers, features, strict=True):
        with torch.inference_mode():
            adv, logits = model.answer(model.body(torch.from_numpy(own).float()[None], None))
        np.testing.assert_allclose(answer.adv, adv[0], atol=1e-5)
        np.testing.assert_allclose(whole_clip(model, own)[1], logits[0], atol=1e-5)
    angry, sad = (
        float(whole_clip(model, features[0])[1][model.config.labels.index(name)]) for name in LABELS
    )
    assert answers[0].label == ("angry" if angry >= sad else "sad")  # among the corpus's classes alone
    assert answers[1].label is None
    with pytest.raises(EdgeSerError, match="without a frame"):
        score(model, [(clips[0], features[0][:0])], LABELS)


def test_labels_that_the_model_does_not_know_are_refused() -> None:
    model = Stream72k(Stream72kConfig(labels=LABELS))
    with pytest.raises(EdgeSerError, match="does not know bored"):
        score(model, [], ("angry", "bored"))


def test_a_score_that_is_no_number_is_an_error_and_no_label() -> None:
    from edge_ser.evaluation.score import best_label

    assert best_label([0.1, 0.9], ("a", "b")) == "b"
    for bad in (float("nan"), float("inf")):
        with pytest.raises(EdgeSerError, match="not numbers"):
            best_label([0.1, bad], ("a", "b"))
