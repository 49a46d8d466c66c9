"""Tables and models that somebody else made: their words, and recordings that a model knows under another name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ser.audio import write_wav
from edge_ser.bundle import write_bundle
from edge_ser.cli import main
from edge_ser.corpora import load_corpus
from edge_ser.corpora.registry import names_of
from edge_ser.errors import EdgeSerError
from edge_ser.tensors import pack_tensors
from tests.support import CONFIG, FILES, manifest, random_weights

NAMES = {"03a01Wa": "anger", "03a01Fa": "happiness", "08b02Wb": "anger", "08b02Ta": "sadness"}


def made(folder: Path, labels: list[str], clips: dict[str, int] | None = None) -> Path:
    """A bundle with these labels that learnt these corpora."""
    config = CONFIG | {"labels": labels}
    data = {FILES["numpy"]: pack_tensors(random_weights(0, config))}
    entry = {"path": FILES["numpy"], "engine": "numpy", "precision": "fp32"}
    about = manifest([entry], config)
    about["training"] |= {"clips": clips or {}}
    return Path(write_bundle(folder, about, data).path)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Files under EmoDB's official names, with the words of its published tables."""
    rng = np.random.default_rng(0)
    rows = ["file,speaker,emotion"]
    for name, emotion in NAMES.items():
        write_wav(tmp_path / f"{name}.wav", 0.1 * rng.standard_normal(16000).astype(np.float32))
        rows.append(f"{name}.wav,{name[:2]},{emotion}")
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def figures(bundle: Path, table: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    capsys.readouterr()
    call = ["evaluate", str(bundle), "--corpus", str(table), "--engine", "numpy", *more]
    assert main([*call, "-o", "json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_usual_words_are_read_as_the_models_and_told(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = made(tmp_path / "b", ["angry", "happy", "sad"])
    result = figures(bundle, table, capsys, "--report", str(tmp_path / "r"))
    assert result["labels"] == ["angry", "happy", "sad"] and result["not_scored"] == {}
    assert [sum(row) for row in result["confusion"]] == [2, 1, 1]
    assert result["read_as"] == {"anger": "angry", "happiness": "happy", "sadness": "sad"}
    page = (tmp_path / "r" / "report.html").read_text()
    assert "what they were read as" in page and "happiness" in page
    assert main(["evaluate", str(bundle), "--corpus", str(table), "--engine", "numpy"]) == 0
    assert "Read as: anger as angry, happiness as happy, sadness as sad" in capsys.readouterr().out


def test_a_model_of_other_words_is_asked_in_its_own(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = made(tmp_path / "b", ["anger", "joy", "sadness"])
    result = figures(bundle, table, capsys)
    assert result["labels"] == ["anger", "joy", "sadness"] and result["read_as"] == {"happiness": "joy"}
    assert [sum(row) for row in result["confusion"]] == [2, 1, 1]


def test_words_that_nothing_else_is_read_from_are_not_mentioned(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for word, ours in (("anger", "angry"), ("happiness", "happy"), ("sadness", "sad")):
        table.write_text(table.read_text().replace(word, ours))
    assert "read_as" not in figures(made(tmp_path / "b", ["angry", "happy", "sad"]), table, capsys)


def test_recordings_of_the_training_are_known_by_their_names(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ["angry", "happy", "sad"]
    heard = figures(made(tmp_path / "heard", labels, {"emodb": 535}), table, capsys)
    assert heard["seen_in_training"] is True and "TRAINED on emodb" in heard["protocol"]
    new = figures(made(tmp_path / "new", labels, {"ravdess": 1439}), table, capsys)
    assert new["seen_in_training"] is False and "TRAINED" not in new["protocol"]
    assert names_of(load_corpus(table)) == {"mine", "emodb"}


def test_names_that_say_other_emotions_are_names_by_chance(table: Path) -> None:
    table.write_text(table.read_text().replace("anger", "calm").replace("sadness", "happy"))
    assert names_of(load_corpus(table)) == {"mine"}


def test_a_checkpoint_is_not_asked_as_a_stranger_of_recordings_that_it_learnt(
    table: Path, checkpoints: Path, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    from edge_ser.evaluation.unheard import evaluate_unheard
    from edge_ser.models.checkpoint import load_checkpoint, save_checkpoint

    model, meta = load_checkpoint(checkpoints / "fold0-seed1.safetensors")
    meta["training"] |= {"held_out_fold": None, "clips": {"emodb": 535}}
    save_checkpoint(tmp_path / "all.safetensors", model, meta)
    with pytest.raises(EdgeSerError, match="was trained on emodb"):
        evaluate_unheard(tmp_path / "all.safetensors", load_corpus(table))
