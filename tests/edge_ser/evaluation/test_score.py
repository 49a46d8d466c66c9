"""Scores of answers: the figures of small sets worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_ser.corpora import Clip  # noqa: E402
from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.evaluation.score import Scored, best_label, score, stream_clip, summarise  # noqa: E402
from edge_ser.models.stream72k import Stream72k, Stream72kConfig  # noqa: E402

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
    low, high = summary["uar"]["ci95"]
    assert low <= 0.875 <= high
    assert summary["baseline_uar"] == 0.5
    assert summary["confusion"] == [[4, 0], [1, 3]]
    assert "adv" not in summary


def test_ratings_alone_and_one_speaker() -> None:
    summary = summarise([one(None, None, adv=a) for a in (0.1, 0.5, 0.9)], LABELS)
    assert "uar" not in summary and summary["adv"]["n"] == 3
    assert summary["adv"]["arousal"] == pytest.approx({"ccc": 1.0, "pcc": 1.0, "mae": 0.0})
    assert summary["adv"]["dominance"]["ccc"] == pytest.approx(-1.0)
    assert summarise([one("sad", "sad")], LABELS)["uar"] == {"mean": 1.0, "ci95": None}


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


def test_labels_that_the_model_does_not_know_are_refused() -> None:
    model = Stream72k(Stream72kConfig(labels=LABELS))
    with pytest.raises(EdgeSerError, match="does not know bored"):
        score(model, [], ("angry", "bored"))
