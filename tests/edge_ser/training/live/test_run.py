"""A recipe with a live teacher from start to end, in miniature."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from edge_ser.audio import write_wav  # noqa: E402
from edge_ser.cli import main  # noqa: E402
from edge_ser.models.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from edge_ser.tensors import read_safetensors  # noqa: E402
from tests.edge_ser.teachers.small import small_whisper  # noqa: E402
from tests.edge_ser.training.tones import PERTURB, write_tones  # noqa: E402

ROOT = Path(__file__).resolve().parents[4]
QUIET = PERTURB.replace("p_gain = 1", "p_gain = 0\np_invert = 0\np_dc = 0")


def write_recipe(folder: Path, more: str = "", name: str = "live") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(f"""
name = "{name}"
[data]
corpora = ["{folder / "tones.csv"}"]
folds = [0, 2]
[live]
views = 3
fitted = 2
seconds = 0.6
others = ["{folder / "more.csv"}"]
others_views = 2
[head]
components = 8
hint = 4
[distil]
soft = 0.5
[session]
clips = 3
[fit]
epochs = 3
batch = 12
crop_s = 0.5
[augment]
mixup = 0.0
[config]
stem = [2]
channels = 16
dilations = [1]
heads = 2
{QUIET}
{more}""")
    return path


def places(folder: Path) -> list[str]:
    encoder = ["--encoder", str(folder / "whisper")]
    return [*encoder, "--runs", str(folder / "runs"), "--results", str(folder / "results")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    at = tmp_path_factory.mktemp("live")
    write_tones(at)
    write_tones(at, "more", ("angry", "sad"), 12)
    small_whisper().save_pretrained(at / "whisper")
    assert main(["distil", str(write_recipe(at)), *places(at)]) == 0
    return at


def test_students_learn_beside_it_and_are_scored_on_their_folds(folder: Path) -> None:
    result = json.loads((folder / "results" / "live.json").read_text())
    assert [(fold["fold"], fold["n"]) for fold in result["folds"]] == [(0, 12), (2, 12)]
    assert result["recipe"]["live"]["views"] == 3 and result["recipe"]["head"]["components"] == 8
    for fold in (0, 2):
        _, meta = load_checkpoint(folder / "runs" / "live" / f"fold{fold}-seed0.safetensors")
        about = meta["training"]
        assert about["clips"] == {"tones": 24, "more": 12} and about["held_out_fold"] == fold
        assert set(about["teacher_uar"]) == {"tones"} and about["teacher_uar"]["tones"] > 0.5
        own = folder / "runs" / "live" / f"fold{fold}-seed0"
        assert len((own / "log.jsonl").read_text().splitlines()) == 3
        assert (own / "curves.png").exists() and not (own / "last.pt").exists()


def test_what_is_trained_stays_and_another_recipe_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = folder / "runs" / "live" / "fold0-seed0.safetensors"
    before = target.stat().st_mtime_ns
    assert main(["distil", str(write_recipe(folder)), *places(folder)]) == 0
    assert target.stat().st_mtime_ns == before
    assert main(["distil", str(write_recipe(folder)), *places(folder), "--set", "fit.epochs=4"]) == 2
    assert "trained by another recipe" in capsys.readouterr().err


def test_what_was_trained_on_other_folds_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = tmp_path / "tones.csv"
    text = (folder / "tones.csv").read_text().replace("\ntones/", f"\n{folder}/tones/")
    moved.write_text(re.sub(r",([02])\n", lambda fold: f",{2 - int(fold[1])}\n", text))
    shutil.copytree(folder / "runs" / "live", tmp_path / "runs" / "live")
    for path in (tmp_path / "runs" / "live").glob("*.safetensors"):  # of a recipe with this table
        model, meta = load_checkpoint(path)
        assert meta["training"]["heard"] == [*(f"more-{i}" for i in range(6)), *sorted(
            f"tones-{i}" for i in range(6) if i // 2 != meta["training"]["held_out_fold"])]  # fmt: skip
        meta["training"]["recipe"]["data"]["corpora"] = [str(moved)]
        save_checkpoint(path, model, meta)
    more = ["--set", f'data.corpora=["{moved}"]', "--runs", str(tmp_path / "runs")]
    assert main(["distil", str(write_recipe(folder)), *places(folder)[:2], *more]) == 2
    assert "fold0-seed0.safetensors heard tones-4 in training" in capsys.readouterr().err


def test_a_recipe_may_have_noise_and_consistency(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "sounds").mkdir()
    write_wav(tmp_path / "sounds" / "hiss.wav", np.random.default_rng(0).normal(0, 0.1, 8000))
    more = f'[noise]\nsounds = ["{tmp_path / "sounds"}"]\nbabble = 0.3\nroom = 0.5\n'
    recipe = write_recipe(folder, more, "noisy")
    call = ["distil", str(recipe), *places(folder), "--fold", "2", "--set", "fit.consistency=1.0"]
    assert main(call) == 0
    log = folder / "runs" / "noisy" / "fold2-seed0" / "log.jsonl"
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(records) == 3 and all(record["consistency_loss"] > 0 for record in records)
    noisy, quiet = (
        read_safetensors(folder / "runs" / name / "fold2-seed0.safetensors") for name in ("noisy", "live")
    )
    assert any((noisy[name] != value).any() for name, value in quiet.items())


KILLED = """
import os, signal, sys
from edge_ser.training.live import fit
fit._SAVE_S = 0.0
save = fit.Trainee._save
def die(self):
    save(self)
    os.kill(os.getpid(), signal.SIGKILL)
