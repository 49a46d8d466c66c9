"""Condensing: what synthetic clips are made of, who learns from them, killed and resumed."""

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
pytest.importorskip("matplotlib")

from edge_ser.cli import main  # noqa: E402
from edge_ser.corpora import Clip  # noqa: E402
from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.models import architecture, build_model  # noqa: E402
from edge_ser.models.stream72k import Stream72k  # noqa: E402
from edge_ser.tensors import read_safetensors  # noqa: E402
from edge_ser.training.condense import (  # noqa: E402
    Change,
    CondensePart,
    agrees,
    class_means,
    condense,
    drawn_clips,
    middles,
)
from edge_ser.training.condensing import Condensing  # noqa: E402
from edge_ser.training.data import ClipSet  # noqa: E402
from tests.edge_ser.training.tones import write_tones  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
SPEC = Stream72k.spec
LABELS = ("angry", "sad")
SHAPE = {"labels": LABELS, "stem": (2,), "channels": 8, "dilations": (1,), "heads": 2}
FRAMES = 40


def clips_of(count: int = 12, frames: int = 60) -> ClipSet:
    """Noise whose bands lean one way for one class and the other for the other."""
    rng = np.random.default_rng(0)
    lean = np.linspace(-1, 1, SPEC.n_mels)
    named = [LABELS[i % 2] for i in range(count)]
    features = [
        (rng.normal(0, 0.3, (frames, SPEC.n_mels)) + (lean if label == "sad" else -lean)).astype(np.float32)
        for label in named
    ]
    clips = [Clip(Path(str(i)), "c", "s", label) for i, label in enumerate(named)]
    return ClipSet(clips, [features], LABELS, {"c": LABELS})


def build() -> Any:
    kind = architecture("stream72k").config
    return build_model("stream72k", kind.from_dict(kind(labels=LABELS).to_dict() | SHAPE).to_dict())


def run(folder: Path, clips: ClipSet, **fields: Any) -> Any:
    part = CondensePart(
        **{"iterations": 30, "real": 6, "lr": 0.05, "keep_every": 4, "start": "noise"} | fields
    )
    return condense(
        clips, build, part, SPEC, count=2, frames=FRAMES, seed=3, state=folder / "state.pt",
        about={"part": str(part)}, report=lambda: None,
    )  # fmt: skip


def test_synthetic_clips_come_to_sound_like_their_class_to_networks_that_nobody_trained(
    tmp_path: Path,
) -> None:
    clips = clips_of()
    made = run(tmp_path, clips)
    assert made.clips.shape == (2, 2, FRAMES, SPEC.n_mels) and len(made.distances) == 30
    assert np.mean(made.distances[-8:]) < 0.5 * np.mean(made.distances[:8])
    lean = torch.linspace(-1, 1, SPEC.n_mels)
    angry, sad = ((own.mean((0, 1)) - made.clips.mean((0, 1, 2))) @ lean for own in made.clips)
    assert angry < 0 < sad
    again = run(tmp_path / "again", clips)
    assert torch.equal(made.clips, again.clips) and made.distances == again.distances


