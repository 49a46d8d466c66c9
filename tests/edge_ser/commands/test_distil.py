"""``edge-ser distil``: the recipes that it takes, its words and its statuses; students are tested in training."""

from __future__ import annotations

import dataclasses
import re
import shutil
import tomllib
from pathlib import Path

import pytest

from edge_ser.cli import main

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'train')")

from edge_ser.corpora import load_corpus  # noqa: E402
from edge_ser.files import read_part  # noqa: E402
from edge_ser.perturb import Perturber  # noqa: E402
from edge_ser.teachers.label import label  # noqa: E402
from edge_ser.teachers.targets import TargetStore  # noqa: E402
from edge_ser.training.recipe import DistilPart, Recipe  # noqa: E402
from tests.edge_ser.teachers.small import Counting  # noqa: E402
from tests.edge_ser.training.tones import write_student, write_tones  # noqa: E402


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student of two folds, and what a teacher of two of its three classes says, for each fold."""
    folder = tmp_path_factory.mktemp("distil")
    corpus = write_tones(folder)
    path = write_student(folder, [corpus], folder / "said" / "fold{fold}", folds="[0, 1]", distil="hint = 1")
    teacher, perturber = Counting(), Perturber(Recipe.read(path).perturb)
    waves = [clip.path for clip in load_corpus(str(corpus)).clips]
    for fold in (0, 1):
        store = TargetStore(
            folder / "said" / f"fold{fold}", teacher.identity, teacher.labels, teacher.hint_size
        )
        label(teacher, waves, store, view=perturber.view, views=2)
    return path


def run(
    capsys: pytest.CaptureFixture[str], command: str, recipe: Path, folder: Path, *words: str
) -> tuple[int, str, str]:
    places = ["--runs", str(folder / "runs"), "--results", str(folder / "results")]
    status = main([command, str(recipe), *places, *words])
    out, err = capsys.readouterr()
    return status, out, re.sub(r".*\r", "", err)


def test_it_distils_and_says_where(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "distil", recipe, tmp_path, "--fold", "1")
    assert status == 0 and out == "" and not (tmp_path / "results").exists()
    assert err.endswith(f"checkpoints and curves: {tmp_path / 'runs' / 'student'}\n")
    status, out, err = run(capsys, "distil", recipe, tmp_path)
    assert status == 0 and out.startswith("stream72k (") and "UAR 0." in out
    assert err.endswith(f"figures: {tmp_path / 'results' / 'student.json'}\n")


def test_what_is_distilled_needs_its_teacher_no_more(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said, own = tmp_path / "said", tmp_path / "student.toml"
    shutil.copytree(recipe.parent / "said", said)
    own.write_text(recipe.read_text().replace(str(recipe.parent / "said"), str(said)))
    assert run(capsys, "distil", own, tmp_path, "--fold", "0")[0] == 0
    shutil.rmtree(said / "fold0")
    status, out, _ = run(capsys, "distil", own, tmp_path)  # fold 1, and the figures of both
    assert status == 0 and "UAR 0." in out
    (tmp_path / "runs" / "student" / "fold0-seed0.safetensors").unlink()
    status, _, err = run(capsys, "distil", own, tmp_path)
    assert status == 2 and "fold0 holds no teacher's targets" in err


def test_a_stop_is_gone_on_from(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_ser.progress import ProgressBar

    def stop(bar: ProgressBar, record: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ProgressBar, "epoch", stop)
        status, out, err = run(capsys, "distil", recipe, tmp_path, "--fold", "0")
    own = tmp_path / "runs" / "student"
    assert status == 130 and out == "" and f"goes on from the last epoch in {own}" in err
    assert len((own / "fold0-seed0" / "log.jsonl").read_text().splitlines()) == 1
    assert run(capsys, "distil", recipe, tmp_path, "--fold", "0")[0] == 0
    assert len((own / "fold0-seed0" / "log.jsonl").read_text().splitlines()) == 2


def test_each_command_takes_its_own_kind_of_recipe(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = tmp_path / "plain.toml"
    plain.write_text(recipe.read_text().split("[distil]")[0])
    for command, of, says in (
        ("distil", plain, f"{plain} has no teacher ([distil] targets = FOLDER): run edge-ser train"),
        ("train", recipe, f"{recipe} has a teacher ([distil]): run edge-ser distil"),
    ):
        assert run(capsys, command, of, tmp_path) == (2, "", f"edge-ser: {says}\n")
    assert not (tmp_path / "runs").exists()
    teachers = tmp_path / "teacher.toml"
    teachers.write_text(plain.read_text().split("[fit]")[0] + "[teach]\nviews = 2\n")
    status, _, err = run(capsys, "distil", teachers, tmp_path)
    assert status == 2 and "unknown fields teach" in err


@pytest.mark.parametrize(
    ("old", "new", "words", "says"),
    [
        ("said/fold{fold}", "said/other", [], "said/other holds no teacher's targets"),
        (
            "views = 2",
            "views = 3",
            [],
            "lacks 24 of 72 recordings and views: label them with edge-ser teach or",
        ),
        ("views = 2", "views = 0", [], "[distil] needs views of at least 1"),
        ("", "", ["--fold", "2"], "the recipe student has no fold 2 with seed 0"),
        ("", "", ["--seed", "0"], "--seed alone does not name one model of student: add --fold"),
        ("p_gain = 1", "p_gain = 3", [], "[perturb] p_gain must be a number from 0 to 1"),
    ],
)
def test_what_cannot_be_distilled_is_a_sentence(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, words: list[str], says: str
) -> None:  # fmt: skip
    wrong = tmp_path / "student.toml"
    wrong.write_text(recipe.read_text().replace(old, new) if old else recipe.read_text())
    status, out, err = run(capsys, "distil", wrong, tmp_path, *words)
    sentence = err.splitlines()[-1]
    assert status == 2 and out == "" and sentence.startswith("edge-ser: ") and says in sentence
    assert "Traceback" not in err


def test_a_teacher_that_is_not_there_is_told_before_any_work(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe.write_text(recipe.read_text().replace("said/fold{fold}", "said/other"))
    assert run(capsys, "distil", recipe, tmp_path)[0] == 2
    assert not (tmp_path / "runs" / "cache").exists()


def test_figures_that_could_not_be_written_are_told_before_any_work(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results").write_text("a file")
    status, _, err = run(capsys, "distil", recipe, tmp_path)
    assert status == 2 and f"{tmp_path / 'results'} is no folder" in err
    assert not (tmp_path / "runs").exists()


def test_the_tables_that_the_help_shows_are_those_of_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["distil", "--help"])
    text = capsys.readouterr().out
    [shown] = re.findall(r"^  \[distil\] +(.+)$", text, re.MULTILINE)
    fields = tomllib.loads("\n".join(re.split(r"  +", shown)))
    part = read_part(DistilPart, fields, Path("help"), "distil")
    assert dataclasses.asdict(part) | fields == dataclasses.asdict(part)
    teacher = tomllib.loads((Path(__file__).parents[3] / "recipes" / "teacher-ravdess.toml").read_text())
    assert part.targets == f"runs/{teacher['name']}/fold{{fold}}" and part.views == teacher["teach"]["views"]
