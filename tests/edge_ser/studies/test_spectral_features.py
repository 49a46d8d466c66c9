"""Study S in miniature, on tones under RAVDESS's names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from edge_ser.audio import write_wav
from edge_ser.studies import StudyRun, write_study
from edge_ser.studies.recipes.spectral_features import STUDY

#: Official numbers: calm, happy, sad, angry, and neutral, which has no part.
PITCHES = {"02": 400, "03": 900, "04": 1700, "05": 3000, "01": 200}


def write_actors(folder: Path) -> Path:
    """Ten actors, two of each official fold, each emotion a tone of its own."""
    rng = np.random.default_rng(0)
    t = np.arange(9600) / 16000
    for actor in (2, 5, 3, 6, 10, 11, 8, 17, 1, 4):
        home = folder / "ravdess" / f"Actor_{actor:02d}"
        home.mkdir(parents=True)
        for emotion, hz in PITCHES.items():
            wave = 0.3 * np.sin(2 * np.pi * hz * rng.uniform(0.95, 1.05) * t) + 0.02 * rng.standard_normal(
                9600
            )
            write_wav(home / f"03-01-{emotion}-01-01-01-{actor:02d}.wav", wave)
    return folder


def test_all_of_it_runs_and_is_reported(tmp_path: Path) -> None:
    data = write_actors(tmp_path / "data")
    run = StudyRun("spectral-features", tmp_path / "out", scale="miniature", data=data)
    outcome = STUDY.run(run)
    page, figures = write_study(STUDY, run, outcome)
    lines = {line["key"]: line for line in figures["lines"]}
    assert {"svm-centroid", "svm-bandwidth", "svm-energy", "svm-all", "svm-all-grid"} <= set(lines)
    assert {"cnn-1-d-speed-shift-gain", "cnn-2-d-specaugment"} <= set(lines)
    # tones in five bands are told apart by where the energy is
    assert lines["svm-all"]["honest"]["value"] == 1.0
    assert lines["svm-all"]["honest"]["n"] == 8
    assert lines["svm-all"]["as_published"]["n"] == 8
    pictures = sorted((tmp_path / "out" / "pictures").glob("*/*.png"))
    assert len(pictures) == 40
    assert {path.parent.name for path in pictures} == {"angry", "calm", "happy", "sad"}
    assert any("feature alone" in text for text in figures["findings"])
    assert len(figures["tables"]["Grid"]) == 2
    text = page.read_text()
    assert text.count("<img") == 1 + 4 + 6
    again = StudyRun("spectral-features", tmp_path / "out", scale="miniature", data=data)
    assert STUDY.run(again).findings == outcome.findings
