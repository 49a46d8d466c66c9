"""Attentive teaching in miniature: who hears what, what is learnt, killed and resumed, and what labels with it."""

from __future__ import annotations

import json
import os
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

from edge_ser.audio import load_audio  # noqa: E402
from edge_ser.cli import main  # noqa: E402
from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.teachers.attentive import AttentiveTeacher  # noqa: E402
from edge_ser.teachers.targets import TargetStore, content_key  # noqa: E402
from edge_ser.training.attentive import AttentivePart  # noqa: E402
from edge_ser.training.data import pool_corpora  # noqa: E402
from edge_ser.training.teach import TeachRecipe  # noqa: E402
from tests.edge_ser.teachers.small import small_whisper  # noqa: E402
from tests.edge_ser.training.tones import PERTURB, write_student, write_tones  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
ATTENTIVE = "stride = 3\nattention = 4\nhint = 6\nrank = 2\nseeds = [0, 1]\nepochs = 3\nbatch = 6\n"


def write_recipe(
    folder: Path, corpora: list[Path], attentive: str = "adapted = 1\n", teach: str = "views = 2\n"
) -> Path:
    path = folder / "teacher.toml"
    names = ", ".join(f'"{corpus}"' for corpus in corpora)
    text = f"[data]\ncorpora = [{names}]\n[teach]\n{teach}[attentive]\n{ATTENTIVE}{attentive}{PERTURB}"
    path.write_text(text)
    return path


