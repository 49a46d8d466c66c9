"""A checkpoint on a corpus that it was not trained on."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from edge_ser.audio import write_wav
from edge_ser.cli import main
from edge_ser.corpora import load_csv
from edge_ser.evaluation.evaluate import evaluate_checkpoints
from edge_ser.evaluation.unheard import evaluate_unheard
from edge_ser.models.checkpoint import load_checkpoint, save_checkpoint


def test_a_corpus_that_the_training_left_out(
    folds: Path, checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, meta = load_checkpoint(checkpoints / "fold0-seed1.safetensors")
    meta["training"] |= {"held_out_fold": None, "clips": {"others": 9}}
    path = tmp_path / "all-seed1.safetensors"
    save_checkpoint(path, model, meta)
    call = ["evaluate", "--corpus", str(folds), "--checkpoints", str(path), "-o", "json"]
    assert main(call) == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole["trained_on"] == ["others"] and whole["seeds"] == [1] and whole["not_scored"] == {}
    assert [(one["fold"], one["n"]) for one in whole["folds"]] == [(0, 16)] and "not trained on" in whole[
        "protocol"
    ]
    by_folds = evaluate_checkpoints(checkpoints, load_csv(folds), folds=[0])["folds"]
    own = [clip for clip in load_csv(folds).clips if clip.fold == 0]
    part = evaluate_unheard(path, dataclasses.replace(load_csv(folds), clips=tuple(own)))
    assert part["uar"]["mean"] == pytest.approx(next(one["uar"] for one in by_folds if one["seed"] == 1))
    write_wav(tmp_path / "short.wav", np.full(1600, 0.1, np.float32))
    clips = list(load_csv(folds).clips)
    clips[0] = dataclasses.replace(clips[0], path=tmp_path / "short.wav")
    clips[1] = dataclasses.replace(clips[1], emotion=None, arousal=None)
    odd = evaluate_unheard(path, dataclasses.replace(load_csv(folds), clips=tuple(clips)))
    assert [Path(one["file"]).name for one in odd["excluded"]] == ["short.wav"] and odd["adv"]["n"] == 14
    assert odd["left_out"] == [{"what": "1 clips", "reason": "they have neither an emotion nor ratings"}]
    assert main([*call, "--labels", "sad,happy"]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert alone["left_out"] == [{"what": "8 clips of folds", "reason": "angry is not among --labels"}]
    assert alone["labels"] == ["sad"] and alone["folds"][0]["n"] == 8 and alone["uar"]["mean"] == 1.0
    for words, message in (
        (["--labels", "bored"], "none of bored"),
        (["--precision", "int8"], "one file"),
        (["--fold", "0"], "one file"),
    ):
        assert main([*call, *words]) == 2
        assert message in capsys.readouterr().err
    save_checkpoint(path, model, meta | {"training": meta["training"] | {"clips": {"folds": 16}}})
    assert main(call) == 2
    assert "was trained on folds" in capsys.readouterr().err


def test_a_session_with_strangers_starts_from_what_the_model_brings_along(
    folds: Path,
    checkpoints: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, meta = load_checkpoint(checkpoints / "fold0-seed1.safetensors")
    path = tmp_path / "all-seed1.safetensors"
    save_checkpoint(path, model, meta | {"training": meta["training"] | {"clips": {"others": 9, "few": 9}}})
    whole = load_csv(folds)
    few = dataclasses.replace(whole, labels=whole.labels[:1])
    monkeypatch.setattr(
        "edge_ser.evaluation.unheard.load_corpus", lambda name: {"others": whole, "few": few}[name]
    )
    call = ["evaluate", "--corpus", str(folds), "--checkpoints", str(path), "--session", "-o", "json"]
    assert main(call) == 0
    session = json.loads(capsys.readouterr().out)["session"]
    assert session["typical_of"] == {"others": 16} and [row["fold"] for row in session["folds"]] == [0]
    save_checkpoint(path, model, meta | {"training": meta["training"] | {"clips": {"few": 9}}})
    assert main(call) == 2
    assert "name fewer --labels" in capsys.readouterr().err
