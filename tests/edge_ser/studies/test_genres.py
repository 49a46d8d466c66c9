"""Study G in miniature, on its own clips and on a user's folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from edge_ser.audio import write_wav
from edge_ser.dsp.reading import Reading
from edge_ser.errors import EdgeSerError
from edge_ser.studies import StudyRun, find_study, write_study
from edge_ser.studies.recipes.genres import EXPECTATIONS, STUDY


def test_expectations_are_borne_out_by_the_style_they_are_of(tmp_path: Path) -> None:
    run = StudyRun("genres", tmp_path, scale="miniature")
    outcome = find_study("genres").run(run)
    page, figures = write_study(STUDY, run, outcome)
    lines = {line["key"]: line for line in figures["lines"]}
    assert set(lines) == {"rock", "classical", "jazz", "hip-hop", "told-apart"}
    for genre in ("rock", "classical", "jazz", "hip-hop"):
        assert lines[genre]["honest"]["value"] == lines[genre]["as_published"]["value"] == 1.0
    assert all(row["of other genres' clips"] < 0.5 for row in figures["tables"]["What was expected"])
    assert any("made to have the properties" in text for text in figures["findings"])
    text = page.read_text()
    assert "leaks" not in text
    assert text.count("<img") == 2


def test_a_users_folder_is_read_and_a_damaged_clip_is_listed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for genre in ("rock", "noise"):
        (tmp_path / "mine" / genre).mkdir(parents=True)
        for k in range(2):
            write_wav(tmp_path / "mine" / genre / f"{k}.wav", 0.1 * rng.standard_normal(64000))
    (tmp_path / "mine" / "rock" / "broken.wav").write_bytes(b"no sound")
    write_wav(tmp_path / "mine" / "noise" / "short.wav", np.zeros(1000))
    run = StudyRun(
        "genres", tmp_path / "out", scale="miniature", protocols=("honest",), data=tmp_path / "mine"
    )
    outcome = STUDY.run(run)
    assert [line.key for line in outcome.lines] == ["rock", "told-apart"]
    assert outcome.lines[0].as_published is None
    assert {Path(one.what).name for one in outcome.left_out} == {"broken.wav", "short.wav"}
    # noise is dense, so the expectation of rock says little here, and the findings say so
    assert "by 100% of the other genres' clips too" in outcome.findings[0]
    with pytest.raises(EdgeSerError, match="one class only"):
        (tmp_path / "one" / "rock").mkdir(parents=True)
        write_wav(tmp_path / "one" / "rock" / "a.wav", np.zeros(64000))
        STUDY.run(StudyRun("genres", tmp_path / "out2", scale="miniature", data=tmp_path / "one"))


def test_no_expectation_is_met_by_silence_and_noise_alike() -> None:
    flat = Reading((0.125,) * 8, (0.0,) * 8, (0.0,) * 8, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert not any(one.holds(flat) for one in EXPECTATIONS)
