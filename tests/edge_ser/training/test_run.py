"""A recipe from start to end on a corpus made of tones, and evaluate on what it leaves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from edge_ser.audio import write_wav
from edge_ser.cli import main

RECIPE = """
[data]
corpora = ["{corpus}"]
folds = {folds}
[fit]
epochs = 2
batch = 8
crop_s = 0.5
[config]
stem = [2]
channels = 16
dilations = [1]
heads = 2
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folds of two speakers each; low tones are sad, high ones angry; ratings follow."""
    folder = tmp_path_factory.mktemp("tones")
    rows = ["file,speaker,emotion,arousal,dominance,valence,fold"]
    rng = np.random.default_rng(0)
    for i in range(32):
        angry = i % 2
        t = np.arange(16000) / 16000
        tone = 0.2 * np.sin(2 * np.pi * (1500 if angry else 200) * (1 + 0.1 * rng.uniform()) * t)
        write_wav(folder / f"{i}.wav", (tone + 0.01 * rng.standard_normal(16000)).astype(np.float32))
        level = 0.2 + 0.6 * angry + 0.01 * (i % 5)
        rows.append(
            f"{i}.wav,s{i % 4},{'angry' if angry else 'sad'},{level},{level},{1 - level},{i % 4 // 2}"
        )
    table = folder / "tones.csv"
    table.write_text("\n".join(rows) + "\n")
    return table


def write_recipe(folder: Path, corpus: Path, folds: str = "[0, 1]") -> Path:
    path = folder / "tones.toml"
    path.write_text(RECIPE.format(corpus=corpus, folds=folds))
    return path


def run_train(tmp_path: Path, recipe: Path, *more: str) -> int:
    return main(
        [
            "train",
            str(recipe),
            "--runs",
            str(tmp_path / "runs"),
            "--results",
            str(tmp_path / "results"),
            *more,
        ]
    )


def test_folds_are_trained_scored_and_scored_again_by_evaluate(
    tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe(tmp_path, corpus)
    assert run_train(tmp_path, recipe, "--fold", "1") == 0
    assert not (tmp_path / "results").exists()  # one fold is no figure
    assert run_train(tmp_path, recipe) == 0
    result = json.loads((tmp_path / "results" / "tones.json").read_text())
    assert [(f["fold"], f["n"]) for f in result["folds"]] == [(0, 16), (1, 16)]
    assert result["uar"]["mean"] == pytest.approx(np.mean([f["uar"] for f in result["folds"]]))
    assert result["baseline_uar"] == 0.5 and np.sum(result["confusion"]) == 32 and result["adv"]["n"] == 32
    runs = tmp_path / "runs" / "tones"
    assert (runs / "fold0-seed0" / "curves.png").stat().st_size > 1000
    assert not list(runs.rglob("last.pt"))
    capsys.readouterr()
    assert main(["evaluate", "--corpus", str(corpus), "--checkpoints", str(runs), "-o", "json"]) == 0
    again = json.loads(capsys.readouterr().out)
    for key in ("folds", "uar", "confusion", "baseline_uar", "params"):
        assert again[key] == result[key]
    for name in ("arousal", "dominance", "valence"):  # features pass through half precision in training only
        assert again["adv"][name]["ccc"] == pytest.approx(result["adv"][name]["ccc"], abs=0.01)


def test_a_fold_of_one_speaker_has_figures_without_an_interval(
    tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = corpus.read_text().splitlines()  # fold 0 is speaker s0 alone, everybody else is fold 1
    rows = [line[:-1] + ("0" if ",s0," in line else "1") for line in lines[1:]]
    alone = corpus.with_name("alone.csv")
    alone.write_text("\n".join([lines[0], *rows]) + "\n")
    assert run_train(tmp_path, write_recipe(tmp_path, alone, "[0]")) == 0
    printed = capsys.readouterr().out
    assert "UAR" in printed and "over speakers" not in printed
    result = json.loads((tmp_path / "results" / "tones.json").read_text())
    assert result["uar"]["ci95"] is None and result["folds"][0]["n"] == 8


def test_everything_is_trained_on_when_no_fold_is_held_out(tmp_path: Path, corpus: Path) -> None:
    assert run_train(tmp_path, write_recipe(tmp_path, corpus, "[]")) == 0
    assert (tmp_path / "runs" / "tones" / "all-seed0.safetensors").exists()
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("folds", "more", "says"),
    [
        ("[0, 7]", [], "has no fold 7"),
        ("[0, 1]", ["--fold", "3"], "no fold 3"),
        ("[0, 1]", ["--seed", "0"], "add --fold"),
    ],
)
def test_what_cannot_be_trained_is_said(
    tmp_path: Path, corpus: Path, folds: str, more: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_train(tmp_path, write_recipe(tmp_path, corpus, folds), *more) == 2
    assert says in capsys.readouterr().err


def test_evaluate_refuses_half_a_set_of_folds(
    tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_train(tmp_path, write_recipe(tmp_path, corpus), "--fold", "1")
    folder = str(tmp_path / "runs" / "tones")
    assert main(["evaluate", "--corpus", str(corpus), "--checkpoints", folder]) == 2
    assert "lacks fold 0" in capsys.readouterr().err
    assert (
        main(["evaluate", "--corpus", str(corpus), "--checkpoints", folder, "--fold", "1", "-o", "json"]) == 0
    )
    result = json.loads(capsys.readouterr().out)
    assert result["protocol"].startswith("fold 1 alone") and result["folds"][0]["n"] == 16
    assert main(["evaluate", "--corpus", str(corpus), "--checkpoints", str(tmp_path)]) == 2
    assert "edge-ser train" in capsys.readouterr().err


def test_a_changed_recipe_does_not_reuse_old_checkpoints(
    tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe(tmp_path, corpus)
    run_train(tmp_path, recipe, "--fold", "0")
    recipe.write_text(recipe.read_text().replace("epochs = 2", "epochs = 3"))
    assert run_train(tmp_path, recipe, "--fold", "0") == 2
    assert "another recipe" in capsys.readouterr().err
