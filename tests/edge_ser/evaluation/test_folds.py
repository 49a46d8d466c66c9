"""Checkpoints of folds: none is tested on whom it heard, whoever asks it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from edge_ser.audio import load_audio
from edge_ser.corpora import load_csv
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.evaluate import evaluate_checkpoints
from edge_ser.evaluation.listeners import checkpoint_listener
from edge_ser.evaluation.score import Scored
from edge_ser.models.checkpoint import load_checkpoint, save_checkpoint


def test_a_checkpoint_that_heard_a_speaker_of_its_fold_is_not_scored(
    folds: Path, checkpoints: Path, tmp_path: Path
) -> None:
    corpus = load_csv(folds)
    for fold in range(2):
        model, meta = load_checkpoint(checkpoints / f"fold{fold}-seed0.safetensors")
        meta["training"]["heard"] = ["s0", "s2", "somebody else"]
        save_checkpoint(tmp_path / f"fold{fold}-seed0.safetensors", model, meta)
    with pytest.raises(EdgeSerError, match="fold0-seed0.safetensors heard s0 in training"):
        evaluate_checkpoints(tmp_path, corpus)
    with pytest.raises(EdgeSerError, match="fold1-seed0.safetensors heard s2 in training"):
        evaluate_checkpoints(tmp_path, corpus, folds=[1])
    with (
        pytest.raises(EdgeSerError, match="fold0-seed0.safetensors heard s0 in training"),
        checkpoint_listener(tmp_path, corpus),
    ):
        pass


def test_a_checkpoint_under_the_name_of_another_fold_is_not_scored(
    folds: Path, checkpoints: Path, tmp_path: Path
) -> None:
    (tmp_path / "fold1-seed0.safetensors").write_bytes((checkpoints / "fold0-seed0.safetensors").read_bytes())
    with pytest.raises(
        EdgeSerError, match=r"fold1-seed0\.safetensors held out fold 0, not 1: its name is wrong"
    ):
        evaluate_checkpoints(tmp_path, load_csv(folds), folds=[1])


def test_a_listener_gives_the_answers_of_the_evaluation(folds: Path, checkpoints: Path) -> None:
    corpus = load_csv(folds)
    scored: list[Scored] = []
    evaluate_checkpoints(checkpoints, corpus, onto=scored)
    with checkpoint_listener(checkpoints, corpus) as listener:
        for one in scored:
            if one.seed == 0:
                heard = listener.hear(one.clip, load_audio(one.clip.path))
                assert heard.scores == pytest.approx(one.scores, abs=1e-4)
                assert heard.adv == pytest.approx(one.adv, abs=1e-4)
    with (
        pytest.raises(EdgeSerError, match="lacks fold 7"),
        checkpoint_listener(checkpoints, corpus, folds=[7]),
    ):
        pass
