"""Networks left one speaker out: the folds that a recipe's corpus is given by its name, from training to a bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_ser.cli import main

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'train')")

from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.models.checkpoint import load_checkpoint  # noqa: E402
from export.validation import choose_validation  # noqa: E402
from tests.edge_ser.training.tones import SMALLEST, write_tones  # noqa: E402

RECIPE = """
name = "tones"
model = "stream72k"

[data]
corpora = ["{corpus}"]
folds = [0, 1, 2, 3, 4, 5]

[fit]
epochs = 1
batch = 8
crop_s = 0.5

"""


def test_one_speaker_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write_tones(tmp_path)  # three folds of two speakers
    recipe = tmp_path / "tones.toml"
    recipe.write_text(RECIPE.format(corpus=f"{table}@speaker") + SMALLEST)
    places = ["--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    assert main(["train", str(recipe), *places]) == 0
    made = json.loads((tmp_path / "results" / "tones.json").read_text())
    assert made["protocol"].startswith("6 folds of one speaker each, last epoch")
    assert [(one["fold"], one["n"]) for one in made["folds"]] == [(fold, 6) for fold in range(6)]
    model, meta = load_checkpoint(tmp_path / "runs" / "tones" / "fold5-seed0.safetensors")
    assert meta["training"]["heard"] == [f"tones-{i}" for i in range(5)]
    capsys.readouterr()
    own = ["--checkpoints", str(tmp_path / "runs" / "tones"), "-o", "json"]
    assert main(["evaluate", "--corpus", f"{table}@speaker", *own]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["folds"] == made["folds"] and again["protocol"].startswith("6 folds of one speaker each")
    # by its three folds, a model's own speakers would be asked
    assert main(["evaluate", "--corpus", str(table), *own]) == 2
    assert "heard tones-1 in training" in (said := capsys.readouterr().err) and "NAME@speaker" in said
    _, meta = load_checkpoint(tmp_path / "runs" / "tones" / "fold0-seed0.safetensors")
    labels = model.config.labels
    chosen = choose_validation(f"{table}@speaker", meta["training"], labels)
    assert {clip.speaker for clip in chosen.clips} == {"tones-0"}
    with pytest.raises(EdgeSerError, match="the checkpoint heard tones-1 in training"):
        choose_validation(str(table), meta["training"], labels)