def test_a_stop_at_any_step_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = clips_of()
    whole = run(tmp_path / "whole", clips, iterations=9)
    calls: list[int] = []
    draw = Change.draw

    def stopping(*args: Any) -> Change:
        calls.append(1)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return draw(*args)

    monkeypatch.setattr(Change, "draw", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", clips, iterations=9)
    made = run(tmp_path / "cut", clips, iterations=9)
    assert len(calls) == 7 + 5  # four were kept
    assert torch.equal(made.clips, whole.clips) and made.distances == whole.distances
    with pytest.raises(EdgeSerError, match="was written by another recipe"):
        run(tmp_path / "cut", clips, iterations=10)


def test_a_change_is_the_same_for_all_and_has_a_gradient() -> None:
    change = Change(gain=0.5, shift=3, first=4, width=2, floor=-3.0)
    batch = torch.randn(2, 10, 8, requires_grad=True)
    out = change(batch, torch.tensor([10, 6]))
    assert (out[:, :, 4:6] == 0).all()
    torch.testing.assert_close(out[0, 3:, :4], batch[0, :7, :4] + 0.5)
    torch.testing.assert_close(out[1, 9, :4], batch[1, 5, :4] + 0.5)  # the last that is valid
    out.sum().backward()
    assert batch.grad is not None and float(batch.grad[:, :, 4:6].abs().max()) == 0


def test_draws_and_means_are_of_a_class(tmp_path: Path) -> None:
    clips = clips_of(frames=30)
    index = drawn_clips(clips.labels, 2, 4, 1)
    assert all((clips.labels[row] == label).all() for label, row in enumerate(index))
    assert torch.equal(drawn_clips(clips.labels, 2, 2, 1), index[:, :2])
    middle = middles(clips, index, 40)
    assert middle.shape == (2, 4, 40, SPEC.n_mels) and torch.equal(middle[..., 30, :], middle[..., 39, :])
    means = class_means(clips, 2, 1, 20, 0)
    own = torch.stack(
        [clip[5:25] for clip, label in zip(clips.views[0], clips.labels, strict=True) if label == 0]
    )
    torch.testing.assert_close(means[0, 0], own.mean(0))
    for made in (lambda: drawn_clips(clips.labels, 2, 7, 0), lambda: class_means(clips, 2, 7, 20, 0)):
        with pytest.raises(EdgeSerError, match="has 6 training clips, fewer than 7"):
            made()


@pytest.mark.parametrize(
    ("fields", "says"),
    [({"clips": ()}, "clips"), ({"clips": (1, 5, 1)}, "clips of no number twice"),
     ({"real": 0}, "iterations, real"), ({"start": "zero"}, "start"), ({"lr": 0.0}, "lr"),
     ({"shift_s": -1.0}, "gain_db")],
)  # fmt: skip
def test_values_out_of_range_are_named(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(EdgeSerError, match=f"needs {says}"):
        CondensePart(**fields)


def write_experiment(folder: Path, table: Path, more: str = "", condensing: str = "") -> Path:
    (folder / "student.toml").write_text(
        f'[data]\ncorpora = ["{table}"]\nfolds = [0, 1]\n[fit]\nepochs = 2\nbatch = 8\ncrop_s = 0.5\n'
        "[config]\nstem = [2]\nchannels = 16\ndilations = [1]\nheads = 2\n"
    )
    path = folder / "small.toml"
    path.write_text(
        f'recipe = "student.toml"\nalways = ["data.folds=[1]", "fit.seeds=[0]"]\n{more}\n'
        f"[condense]\nclips = [1, 3]\niterations = 4\nreal = 4\nkeep_every = 2\n{condensing}"
    )
    return path


class Lesson:
    """An experiment that was run without a stop."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.table = folder, write_tones(folder)
        assert main(self.words(folder)) == 0

    def words(self, folder: Path) -> list[str]:
        places = ["--runs", str(folder / "runs"), "--results", str(folder / "results")]
        return ["condense", str(write_experiment(folder, self.table)), *places]


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    torch.set_num_threads(1)
    return Lesson(tmp_path_factory.mktemp("condense"))


def test_students_of_every_kind_are_compared_on_speakers_that_none_heard(lesson: Lesson) -> None:
    result = json.loads((lesson.folder / "results" / "small.json").read_text())
    kinds = [(row["kind"], row["clips"], row["runs"]) for row in result["rows"]]
    assert kinds == [(kind, n, 1) for n in (1, 3) for kind in ("synthetic", "real", "means")] + [
        ("all", 0, 1)
    ]
    assert all(0 <= row["uar"] <= 1 for row in result["rows"]) and result["trained_on"] == 24
    assert result["protocol"].startswith("1 of 3 speaker-disjoint folds")
    assert [(one["fold"], one["clips"]) for one in result["distances"]] == [(1, 1), (1, 3)]
    assert (lesson.folder / "results" / "small.png").read_bytes()[:4] == b"\x89PNG"
    runs = lesson.folder / "runs" / "small"
    assert read_safetensors(runs / "fold1-3.safetensors")["clips"].shape == (3, 3, 40, 64)
    logs = [len(path.read_text().splitlines()) for path in runs.glob("*/log.jsonl")]
    assert logs == [2] * 7 and not list(runs.glob("**/*.pt"))


def test_what_the_test_speakers_say_changes_no_synthetic_clip(lesson: Lesson, tmp_path: Path) -> None:
    lines = lesson.table.read_text().splitlines()
    kept = [lines[0]] + [f"{lesson.folder}/{line}" for line in lines[1:]]
    swapped = [line.replace(",angry,", ",sad,") if line.endswith(",1") else line for line in kept]
    table = tmp_path / "tones.csv"
    table.write_text("\n".join(swapped) + "\n")
    words = ["condense", str(write_experiment(tmp_path, table)), "--runs", str(tmp_path / "runs")]
    assert main([*words, "--results", str(tmp_path / "results"), "-o", "json"]) == 0
    for name in ("fold1-1.safetensors", "fold1-3.safetensors"):
        mine, theirs = (read_safetensors(f / "runs" / "small" / name) for f in (tmp_path, lesson.folder))
        assert np.array_equal(mine["clips"], theirs["clips"])


KILLED = """
import os, signal, sys
from edge_ser.cli import main
from edge_ser.training import condense, condensing, fit

def die(*args, **more):
    os.kill(os.getpid(), signal.SIGKILL)

where, words = sys.argv[1], sys.argv[2:]
calls = []
if where == "in a step":
    hold = condense._hold
    condense._hold = lambda *args: calls.append(1) or (die() if len(calls) == 6 else hold(*args))
elif where == "in an epoch":
    save = fit._save
    fit._save = lambda *args: calls.append(1) or (die() if len(calls) == 6 else save(*args))
else:
    condensing.write_json = die
main(words)
"""


@pytest.mark.parametrize("where", ["in a step", "in an epoch", "before the figures"])
def test_an_experiment_that_was_killed_ends_with_the_same_figures(
    lesson: Lesson, tmp_path: Path, where: str
) -> None:
    command = [sys.executable, "-c", KILLED, where, *lesson.words(tmp_path)]
    one_core = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=one_core)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "results" / "small.json").exists()
    assert main(lesson.words(tmp_path)) == 0
    mine, theirs = ((f / "results" / "small.json").read_text() for f in (tmp_path, lesson.folder))
    assert mine == theirs


def test_what_is_not_scored_is_said(
    lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = lesson.table.with_name("gaps.csv")
    table.write_text(lesson.table.read_text().replace(",calm,", ",,", 1))
    monkeypatch.setattr("edge_ser.training.condensing._Fold.uar", lambda *_: 0.5)
    words = ["condense", str(write_experiment(tmp_path, table)), "--runs", str(tmp_path / "runs")]
    assert main([*words, "--results", str(tmp_path / "results")]) == 0
    [left] = json.loads((tmp_path / "results" / "small.json").read_text())["left_out"]
    assert left["reason"] == "no emotion and no ratings"
    assert f"left out: {left['what']}: no emotion and no ratings" in capsys.readouterr().err


def test_clips_of_another_recipe_are_not_taken(lesson: Lesson, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_experiment(lesson.folder, lesson.table, condensing="lr = 0.5\n")
    words = ["condense", str(path), "--runs", str(lesson.folder / "runs"), "--results", "/nowhere"]
    assert main(words) == 2
    assert "is of another recipe" in capsys.readouterr().err


def test_speakers_on_both_sides_are_said_before_anything_is_made(
    lesson: Lesson, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = lesson.table.with_name("mixed.csv")
    mixed.write_text(lesson.table.read_text().replace(",0\n", ",1\n", 1))
    words = ["condense", str(write_experiment(tmp_path, mixed)), "--runs", str(tmp_path / "runs")]
    assert main(words) == 2
    assert "in mixed tones-0 would stand on both sides of fold 1" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_clips_and_students_of_other_speakers_are_not_taken(
    lesson: Lesson, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(lesson.folder / "runs", tmp_path / "runs")
    table, text = lesson.table, lesson.table.read_text()
    words = ["condense", str(write_experiment(lesson.folder, table)), "--runs", str(tmp_path / "runs")]
    words += ["--results", str(tmp_path / "results")]
    try:
        table.write_text(re.sub(r",([01])\n", lambda fold: f",{1 - int(fold[1])}\n", text))
        assert main(words) == 2
        assert "fold1-1.safetensors is of another recipe or of other speakers" in capsys.readouterr().err
        for path in (tmp_path / "runs" / "small").glob("fold1-?.safetensors"):
            path.unlink()
        assert main(words) == 2
        assert "seed0.safetensors is of another recipe or of other speakers" in capsys.readouterr().err
    finally:
        table.write_text(text)


def test_work_from_before_speakers_were_named_is_taken() -> None:
    about = {"fold": 1, "heard": ["a", "b"]}
    assert agrees(about, about) and agrees({"fold": 1}, about)
    assert not agrees({"fold": 2}, about) and not agrees({"fold": 1, "heard": ["a"]}, about)
    assert not agrees({}, about)
    assert agrees(about, about | {"told": "x"}) and not agrees(about | {"told": "y"}, about | {"told": "x"})


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("steps = 3", r"must say recipe = "),
        ('always = ["data.folds=[]"]', "holds folds out"),
        ("[condense]\niteration = 3", "no field 'iteration'"),
    ],
)
def test_what_is_no_experiment_is_a_sentence(tmp_path: Path, more: str, says: str) -> None:
    write_experiment(tmp_path, tmp_path / "tones.csv")
    path = tmp_path / "wrong.toml"
    path.write_text(f'recipe = "student.toml"\n{more}\n')
    with pytest.raises(EdgeSerError, match=says):
        Condensing.read(path)


def test_the_experiment_that_is_shipped_can_be_read() -> None:
    experiment = Condensing.read(ROOT / "recipes" / "condense-ravdess.toml")
    assert len(experiment.student.data.folds) == 1 and experiment.student.distil is None
