"""A recipe from start to end on a corpus made of tones, evaluate on what it leaves, and where a training begins."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from edge_ser.audio import load_audio, write_wav
from edge_ser.cli import main
from edge_ser.errors import EdgeSerError
from edge_ser.models import build_model
from edge_ser.models.base import Network
from edge_ser.models.checkpoint import load_checkpoint, save_checkpoint
from edge_ser.training.recipe import Recipe
from edge_ser.training.run import Run, run_recipe
from tests.edge_ser.training.tones import SMALLEST

RECIPE = """
[data]
corpora = ["{corpus}"]
folds = {folds}
[fit]
epochs = 2
batch = 8
crop_s = 0.5
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
    path.write_text(RECIPE.format(corpus=corpus, folds=folds) + SMALLEST)
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


def test_what_is_not_scored_is_said(tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = with_folds(corpus, "gaps.csv", lambda clip, speaker: "" if clip in (4, 5) else speaker // 2)
    lines = table.read_text().splitlines()
    unlabelled, rated = lines[9].split(","), lines[10].split(",")
    lines[9] = ",".join([*unlabelled[:2], "", "", "", "", unlabelled[6]])
    lines[10] = ",".join([*rated[:2], "", *rated[3:]])
    table.write_text("\n".join(lines) + "\n")
    assert run_train(tmp_path, write_recipe(tmp_path, table)) == 0
    result = json.loads((tmp_path / "results" / "tones.json").read_text())
    assert sum(fold["n"] for fold in result["folds"]) == 28 and result["adv"]["n"] == 29
    assert result["left_out"] == [
        {"what": "4.wav", "reason": "no fold given"},
        {"what": "5.wav", "reason": "no fold given"},
        {"what": str(corpus.parent / "8.wav"), "reason": "no emotion and no ratings"},
    ]
    printed = capsys.readouterr().err
    assert "left out: 4.wav: no fold given" in printed
    assert "8.wav: no emotion and no ratings" in printed


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


def test_ratings_alone_can_be_learnt(tmp_path: Path, corpus: Path) -> None:
    table = corpus.with_name("ratings.csv")
    table.write_text(corpus.read_text().replace(",angry,", ",,").replace(",sad,", ",,"))
    assert run_train(tmp_path, write_recipe(tmp_path, table)) == 0
    result = json.loads((tmp_path / "results" / "tones.json").read_text())
    assert "uar" not in result and result["adv"]["n"] == 32
    records = (tmp_path / "runs" / "tones" / "fold0-seed0" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["emotion_loss"] for line in records] == [0, 0]


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


def forget(checkpoint: Path) -> None:
    """Make a checkpoint one from before it was kept whom and what it heard."""
    model, meta = load_checkpoint(checkpoint)
    del meta["training"]["heard"], meta["training"]["told"]
    save_checkpoint(checkpoint, model, meta)


def test_models_of_other_labels_or_clips_are_refused(tmp_path: Path, corpus: Path, capsys: Any) -> None:
    table = with_folds(corpus, "corrected.csv", lambda clip, speaker: speaker // 2)
    recipe, before = write_recipe(tmp_path, table), table.read_text()
    assert run_train(tmp_path, recipe) == 0
    for after in (before.replace(",sad,", ",calm,", 1), before[: before.rindex("31.wav")]):
        table.write_text(after)
        assert run_train(tmp_path, recipe) == 2
        assert "learnt from other recordings or other labels" in capsys.readouterr().err


def test_models_are_not_tested_on_speakers_whom_they_heard_however_the_folds_change(
    tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = with_folds(corpus, "moving.csv", lambda clip, speaker: speaker // 2)
    recipe, runs = write_recipe(tmp_path, table), tmp_path / "runs" / "tones"
    words = ["evaluate", "--corpus", str(table), "--checkpoints", str(runs)]
    assert run_train(tmp_path, recipe) == 0
    heard = [
        load_checkpoint(runs / f"fold{fold}-seed0.safetensors")[1]["training"]["heard"] for fold in (0, 1)
    ]
    assert heard == [["s2", "s3"], ["s0", "s1"]]
    results = (tmp_path / "results" / "tones.json").read_text()
    assert run_train(tmp_path, recipe) == 0 and main(words) == 0  # nothing has changed
    capsys.readouterr()
    with_folds(corpus, "moving.csv", lambda clip, speaker: 1 - speaker // 2)
    for call in (lambda: run_train(tmp_path, recipe), lambda: main(words)):
        assert call() == 2
        assert "fold0-seed0.safetensors heard s2 in training, and is to be tested" in capsys.readouterr().err
    assert (tmp_path / "results" / "tones.json").read_text() == results
    for checkpoint in runs.glob("*.safetensors"):
        forget(checkpoint)
    assert run_train(tmp_path, recipe) == 0 and main(words) == 0  # they do not say whom they heard


def test_a_new_speaker_may_be_tested_on_and_does_not_train_what_is_trained(
    tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = with_folds(corpus, "growing.csv", lambda clip, speaker: speaker // 2)
    recipe, runs = write_recipe(tmp_path, table, "[0]"), tmp_path / "runs" / "tones"
    words = ["evaluate", "--corpus", str(table), "--checkpoints", str(runs), "--fold", "0"]
    assert run_train(tmp_path, recipe) == 0
    write_wav(table.parent / "32.wav", load_audio(table.parent / "31.wav")[::-1])
    *_, last = table.read_text().splitlines(keepends=True)
    grown = table.read_text() + last.replace("31.wav,s3,", "32.wav,s4,")
    table.write_text(grown.removesuffix("1\n") + "0\n")
    assert run_train(tmp_path, recipe) == 0 and main(words) == 0
    table.write_text(grown)
    assert main(words) == 0  # its test speakers are still new to it
    assert run_train(tmp_path, recipe) == 2
    assert "never heard s4, who is to train it" in capsys.readouterr().err


def test_a_changed_recipe_does_not_reuse_old_checkpoints(
    tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe(tmp_path, corpus)
    run_train(tmp_path, recipe, "--fold", "0")
    recipe.write_text(recipe.read_text().replace("epochs = 2", "epochs = 3"))
    assert run_train(tmp_path, recipe, "--fold", "0") == 2
    assert "another recipe" in capsys.readouterr().err


def with_folds(corpus: Path, name: str, fold: Callable[[int, int], int | str]) -> Path:
    """The tones under other folds, by the clip's number and its speaker's."""
    lines = corpus.read_text().splitlines()
    rows = [line.rpartition(",")[0] + f",{fold(i, i % 4)}" for i, line in enumerate(lines[1:])]
    table = corpus.with_name(name)
    table.write_text("\n".join([lines[0], *rows]) + "\n")
    return table


def test_speakers_on_both_sides_are_said_before_anything_is_trained(
    tmp_path: Path, corpus: Path, begun: list[Network], capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = with_folds(corpus, "mixed.csv", lambda clip, speaker: clip // 4 % 2)  # of clips, not of speakers
    assert run_train(tmp_path, write_recipe(tmp_path, mixed)) == 2
    assert "in mixed s0, s1, s2, s3 would stand on both sides of fold 0" in capsys.readouterr().err
    partly = with_folds(corpus, "partly.csv", lambda clip, speaker: speaker if clip < 28 else 2)
    assert run_train(tmp_path, write_recipe(tmp_path, partly, "[3, 0]"), "--fold", "3") == 2
    assert "in partly s3 would stand on both sides of fold 3" in capsys.readouterr().err
    assert begun == []


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Network]:
    """Networks as they are when their training begins; none is trained."""
    models: list[Network] = []

    def fit(model: Network, *_: Any) -> Network:
        models.append(model)
        raise KeyboardInterrupt

    monkeypatch.setattr("edge_ser.training.run.fit", fit)
    return models


def begin(recipe: Path, folder: Path, run: Run) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_recipe(Recipe.read(recipe), folder / "runs", folder / "results", only=[run])


def recipe_from(folder: Path, corpus: Path, start: str, more: str = "", folds: str = "[0, 1]") -> Path:
    path = write_recipe(folder, corpus, folds)
    path.write_text(path.read_text().replace("epochs = 2", f'epochs = 2\nstart = "{start}"') + more)
    return path


def test_a_network_has_heard_whom_its_start_heard(
    tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = tmp_path / "start.safetensors"
    recipe = recipe_from(tmp_path, corpus, str(start), folds="[0]")
    write_start(start, ("angry", "sad"), heard=["s1", "stranger"])
    assert run_train(tmp_path, recipe) == 2
    assert "start.safetensors heard s1 in training, and is to be tested on" in capsys.readouterr().err
    write_start(start, ("angry", "sad"), heard=["s2", "stranger"], clips={"others": 9})
    assert run_train(tmp_path, recipe) == 0
    _, meta = load_checkpoint(tmp_path / "runs" / "tones" / "fold0-seed0.safetensors")
    assert meta["training"]["heard"] == ["s2", "s3", "stranger"]
    assert meta["training"]["began"]["clips"] == {"others": 9}


SHAPE: dict[str, Any] = {"n_mels": 64, "stem": [2], "channels": 16, "kernel": 5, "dilations": [1], "heads": 2}


def write_start(
    path: Path, labels: tuple[str, ...], shape: dict[str, Any] = SHAPE, **training: Any
) -> Network:
    """A checkpoint of weights of chance."""
    from edge_ser.models.stream72k import Stream72kConfig

    config = Stream72kConfig(labels=("angry", "sad")).to_dict() | shape | {"labels": labels}
    model = build_model("stream72k", config)
    meta = {"architecture": "stream72k", "config": config, "spec": model.spec.to_dict(), "training": training}
    save_checkpoint(path, model, meta)
    return model


@pytest.mark.parametrize(
    ("labels", "same"),
    [(("angry", "sad"), True), (("bored", "calm", "happy"), False), (("calm", "happy"), False)],
)
def test_a_start_gives_all_but_a_head_of_other_classes(
    tmp_path: Path, corpus: Path, begun: list[Network], labels: tuple[str, ...], same: bool
) -> None:
    start = write_start(tmp_path / "start.safetensors", labels)
    begin(recipe_from(tmp_path, corpus, str(tmp_path / "start.safetensors")), tmp_path, Run(0, 0))
    begin(write_recipe(tmp_path, corpus), tmp_path, Run(0, 0))
    given, taken, fresh = (model.state_dict() for model in (start, *begun))
    for name, value in taken.items():
        head = name.startswith("emotion.") and not same
        assert value.equal((fresh if head else given)[name]), name


def test_a_narrower_start_is_widened(tmp_path: Path, corpus: Path, begun: list[Network]) -> None:
    start = write_start(tmp_path / "start.safetensors", ("angry", "sad"), SHAPE | {"channels": 8})
    recipe = recipe_from(tmp_path, corpus, str(tmp_path / "start.safetensors"))
    begin(recipe, tmp_path, Run(0, 0))
    features, frames = torch.randn(3, 40, 64), torch.full((3,), 40)
    with torch.inference_mode():
        given, taken = (model.eval().clip(features, frames) for model in (start, *begun))
    assert begun[0].hidden == 2 * start.hidden
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(given, taken, strict=True))


def test_each_fold_and_seed_has_a_start_of_its_own(
    tmp_path: Path, corpus: Path, begun: list[Network]
) -> None:
    starts = {
        name: write_start(tmp_path / f"{name}.safetensors", ("angry", "sad"))
        for name in ("fold0-seed0", "fold1-seed0", "all-seed0")
    }
    pattern = str(tmp_path / "fold{fold}-seed{seed}.safetensors")
    recipe = recipe_from(tmp_path, corpus, pattern)
    begin(recipe, tmp_path, Run(0, 1))
    begin(recipe, tmp_path, Run(0, 0))
    begin(recipe_from(tmp_path, corpus, pattern, folds="[]"), tmp_path, Run(0, None))
    for model, name in zip(begun, ("fold1-seed0", "fold0-seed0", "all-seed0"), strict=True):
        assert model.state_dict()["mix.conv.weight"].equal(starts[name].state_dict()["mix.conv.weight"])


def test_a_start_may_hear_other_phases(tmp_path: Path, corpus: Path, begun: list[Network]) -> None:
    start = write_start(tmp_path / "start.safetensors", ("angry", "sad"), SHAPE | {"phases": 2})
    begin(recipe_from(tmp_path, corpus, str(tmp_path / "start.safetensors")), tmp_path, Run(0, 0))
    (model,) = begun
    assert model.state_dict()["mix.conv.weight"].equal(start.state_dict()["mix.conv.weight"])


@pytest.mark.parametrize(
    ("start", "says"),
    [
        ("{folder}/none.safetensors", "none.safetensors is not a file"),
        (
            "{folder}/{odd}.safetensors",
            r"\{odd\}.safetensors is not a file",
        ),  # braces of its own are left alone
        ("{folder}/wide.safetensors", "network of another shape: .* does not fit; start from another"),
        ("{folder}/half.safetensors", "another shape: its halve is 0, not -1; start from another"),
    ],
)
def test_a_start_that_does_not_fit_is_said(
    tmp_path: Path, corpus: Path, begun: list[Network], start: str, says: str
) -> None:
    write_start(tmp_path / "wide.safetensors", ("angry", "sad"), SHAPE | {"channels": 24})
    write_start(tmp_path / "half.safetensors", ("angry", "sad"), SHAPE | {"halve": 0})
    recipe = recipe_from(tmp_path, corpus, start.replace("{folder}", str(tmp_path)))
    with pytest.raises(EdgeSerError, match=says):
        run_recipe(Recipe.read(recipe), tmp_path / "runs", tmp_path / "results")
    assert begun == []