fit.Trainee._save = die
from edge_ser.cli import main
main(sys.argv[1:])
"""


def test_a_run_that_was_killed_ends_as_one_that_was_not(folder: Path, tmp_path: Path) -> None:
    words = ["distil", str(folder / "live.toml"), *places(folder)[:2]]
    words += ["--runs", str(tmp_path), "--results", str(tmp_path), "--fold", "2", "--seed", "0"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED, *words]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert (tmp_path / "live" / "fold2-seed0" / "last.pt").exists()
    assert main(words) == 0
    found, whole = (
        read_safetensors(at / "live" / "fold2-seed0.safetensors") for at in (tmp_path, folder / "runs")
    )
    assert all((found[name] == value).all() for name, value in whole.items())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "say where its encoder is"),
        (["--encoder", "nowhere"], "nowhere"),
        (["--device", "gramophone"], "no device 'gramophone'"),
        (["--fold", "1"], "no fold 1 with seed 0"),
        (["--seed", "3"], "add --fold"),
        (["--set", "live.others_share=1.0"], "others_share from 0 to below 1"),
        (["--set", "live.fitted=9"], "fitted from 1 to views"),
        (["--set", "distil.targets=here"], "leave out"),
        (["--set", "distil.views=2"], "leave out"),
        (["--set", "augment.mixup=0.3"], "mixup and style"),
        (["--set", "fit.sharpness=0.05"], "sharpness"),
        (["--set", "perturb.p_codec=0.5"], "have no codec"),
        (["--set", "head.components=3"], "hint of 0 to 3"),
    ],
)
def test_what_cannot_be_done_is_said(
    folder: Path, tmp_path: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = words if "--encoder" in words or not words else [*places(folder)[:2], *words]
    assert (
        main(
            ["distil", str(write_recipe(folder)), *more, "--runs", str(tmp_path), "--results", str(tmp_path)]
        )
        == 2
    )
    assert says in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.safetensors"))


def test_held_out_speakers_are_not_heard_among_the_others(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = folder / "again.csv"
    again.write_text((folder / "tones.csv").read_text())
    more = ["--runs", str(tmp_path), "--results", str(tmp_path), "--set", f'live.others=["{again}"]']
    assert main(["distil", str(write_recipe(folder)), *places(folder)[:2], *more]) == 2
    assert "tones-0 speaks in fold 0 of tones, which is held out, and in" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_recipe_of_stored_targets_has_neither_device_nor_encoder(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = folder / "stored.toml"
    stored.write_text('[data]\ncorpora = ["tones.csv"]\n[distil]\ntargets = "runs/teacher"\n')
    assert main(["distil", str(stored), "--device", "meta"]) == 2
    assert "--device is for recipes with [live]" in capsys.readouterr().err
    assert main(["distil", str(stored), "--encoder", "whisper"]) == 2
    assert "--encoder is for recipes with [live]" in capsys.readouterr().err
    stored.write_text('[data]\ncorpora = ["tones.csv"]\n[distil]\nsoft = 0.5\n')
    assert main(["distil", str(stored)]) == 2
    assert "needs targets = FOLDER of a teacher, or [live]" in capsys.readouterr().err


def test_the_recipes_that_are_kept_can_be_read() -> None:
    from edge_ser.training.recipe import Recipe

    student, start = (Recipe.read(ROOT / "recipes" / f"{n}.toml") for n in ("ravdess-live", "pretrain-live"))
    assert student.live is not None and start.live is not None
    assert student.fit.start == f"runs/{start.name}/all-seed{{seed}}.safetensors".replace("{seed}", "0")
    assert student.perturb == start.perturb and set(student.live.others) == set(start.data.corpora)
    names: list[Any] = [path.stem for path in (ROOT / "recipes").glob("*-live.toml")]
    assert {"emodb-live", "aesdd-live", "emotale-live", "nemo-live"} < set(names)
