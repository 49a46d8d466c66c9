"""Students of a teacher from start to end, in miniature: taught, distilled, scored, killed and resumed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from edge_ser.audio import write_wav
from edge_ser.cli import main
from edge_ser.models.checkpoint import load_checkpoint
from edge_ser.tensors import read_safetensors
from tests.edge_ser.training.tones import Bands, use_encoder, write_student, write_teacher, write_tones

ROOT = Path(__file__).resolve().parents[3]


class Lesson:
    """A teacher's targets, and a student that learnt from them without a stop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.corpora = [
            write_tones(folder),
            write_tones(folder, "rated", ("angry", "sad"), 24, rated=True),
            write_tones(folder, "loose", ("angry", "sad"), 4, folds=None),
        ]
        self.targets = folder / "runs" / "teacher" / "fold{fold}"
        recipe = write_teacher(folder, self.corpora)
        with pytest.MonkeyPatch.context() as patch:
            use_encoder(patch, Bands())
            assert main(["teach", str(recipe), "--encoder", "bands", *self.places(folder)]) == 0
        assert self.distil(folder, folds="[0, 2]", distil="quadrant = 1.0") == 0

    @staticmethod
    def places(folder: Path) -> list[str]:
        return ["--runs", str(folder / "runs"), "--results", str(folder / "results")]

    def distil(self, folder: Path, *words: str, **fields: str) -> int:
        recipe = write_student(folder, self.corpora, fields.pop("targets", str(self.targets)), **fields)
        return main(["distil", str(recipe), *self.places(folder), *words])


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    return Lesson(tmp_path_factory.mktemp("lesson"))