class Class:
    """A small Whisper, its corpora, and an attentive teacher with adapters that was trained without a stop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        small_whisper().save_pretrained(folder / "encoder")
        self.corpora = [
            write_tones(folder, clips=24),
            write_tones(folder, "rated", ("angry", "sad"), 12, rated=True),
            write_tones(folder, "loose", ("angry", "sad"), 2, folds=None),
        ]
        assert self.teach(folder, write_recipe(folder, self.corpora)) == 0
        self.clips = pool_corpora([str(corpus) for corpus in self.corpora])[0].clips

    def words(self, folder: Path, recipe: Path) -> list[str]:
        places = ["--runs", str(folder / "runs"), "--results", str(folder / "results")]
        return ["teach", str(recipe), "--encoder", str(self.folder / "encoder"), *places]

    def teach(self, folder: Path, recipe: Path) -> int:
        if folder != self.folder:  # what was heard is heard alike
            (folder / "runs").mkdir(exist_ok=True)
            if not (folder / "runs" / "cache").exists():
                (folder / "runs" / "cache").symlink_to(self.folder / "runs" / "cache")
        return main(self.words(folder, recipe))

    def store(self, folder: Path, name: str) -> TargetStore:
        return TargetStore.open(folder / "runs" / "teacher" / name)

    def key(self, clip: int) -> str:
        return content_key(load_audio(self.clips[clip].path))


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Class:
    torch.set_num_threads(1)
    return Class(tmp_path_factory.mktemp("attentive"))


def test_a_teacher_for_each_fold_and_what_students_of_it_may_hear(lesson: Class) -> None:
    runs = lesson.folder / "runs" / "teacher"
    members = {path.stem for path in (runs / "members").iterdir()}
    sets = ["without0", "without1", "without2", "without0-1", "without0-2", "without1-2", "of-all"]
    assert members == {f"{name}-seed{seed}" for name in sets for seed in (0, 1)}
    for fold in range(3):
        store = lesson.store(lesson.folder, f"fold{fold}")
        inside = {i for i, clip in enumerate(lesson.clips) if clip.fold not in (None, fold)}
        assert {i for i in range(len(lesson.clips)) if lesson.key(i) in store} == inside
        assert len(store) == 2 * len(inside)
    assert len(lesson.store(lesson.folder, "all")) == 2 * len(lesson.clips)
    result = json.loads((lesson.folder / "results" / "teacher.json").read_text())
    assert result["model"] == "attentive heads and adapters of 1 layers on encoder"
    assert [(one["fold"], one["n"]) for one in result["folds"]] == [(0, 16), (1, 10), (2, 10)]
    assert result["adv"]["n"] == 12 and "head" not in result["recipe"]
    teacher = AttentiveTeacher.load(runs / "fold1.safetensors", lesson.folder / "encoder")
    assert result["params"] == teacher.params and teacher.labels == ("angry", "calm", "sad")
    assert len(teacher.heads.members) == 2 and teacher.hint_size == 6


def test_a_checkpoint_says_in_label_what_the_store_of_everything_says_of_clips_that_teach_nothing(
    lesson: Class, tmp_path: Path
) -> None:
    checkpoint = lesson.folder / "runs" / "teacher" / "all.safetensors"
    words = ["label", str(lesson.corpora[2]), "--kind", "attentive", "--out", str(tmp_path / "targets")]
    words += ["--teacher", str(checkpoint), "--teacher", str(lesson.folder / "encoder")]
    assert main(words) == 0
    labelled, taught = TargetStore.open(tmp_path / "targets"), lesson.store(lesson.folder, "all")
    assert labelled.teacher_id == taught.teacher_id and len(labelled) == 2
    for i, clip in enumerate(lesson.clips):
        if clip.corpus == "loose":
            for found, expected in zip(labelled.get(lesson.key(i)), taught.get(lesson.key(i)), strict=True):
                np.testing.assert_allclose(found, expected, atol=0.02)


def test_a_student_learns_from_it(lesson: Class, tmp_path: Path) -> None:
    targets = lesson.folder / "runs" / "teacher" / "fold{fold}"
    recipe = write_student(tmp_path, lesson.corpora, targets, folds="[1]")
    words = ["distil", str(recipe), "--runs", str(tmp_path), "--results", str(tmp_path / "results")]
    assert main(words) == 0
    assert [one["n"] for one in json.loads((tmp_path / "results" / "student.json").read_text())["folds"]] == [
        10
    ]


def test_labels_of_the_test_fold_and_of_a_clips_own_reach_nothing_that_students_hear(
    lesson: Class, tmp_path: Path
) -> None:
    lines = lesson.corpora[0].read_text().splitlines()
    turned = {"angry": "sad", "sad": "calm", "calm": "angry"}
    for i, line in enumerate(lines[1:], 1):
        cells = line.split(",")
        cells[0] = str(lesson.folder / cells[0])
        cells[2] = turned[cells[2]] if cells[6] == "0" else cells[2]
        lines[i] = ",".join(cells)
    wrong = tmp_path / "tones.csv"
    wrong.write_text("\n".join(lines) + "\n")
    assert lesson.teach(tmp_path, write_recipe(tmp_path, [wrong, *lesson.corpora[1:]])) == 0

    def said(folder: Path, fold: int, clip: int) -> list[float]:
        return list(lesson.store(folder, f"fold{fold}").get(lesson.key(clip)).logits)

    one = {fold: next(i for i, clip in enumerate(lesson.clips) if clip.fold == fold) for fold in range(3)}
    assert said(tmp_path, 0, one[1]) == said(lesson.folder, 0, one[1])  # heard by nobody of fold 0
    assert said(tmp_path, 1, one[0]) == said(lesson.folder, 1, one[0])  # nor by who heard the clip
    assert said(tmp_path, 1, one[2]) != said(lesson.folder, 1, one[2])


def test_without_cross_fitting_the_teacher_of_a_fold_answers_alone(lesson: Class, tmp_path: Path) -> None:
    more = "adapted = 1\ncross_fit = false\n"
    assert lesson.teach(tmp_path, write_recipe(tmp_path, lesson.corpora, more)) == 0
    runs = tmp_path / "runs" / "teacher"
    assert len(list((runs / "members").iterdir())) == 2 * 4
    checkpoints = [folder / "runs" / "teacher" / "fold0.safetensors" for folder in (tmp_path, lesson.folder)]
    mine, theirs = (AttentiveTeacher.load(path, lesson.folder / "encoder") for path in checkpoints)
    for name, array in mine.heads.tensors().items():
        np.testing.assert_array_equal(array, theirs.heads.tensors()[name])
    clip = next(i for i, one in enumerate(lesson.clips) if one.fold == 1)
    own = mine.targets(load_audio(lesson.clips[clip].path))
    np.testing.assert_allclose(
        lesson.store(tmp_path, "fold0").get(lesson.key(clip)).logits, own.logits, atol=0.02
    )


def test_one_fold_alone_is_what_it_is_among_all(
    lesson: Class, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "cache").symlink_to(lesson.folder / "runs" / "cache")
    recipe = write_recipe(tmp_path, lesson.corpora)
    assert main([*lesson.words(tmp_path, recipe), "--fold", "1"]) == 0
    runs = tmp_path / "runs" / "teacher"
    assert {path.name for path in runs.iterdir()} == {"members", "fold1", "fold1.safetensors"}
    file = "runs/teacher/fold1.safetensors"
    assert (tmp_path / file).read_bytes() == (lesson.folder / file).read_bytes()
    mine = json.loads((tmp_path / "results" / "teacher-fold1.json").read_text())
    every = json.loads((lesson.folder / "results" / "teacher.json").read_text())
    assert mine["folds"] == [every["folds"][1]]
    assert main([*lesson.words(tmp_path, recipe), "--fold", "7"]) == 2
    assert "holds out no fold 7" in capsys.readouterr().err


def test_a_frozen_encoder_around_its_speakers_learns_tones(lesson: Class, tmp_path: Path) -> None:
    more = "epochs = 12\ncrop_s = 0.4\nbalance = 0.5\nlr = 0.02\ndropout = 0.0\n"
    recipe = write_recipe(
        tmp_path, lesson.corpora[:1], more.replace("epochs = 12\n", ""), 'centre = "speaker"\n'
    )
    recipe.write_text(recipe.read_text().replace("epochs = 3", "epochs = 12"))
    assert lesson.teach(tmp_path, recipe) == 0
    result = json.loads((tmp_path / "results" / "teacher.json").read_text())
    assert result["uar"]["mean"] > 0.7 and result["model"] == "attentive heads on encoder"
    assert "adv" not in result and "beside the speaker's other clips" in result["protocol"]
    assert lesson.store(tmp_path, "fold0").get(lesson.key(8)).adv is None  # nobody rated anything


KILLED = """
import os, signal, sys
from edge_ser.cli import main
from edge_ser.training import attentive, teach

