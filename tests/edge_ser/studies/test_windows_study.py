"""Study W in miniature, on clips in ESC-10's layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from edge_ser.audio import write_wav
from edge_ser.errors import EdgeSerError
from edge_ser.studies import StudyRun, write_study
from edge_ser.studies.recipes import windows
from edge_ser.studies.recipes.windows import STUDY


def write_sounds(folder: Path, name: str = "esc10") -> Path:
    """Three classes (tones of three pitches in noise) in five folds, two clips of each recording."""
    rng = np.random.default_rng(0)
    t = np.arange(8000) / 16000
    (folder / name / "audio").mkdir(parents=True)
    for number, hz in (("0", 400), ("1", 1500), ("10", 5000)):
        for fold in range(1, 6):
            for take in "AB":
                wave = 0.3 * np.sin(2 * np.pi * hz * rng.uniform(0.9, 1.1) * t) + 0.01 * rng.standard_normal(
                    8000
                )
                write_wav(folder / name / "audio" / f"{fold}-{number}{fold}-{take}-{number}.wav", wave)
    return folder


def test_all_of_it_runs_and_is_reported(tmp_path: Path) -> None:
    data = write_sounds(tmp_path / "data")
    (data / "esc10" / "audio" / "1-99-A-0.wav").write_bytes(b"no sound")
    run = StudyRun("windows", tmp_path / "out", scale="miniature", data=data)
    outcome = STUDY.run(run)
    page, figures = write_study(STUDY, run, outcome)
    lines = {line["key"]: line for line in figures["lines"]}
    assert set(lines) == {"hann-accuracy", "hamming-accuracy", "rectangular-accuracy"}
    assert lines["hann-accuracy"]["published"] == 0.9073
    assert lines["hann-accuracy"]["as_published"]["n"] == 6
    assert lines["hann-accuracy"]["honest"]["n"] == 6
    assert "esc10 (30 clips) instead of UrbanSound8K" in lines["hann-accuracy"]["note"]
    assert [Path(one["what"]).name for one in figures["left_out"]] == ["1-99-A-0.wav"]
    physics = {row["window"]: row for row in figures["tables"]["What the windows do"]}
    assert physics["rectangular"]["highest side lobe, dB"] == pytest.approx(-13.26, abs=0.02)
    assert any("% of the test clips have a sibling" in text for text in figures["findings"])
    assert "cut from one recording stand on both sides" in page.read_text()
    # everything is kept: once more computes nothing
    seconds = run.seconds
    again = StudyRun("windows", tmp_path / "out", scale="miniature", data=data)
    assert STUDY.run(again).findings == outcome.findings
    assert again.seconds == seconds


def test_the_published_collection_is_taken_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(EdgeSerError, match="github.com/karolpiczak/ESC-50"):
        STUDY.run(StudyRun("windows", tmp_path / "out", scale="miniature", data=tmp_path))
    write_sounds(tmp_path, "esc10")
    run = StudyRun("windows", tmp_path / "out", scale="miniature", data=tmp_path)
    assert windows._sounds(run).name == "esc10"
    write_sounds(tmp_path, "esc50")
    assert windows._sounds(run).name == "esc50"
