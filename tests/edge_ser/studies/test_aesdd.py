"""Study A in miniature: all of it runs, goes on, and says what came out."""

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from edge_ser.studies import StudyRun, find_study, write_study
from tests.edge_ser.studies.made import write_aesdd


def test_it_runs_in_miniature(tmp_path: Path) -> None:
    study = find_study("aesdd")
    data = write_aesdd(tmp_path / "data")
    broken = data / "aesdd" / "a01 (1).wav"
    broken.write_bytes(b"RIFF and no more")
    run = StudyRun(study.name, tmp_path / "out", scale="miniature", data=data)
    outcome = study.run(run)
    keys = [line.key for line in outcome.lines]
    assert keys == ["3-0.001", "4-0.0001", "3-0.001-enlarged"]
    for line in outcome.lines:
        assert line.as_published is not None and line.honest is not None and line.honest.ci95 is not None
        assert line.as_published.ci95 is None and "1 epochs" in line.note
    assert any("a01 (1)" in one.what for one in outcome.left_out)
    assert len(outcome.findings) >= 3
    page, figures = write_study(study, run, outcome)
    text = page.read_text()
    assert "LEAKS" in text and "histogram" in text and "loss" not in figures
    kept = sorted((tmp_path / "out" / "parts").iterdir())
    again = study.run(StudyRun(study.name, tmp_path / "out", scale="miniature", data=data))
    assert again.lines == outcome.lines and sorted((tmp_path / "out" / "parts").iterdir()) == kept
