"""Study M in miniature, on speech that is none."""

from __future__ import annotations

import csv
import wave
from pathlib import Path

import numpy as np
import pytest

from edge_ser.audio import write_wav
from edge_ser.errors import EdgeSerError
from edge_ser.studies import StudyRun, find_study, write_study
from edge_ser.studies.recipes._mixtures_separation import sinusoid_units, speech_units
from edge_ser.studies.recipes._mixtures_words import word_units

pytest.importorskip("numba")
pytest.importorskip("soxr")


def write_corpora(folder: Path) -> Path:
    """RAVDESS and EmoDB of a few speakers: a tone for each sentence and speaker, louder for some emotions."""
    time = np.arange(16000) / 16000
    rng = np.random.default_rng(0)

    def sound(speaker: int, emotion: int, sentence: int) -> np.ndarray:
        tone = np.sin(2 * np.pi * (200 + 40 * speaker + 300 * sentence) * time)
        return 0.05 * (1 + emotion) * tone * np.hanning(len(time)) + rng.normal(0, 0.002, len(time))

    for actor in (1, 2, 3, 4, 10, 8):
        home = folder / "ravdess" / f"Actor_{actor:02d}"
        home.mkdir(parents=True)
        for emotion in (3, 5):
            for sentence in (1, 2):
                name = f"03-01-{emotion:02d}-01-{sentence:02d}-01-{actor:02d}.wav"
                write_wav(home / name, sound(actor, emotion - 3, sentence))
    home = folder / "emodb" / "wav"
    home.mkdir(parents=True)
    for speaker in ("03", "08", "10"):
        for code, emotion in (("W", 1), ("T", 0)):
            for number, sentence in enumerate(("a01", "b03")):
                write_wav(home / f"{speaker}{sentence}{code}a.wav", sound(int(speaker), emotion, number))
    (home / "03a02Wa.wav").write_bytes(b"RIFF no sound")
    return folder


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object], StudyRun]:
    folder = tmp_path_factory.mktemp("study")
    study = find_study("mixtures")
    run = StudyRun(study.name, folder / "out", scale="miniature", data=write_corpora(folder / "data"))
    run.folder.mkdir()
    page, figures = write_study(study, run, study.run(run))
    return page, figures, run


def test_all_of_it_runs(outcome: tuple[Path, dict[str, object], StudyRun]) -> None:
    page, figures, run = outcome
    keys = [line["key"] for line in figures["lines"]]  # type: ignore[attr-defined]
    assert keys[:4] == ["sinusoids-published", "sinusoids-order", "sinusoids-ours", "two-speakers"]
    assert {"emotion-0", "emotion-0.8", "letters-0.8", "letters-1"} <= set(keys)
    for line in figures["lines"]:  # type: ignore[attr-defined]
        assert line["honest"] is not None
        assert (line["as_published"] is not None) == (line["key"][-2:] not in ("-0", "-1"))
    assert any("03a02Wa" in one["what"] for one in figures["left_out"])  # type: ignore[attr-defined]
    assert len(figures["findings"]) >= 5  # type: ignore[arg-type]
    text = page.read_text()
    assert "Alignment" in text and "LEAKS" in text and text.count("data:image/svg+xml") > 10
    rows = list(csv.DictReader((run.folder / "sinusoids" / "seed0" / "info.csv").open()))
    assert len(rows) == 10
    [home] = (run.folder / "models").glob("sinusoids-ours-*")
    with wave.open(str(home / "estimate 1.wav")) as file:
        assert file.getframerate() == 8000
    assert (home / "weights.safetensors").stat().st_size > 40_000


def test_what_is_done_is_not_done_again(outcome: tuple[Path, dict[str, object], StudyRun]) -> None:
    _, _, run = outcome
    before = {path: path.stat().st_mtime_ns for path in (run.folder / "parts").iterdir()}
    spoken = [unit for some in word_units(run).values() for unit in some]
    units = [*sinusoid_units(run), *speech_units(run), *spoken]
    assert len(run.parts(units)) + 1 == len(before)  # and CTC's
    assert {path: path.stat().st_mtime_ns for path in (run.folder / "parts").iterdir()} == before


def test_a_missing_corpus_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    run = StudyRun("mixtures", tmp_path / "out", scale="miniature", data=tmp_path / "data")
    with pytest.raises(EdgeSerError, match="ravdess; get it from Zenodo"):
        find_study("mixtures").run(run)