def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)

where, words = sys.argv[1], sys.argv[2:]
calls = []
if where == "in a batch":
    step = attentive.AttentiveMaterial._step
    attentive.AttentiveMaterial._step = lambda *args: calls.append(1) or (die() if len(calls) == 10 else step(*args))
elif where == "in a state":
    write = attentive.write_state
    attentive.write_state = lambda *args: calls.append(1) or (die() if len(calls) == 5 else write(*args))
else:
    add = teach.TargetStore.add
    teach.TargetStore.add = lambda *args: calls.append(1) or (die() if len(calls) == 60 else add(*args))
main(words)
"""


@pytest.mark.parametrize("where", ["in a batch", "in a state", "while it answers"])
def test_a_teacher_that_was_killed_ends_as_one_that_was_not(
    lesson: Class, tmp_path: Path, where: str
) -> None:
    recipe = write_recipe(tmp_path, lesson.corpora)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "cache").symlink_to(lesson.folder / "runs" / "cache")
    command = [sys.executable, "-c", KILLED, where, *lesson.words(tmp_path, recipe)]
    one_core = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=one_core)
    assert run.returncode == -signal.SIGKILL, run.stderr
    left = list((tmp_path / "runs" / "teacher" / "members").iterdir())
    assert left and not (tmp_path / "results").exists()
    assert lesson.teach(tmp_path, recipe) == 0
    for name in ("fold0", "fold1", "fold2", "all"):
        file = f"runs/teacher/{name}.safetensors"
        assert (tmp_path / file).read_bytes() == (lesson.folder / file).read_bytes()
        mine, theirs = lesson.store(tmp_path, name), lesson.store(lesson.folder, name)
        assert len(mine) == len(theirs)
        for i, clip in enumerate(lesson.clips):
            if clip.fold is not None and name != f"fold{clip.fold}":
                for found, expected in zip(mine.get(lesson.key(i)), theirs.get(lesson.key(i)), strict=True):
                    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_members_of_another_recipe_are_not_taken(
    lesson: Class, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(lesson.folder / "runs" / "teacher" / "members", tmp_path / "runs" / "teacher" / "members")
    assert lesson.teach(tmp_path, write_recipe(tmp_path, lesson.corpora, "adapted = 1\nalpha = 3.0\n")) == 2
    assert "was written by another recipe" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"adapted": -1}, "adapted, hint"),
        ({"rank": 0}, "rank, stride"),
        ({"batch": 1}, "batch of at least 2"),
        ({"seeds": ()}, "seeds that differ"),
        ({"seeds": (1, 1)}, "seeds that differ"),
        ({"lr": 0.0}, "lr, adapter_lr"),
        ({"dropout": 1.0}, "dropout and label_smoothing"),
        ({"balance": 2.0}, "balance from 0 to 1"),
    ],
)
def test_values_out_of_range_are_named(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(EdgeSerError, match=says):
        AttentivePart(**fields)


def test_a_teacher_is_linear_or_attentive_and_not_both(tmp_path: Path) -> None:
    path = tmp_path / "both.toml"
    path.write_text('[data]\ncorpora = ["ravdess"]\n[head]\n[attentive]\n')
    with pytest.raises(EdgeSerError, match=r"has \[head\] and \[attentive\]"):
        TeachRecipe.read(path)
    path.write_text('[data]\ncorpora = ["ravdess"]\n[attentive]\nadapted = 2\n')
    assert TeachRecipe.read(path).to_dict()["attentive"]["adapted"] == 2
    path.write_text('[data]\ncorpora = ["ravdess"]\n')
    assert set(TeachRecipe.read(path).to_dict()) == {"name", "data", "teach", "head", "perturb"}


def test_the_recipe_that_is_shipped_can_be_read() -> None:
    recipe = TeachRecipe.read(ROOT / "recipes" / "teacher-ravdess-attentive.toml")
    assert recipe.attentive is not None and recipe.attentive.adapted > 0