def test_students_of_two_folds_learn_from_teachers_that_never_heard_their_test(lesson: Lesson) -> None:
    result = json.loads((lesson.folder / "results" / "student.json").read_text())
    assert [(f["fold"], f["n"]) for f in result["folds"]] == [(0, 20), (2, 20)]
    assert result["recipe"]["distil"]["targets"] == str(lesson.targets) and result["adv"]["n"] == 16
    runs = lesson.folder / "runs" / "student"
    for fold in (0, 2):
        lines = (runs / f"fold{fold}-seed0" / "log.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        assert [record["epoch"] for record in records] == [1, 2]
        terms = {"emotion_loss", "adv_loss", "soft_loss", "hint_loss", "quadrant_loss"}
        assert set(records[0]) == {"epoch", "loss", "lr", *terms}
        assert records[1]["loss"] == pytest.approx(sum(records[1][term] for term in terms))
        assert (runs / f"fold{fold}-seed0" / "curves.png").stat().st_size > 1000
        model, meta = load_checkpoint(runs / f"fold{fold}-seed0.safetensors")
        assert model.config.labels == ("angry", "calm", "sad") and meta["training"]["held_out_fold"] == fold
        assert meta["training"]["recipe"]["perturb"]["p_gain"] == 1.0
        assert not [name for name in model.state_dict() if "guess" in name]  # of training alone
        assert meta["training"]["clips"] == {"tones": 24, "rated": 16}
        assert meta["training"]["adv_source"].startswith("means of raters of rated")
        assert meta["training"]["adv_source"].endswith("on other recordings what a teacher says of them")


def test_a_student_that_holds_nothing_out_learns_from_the_store_of_everything(
    lesson: Lesson, tmp_path: Path
) -> None:
    assert lesson.distil(tmp_path) == 0
    _, meta = load_checkpoint(tmp_path / "runs" / "student" / "all-seed0.safetensors")
    assert meta["training"]["clips"] == {"tones": 36, "rated": 24, "loose": 4}
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"targets": "{folder}/nowhere/fold{fold}"}, "nowhere/fold0 holds no teacher's targets"),
        (
            {"targets": "{folder}/runs/teacher/fold2"},
            "lacks 40 of 80 recordings and views",
        ),  # heard fold 0 alone
        ({"distil": "soft = 2.0"}, "needs soft from 0 to 1"),
    ],
)
def test_a_student_without_its_teachers_targets_is_refused(
    lesson: Lesson, tmp_path: Path, fields: dict[str, str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if "targets" in fields:
        fields = {"targets": fields["targets"].replace("{folder}", str(lesson.folder))}
    assert lesson.distil(tmp_path, folds="[0]", **fields) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert says in error and error.startswith("edge-ser: ")


def test_other_views_than_the_teachers_are_refused(
    lesson: Lesson, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_student(tmp_path, lesson.corpora, lesson.targets, folds="[0]")
    recipe.write_text(recipe.read_text().replace("p_gain = 1", "p_gain = 1\ngain_db = 3"))
    assert main(["distil", str(recipe), *lesson.places(tmp_path)]) == 2
    assert "lacks 40 of 80" in capsys.readouterr().err  # the clips themselves are there


def test_ratings_may_come_from_a_teacher_that_knows_them(
    lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tones = lesson.corpora[:1]
    recipe = write_teacher(tmp_path, tones)
    use_encoder(monkeypatch, Bands())
    assert main(["teach", str(recipe), "--encoder", "bands", *lesson.places(tmp_path)]) == 0
    own = tmp_path / "runs" / "teacher" / "fold{fold}"

    def student(name: str, more: str) -> dict[str, object]:
        path = write_student(tmp_path, tones, own, folds="[0]", distil=more)
        path.write_text(f'name = "{name}"\n' + path.read_text())
        assert main(["distil", str(path), *lesson.places(tmp_path)]) == 0
        log = (tmp_path / "runs" / name / "fold0-seed0" / "log.jsonl").read_text().splitlines()
        _, meta = load_checkpoint(tmp_path / "runs" / name / "fold0-seed0.safetensors")
        return {"loss": json.loads(log[-1])["adv_loss"], "source": meta["training"]["adv_source"]}

    assert student("none", "") == {"loss": 0.0, "source": None}
    rated = student("rated", f'adv = "{lesson.targets}"')
    # eight clips a batch, whichever view of them was drawn
    assert isinstance(rated["loss"], float) and rated["loss"] > 0.01
    assert rated["source"] == "what a teacher says of the recordings, which nobody rated"
    path = write_student(tmp_path, tones, own, folds="[0]", distil=f'adv = "{own}"')
    assert main(["distil", str(path), *lesson.places(tmp_path)]) == 2
    assert "says nothing of arousal, dominance and valence" in capsys.readouterr().err


def test_mixtures_are_heard_by_the_teacher_and_by_its_student(
    lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sounds").mkdir()
    write_wav(tmp_path / "sounds" / "hiss.wav", np.random.default_rng(0).normal(0, 0.1, 9000))
    mixing = f'p_mix = 1\nmix_with = ["{tmp_path / "sounds"}"]\n'
    recipe = write_teacher(tmp_path, lesson.corpora)
    recipe.write_text(recipe.read_text() + mixing)
    use_encoder(monkeypatch, Bands())
    assert main(["teach", str(recipe), "--encoder", "bands", *lesson.places(tmp_path)]) == 0
    student = write_student(tmp_path, lesson.corpora, tmp_path / "runs/teacher/fold{fold}", folds="[0]")
    plain = student.read_text()
    student.write_text(plain + mixing)
    assert main(["distil", str(student), *lesson.places(tmp_path)]) == 0
    told = json.loads((tmp_path / "results" / "student.json").read_text())["recipe"]["perturb"]
    assert told["p_mix"] == 1 and told["mix_with"] == [str(tmp_path / "sounds")]
    student.write_text(plain.replace("[data]", 'name = "other"\n[data]', 1))
    assert main(["distil", str(student), *lesson.places(tmp_path)]) == 2
    assert "lacks 40 of 80" in capsys.readouterr().err  # the teacher heard mixtures alone
    student.write_text(plain + f'p_mix = 1\nmix_with = ["{lesson.folder / "tones"}"]\n')
    assert main(["distil", str(student), *lesson.places(tmp_path)]) == 2
    assert "which the recipe learns from" in capsys.readouterr().err


KILLED = """
import os, signal, sys
from edge_ser.cli import main
from edge_ser.training import fit, objective, run

def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)

where, words = sys.argv[1], sys.argv[2:]
if where == "in a batch":  # the third one of the second epoch
    calls, forward = [], objective.Objective.forward
    objective.Objective.forward = lambda *args: calls.append(1) or (die() if len(calls) == 8 else forward(*args))
elif where == "in a state":  # written aside and not yet in its place
    replace = os.replace
    os.replace = lambda old, new: die() if str(new).endswith("last.pt") else replace(old, new)
else:
    run.save_checkpoint = die
main(words)
"""


@pytest.mark.parametrize(("where", "left"), [("in a batch", 1), ("in a state", 0), ("before the end", 2)])
def test_a_student_that_was_killed_ends_with_the_same_weights(
    lesson: Lesson, tmp_path: Path, where: str, left: int
) -> None:
    recipe = write_student(tmp_path, lesson.corpora, lesson.targets, folds="[0, 2]", distil="quadrant = 1.0")
    words = ["distil", str(recipe), *lesson.places(tmp_path), "--fold", "0"]
    command = [sys.executable, "-c", KILLED, where, *words]
    one_core = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=one_core)
    assert run.returncode == -signal.SIGKILL, run.stderr
    own = tmp_path / "runs" / "student" / "fold0-seed0"
    assert (own / "last.pt").exists() == (left > 0)
    assert len((own / "log.jsonl").read_text().splitlines()) == max(
        left, 1
    )  # the line comes before the state
    assert not own.with_suffix(".safetensors").exists()
    assert main(words) == 0
    mine, theirs = tmp_path / "runs" / "student", lesson.folder / "runs" / "student"
    weights = [read_safetensors(folder / "fold0-seed0.safetensors") for folder in (mine, theirs)]
    assert weights[0].keys() == weights[1].keys()
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
    log = [(folder / "fold0-seed0" / "log.jsonl").read_text() for folder in (mine, theirs)]
    assert log[0] == log[1]


def test_another_run_reads_no_sound_again(
    lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(lesson.folder / "runs" / "cache", tmp_path / "runs" / "cache")
    monkeypatch.setattr("edge_ser.training.views.load_audio", None)
    assert lesson.distil(tmp_path, "--fold", "2", folds="[0, 2]") == 0


def test_ratings_alone_can_be_taught_and_learnt(tmp_path: Path) -> None:
    table = write_tones(tmp_path, "rated", ("angry", "sad"), 24, rated=True)
    table.write_text(table.read_text().replace(",angry,", ",,").replace(",sad,", ",,"))
    places = ["--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    with pytest.MonkeyPatch.context() as patch:
        use_encoder(patch, Bands())
        assert main(["teach", str(write_teacher(tmp_path, [table])), "--encoder", "bands", *places]) == 0
    targets = tmp_path / "runs" / "teacher" / "fold{fold}"
    assert main(["distil", str(write_student(tmp_path, [table], targets, folds="[1]")), *places]) == 0
    result = json.loads((tmp_path / "results" / "student.json").read_text())
    assert "uar" not in result and result["adv"]["n"] == 8
    [first, _] = (tmp_path / "runs" / "student" / "fold1-seed0" / "log.jsonl").read_text().splitlines()
    record = json.loads(first)
    assert record["emotion_loss"] == record["soft_loss"] == 0 and record["hint_loss"] > 0
