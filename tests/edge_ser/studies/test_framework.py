"""A study is found, run in parts, stopped, resumed and reported; whatever is wrong is said."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from edge_ser.audio import write_wav
from edge_ser.cli import main
from edge_ser.corpora.roots import data_root
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.class_answers import Figure
from edge_ser.studies import Line, Outcome, Study, StudyRun, Unit, find_study, registry, studies, write_study
from tests.edge_ser.studies.miniature import write_package, write_sounds


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the miniature study and its sounds are."""
    name = write_package(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "HOUSES", [*registry.HOUSES, name])
    yield tmp_path
    for module in [m for m in sys.modules if m.split(".")[0] == name]:
        del sys.modules[module]


def command(house: Path, *more: str) -> int:
    return main(["study", "sounds", "--data", str(house / "corpora"), "--out", str(house / "out"), *more])


def test_every_study_is_found_and_can_be_listed(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "sounds" in [study.name for study in studies()]
    assert main(["study", "--list", "-o", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)["studies"]
    assert {"study", "letter", "title", "needs", "options", "lines", "about"} == set(listed[-1])
    assert listed[-1]["lines"] == ["nearest-2"]
    with pytest.raises(EdgeSerError, match="did you mean sounds"):
        find_study("sound")
    here = house / "miniature_studies"
    (here / "again.py").write_text((here / "sounds.py").read_text())
    with pytest.raises(ValueError, match="two studies are called sounds"):
        studies()


def test_both_protocols_side_by_side(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sounds(house)
    (house / "out" / "work" / "begun").mkdir(parents=True)  # of an earlier run that was stopped
    assert command(house, "-o", "json", "--seeds", "2", "--record", str(house / "results" / "x.json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert json.loads((house / "out" / "study.json").read_text()) == told
    assert json.loads((house / "results" / "x.json").read_text()) == told
    assert told["seeds"] == [0, 1]
    lines = {line["key"]: line for line in told["lines"]}
    one = lines["nearest-2"]
    assert one["honest"]["value"] == one["as_published"]["value"] == 1.0 and one["gap"] == 0
    assert one["honest"]["n"] == 36 and one["honest"]["ci95"] == [1.0, 1.0]
    assert one["as_published"]["ci95"] is None  # an interval over speakers means nothing where they leak
    assert one["honest"]["spread"] == 0 and one["reached"] is None
    assert lines["nearest-1"]["reached"] is True
    page = (house / "out" / "report.html").read_text()
    assert "leaks" in page and "<svg" not in page and "data:image/svg+xml;base64," in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert not (house / "out" / "work").exists()


def test_one_protocol_alone_and_the_table(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sounds(house)
    assert command(house, "--protocol", "honest", "--quick") == 0
    out = capsys.readouterr().out
    assert "nearest mean of 2" in out and "Two figures of level" in out
    told = json.loads((house / "out" / "study.json").read_text())
    assert list(told["protocols"]) == ["honest"] and told["lines"][0]["as_published"] is None
    assert "quick run" in (house / "out" / "report.html").read_text()


def test_a_line_in_full_within_a_quick_run(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sounds(house)
    assert command(house, "--quick", "--protocol", "honest") == 0
    quick = set((house / "out" / "parts").iterdir())
    assert not any(
        line["scale"] == "full" for line in json.loads((house / "out" / "study.json").read_text())["lines"]
    )
    assert "in full" not in (house / "out" / "report.html").read_text()
    assert command(house, "--quick", "--protocol", "honest", "--full", "nearest-2") == 0
    told = json.loads((house / "out" / "study.json").read_text())
    assert {line["key"]: line["scale"] for line in told["lines"]} == {
        "nearest-1": "quick",
        "nearest-2": "full",
    }
    assert {line["key"]: line["note"] for line in told["lines"]} == {
        "nearest-1": "as quick",
        "nearest-2": "as full",
    }
    assert len(set((house / "out" / "parts").iterdir()) - quick) == 1  # what is quick is not done again
    page = (house / "out" / "report.html").read_text()
    assert "<th>recipe</th>" in page and "in full" in page and "<th>gap</th>" not in page
    capsys.readouterr()
    assert command(house, "--quick", "--full", "nearest-1") == 2
    assert "--full takes lines of this study (nearest-2), not 'nearest-1'" in capsys.readouterr().err


@pytest.mark.parametrize("scale", [[], ["--miniature"]])
def test_lines_in_full_are_of_a_quick_run_alone(
    house: Path, capsys: pytest.CaptureFixture[str], scale: list[str]
) -> None:
    write_sounds(house)
    assert command(house, *scale, "--full", "nearest-2") == 2
    assert "--full nearest-2 names lines of a quick run; give --quick" in capsys.readouterr().err
    assert not (house / "out").exists()


def test_a_stopped_study_goes_on(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sounds(house)
    assert command(house, "--protocol", "honest") == 0
    done = {path: path.stat().st_mtime_ns for path in (house / "out" / "parts").iterdir()}
    (house / "corpora" / "stop").touch()
    assert command(house) == 130  # what is missing is begun, and stopped
    (house / "corpora" / "stop").unlink()
    assert command(house) == 0
    assert all(path.stat().st_mtime_ns == time for path, time in done.items())  # not done again
    assert len(list((house / "out" / "parts").iterdir())) == 2 * len(done)


def test_two_processes_give_the_same(house: Path) -> None:
    write_sounds(house)
    assert command(house, "--jobs", "2") == 0
    both = json.loads((house / "out" / "study.json").read_text())
    for path in (house / "out" / "parts").iterdir():
        path.unlink()
    assert command(house) == 0
    assert json.loads((house / "out" / "study.json").read_text())["lines"] == both["lines"]


def test_an_unreadable_clip_is_listed(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = write_sounds(house)
    (home / "fsdd" / "recordings" / "0_a_0.wav").write_bytes(b"RIFF, but no more")
    assert command(house) == 0
    assert "1 clips left out" in capsys.readouterr().err
    [left] = json.loads((house / "out" / "study.json").read_text())["left_out"]
    assert left["what"].endswith("0_a_0.wav") and left["reason"]
    assert "0_a_0.wav" in (house / "out" / "report.html").read_text()


def test_one_class_only_is_refused(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sounds(house, classes=(1,))
    assert command(house) == 2
    assert "one class only (1)" in capsys.readouterr().err


def test_a_missing_corpus_says_where_to_get_it(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (house / "corpora").mkdir()
    assert command(house) == 2
    said = capsys.readouterr().err
    assert "github.com/Jakobovski" in said and "fsdd/recordings/0_george_0.wav" in said


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["study"], "--list"),
        (["study", "nosuch", "--out", "x"], "there is no study"),
        (["study", "nosuch"], "there is no study"),
        (["study", "sounds"], "--out DIR is needed"),
        (["study", "sounds", "--out", "x", "--seeds", "0"], "at least one"),
        (["study", "sounds", "--out", "x", "--data", "nowhere"], "no folder"),
        (["study", "sounds", "--out", "x", "--jobs", "0"], "one job"),
        (["study", "sounds", "--out", "x", "--record", "."], ". is a folder"),
        (["study", "sounds", "--out", "/dev/null/x"], "/dev/null is no folder"),
        (["study", "sounds", "--out", "x", "--set", "colour=red"], "of this study (none)"),
    ],
)
def test_bad_use(
    house: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argv, said
) -> None:
    monkeypatch.chdir(house)
    monkeypatch.setattr(StudyRun, "parts", lambda *_: pytest.fail("work before what hinders it is told"))
    assert main(argv) == 2
    assert said in capsys.readouterr().err


def _once(run: StudyRun, *, value: float) -> dict[str, float]:
    return {"value": value}


def _object(run: StudyRun) -> dict[str, object]:
    return {"value": {1, 2}}


def _nan(run: StudyRun) -> dict[str, float]:
    return {"value": float("nan")}


def test_parts_are_told_apart_by_their_settings(tmp_path: Path) -> None:
    run = StudyRun("x", tmp_path)
    units = [Unit("same", _once, {"value": value}) for value in (1.0, 2.0)]
    assert run.cost_of(units[0]) is None
    assert [part["value"] for part in run.parts(units)] == [1.0, 2.0]
    spent = run.cost_of(units[0])
    assert spent is not None and 0 <= spent < 5
    with pytest.raises(EdgeSerError, match="are the same"):
        run.parts([units[0], units[0]])
    with pytest.raises(EdgeSerError, match="cannot be kept"):
        run.part("object", _object)
    with pytest.raises(EdgeSerError, match="cannot be kept"):
        run.part("nan", _nan)


def _where(run: StudyRun) -> dict[str, str]:
    return {"data": str(run.data or data_root())}


def test_parts_of_other_data_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv("EDGE_SER_DATA", str(tmp_path / name))
        assert StudyRun("x", tmp_path / "out").part("part", _where)["data"] == str(tmp_path / name)
    monkeypatch.delenv("EDGE_SER_DATA")
    StudyRun("x", tmp_path / "out", data=tmp_path / "one").part("part", _where)
    assert len(list((tmp_path / "out" / "parts").iterdir())) == 2  # --data names what the variable named


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    run = StudyRun("x", tmp_path)
    run.part("one", _once, value=1.0)
    [place] = (tmp_path / "parts").iterdir()
    place.write_bytes(place.read_bytes()[:50])
    with pytest.raises(EdgeSerError, match="damaged"):
        run.part("one", _once, value=1.0)


def test_what_a_run_and_an_outcome_refuse(tmp_path: Path) -> None:
    for bad in ({"scale": "huge"}, {"protocols": ("random",)}, {"protocols": ()}, {"seeds": ()}):
        with pytest.raises(EdgeSerError):
            StudyRun("x", tmp_path, **bad)
    line = Line("a", "A", honest=Figure(0.5))
    for lines in ([], [line, line], [Line("a", "A", honest=Figure(float("nan")))]):
        with pytest.raises(EdgeSerError):
            Outcome(lines, [])
    with pytest.raises(EdgeSerError, match="unknown protocol"):
        Outcome([line], [], protocols={"other": ""})


def test_the_gap_is_what_the_leak_was_worth() -> None:
    assert Line("a", "A", None, Figure(0.8), Figure(0.55)).gap == pytest.approx(0.25)


def test_lines_are_alike_at_one_scale_alone(tmp_path: Path) -> None:
    run = StudyRun("x", tmp_path, scale="quick", full=("a",))
    assert run.alike("a") and run.alike("b", "c") and not run.alike("a", "b")


def test_parts_of_another_version_are_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = StudyRun("x", tmp_path)
    run.part("one", _once, value=1.0)
    monkeypatch.setattr("edge_ser.studies.run.__version__", "0.0.other")
    assert run.cost_of(Unit("one", _once, {"value": 1.0})) is None


def test_one_folder_of_data_has_one_set_of_parts_however_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = Unit("one", _once, {"value": 1.0})
    StudyRun("x", tmp_path, data=tmp_path / "corpora").parts([unit])
    monkeypatch.chdir(tmp_path)
    assert StudyRun("x", tmp_path, data=Path("corpora")).cost_of(unit) is not None
    assert StudyRun("x", tmp_path, data=Path("others")).cost_of(unit) is None


@pytest.mark.parametrize(
    ("seconds", "said"), [(119, "119 s"), (120, "2 minutes"), (7199, "120 minutes"), (7200, "2.0 hours")]
)
def test_a_page_tells_time_as_people_do(tmp_path: Path, seconds: int, said: str) -> None:
    study = Study("x", "X", "X", "", (), lambda run: outcome)
    outcome = Outcome([Line("a", "A", as_published=Figure(0.5))], [], leak="")
    run = StudyRun("x", tmp_path)
    run._seconds["a"] = seconds
    page, _ = write_study(study, run, outcome)
    assert f"; {said} of computing, 0 s of" in page.read_text()
    assert "<p class=warn>" not in page.read_text()  # of no split, so nothing leaks


def test_reached_allows_the_tolerance_and_no_more() -> None:
    assert Line("a", "A", 0.75, Figure(0.7201)).reached is True
    assert Line("a", "A", 0.75, Figure(0.7199)).reached is False
    assert Line("a", "A", 0.75).reached is None and Line("a", "A", None, Figure(0.5)).reached is None


def _burn(run: StudyRun) -> dict[str, int]:
    end = time.process_time() + 0.08
    while time.process_time() < end:
        pass
    return {"done": 1}


def _burnt(wave: np.ndarray) -> np.ndarray:
    end = time.process_time() + 0.04
    while time.process_time() < end:
        pass
    return wave[:1]


def test_the_time_of_a_core_is_counted_once_and_told_again(tmp_path: Path) -> None:
    files = [tmp_path / f"{k}.wav" for k in range(3)]
    for k, file in enumerate(files):
        write_wav(file, np.full(1600, 0.1 * k, np.float32), 16000)

    def told() -> float:
        run = StudyRun("any", tmp_path / "out", scale="quick", quiet=True)
        run.features(files, _burnt, {"what": "burnt"})
        run.part("burn", _burn)
        return run.cpu_seconds

    first = told()
    assert first >= 0.08 + 3 * 0.04 - 0.04  # a clock of hundredths counts each of the two
    assert told() == first
