"""Evaluating a bundle: every clip is scored, or the result says why not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge_ser.audio import write_wav
from edge_ser.bundle import Bundle
from edge_ser.cli import main
from edge_ser.corpora import load_csv
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.evaluate import evaluate_bundle
from edge_ser.recognizer import Recognizer

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, numpy_bundle: Bundle) -> Path:
    """Six clips of noise of three speakers; one class that the bundle does not know, one clip too short."""
    folder = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(0)
    rows = ["file,speaker,emotion,arousal,dominance,valence"]
    labels = [*numpy_bundle.labels[:2], "homesick"] * 2
    for i, label in enumerate(labels):
        seconds = 0.1 if i == 4 else 1.0
        wave = 0.1 * rng.standard_normal(int(16000 * seconds)).astype(np.float32)
        write_wav(folder / f"{i}.wav", np.cumsum(wave) * 0.05 if i % 2 else wave)
        rows.append(f"{i}.wav,s{i % 3},{label},0.{i + 1},0.5,0.{9 - i}")
    path = folder / "noise.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_scores_are_those_of_the_recognizer_and_nothing_is_dropped_in_silence(
    table: Path, numpy_bundle: Bundle
) -> None:
    corpus = load_csv(table)
    result = evaluate_bundle(str(numpy_bundle.path), corpus, engine="numpy")
    assert [Path(entry["file"]).name for entry in result["excluded"]] == ["4.wav"]
    assert "shorter than one step" in result["excluded"][0]["reason"]
    assert result["not_scored"] == {"homesick": 2}
    assert result["folds"][0]["n"] == np.sum(result["confusion"]) == 3
    assert result["adv"]["n"] == 5  # ratings count whatever the class
    assert result["seen_in_training"] is False and result["params"] == numpy_bundle.parameters
    recognizer = Recognizer.load(numpy_bundle.path, engine="numpy")
    from edge_ser.audio import load_audio

    answer = recognizer.predict(load_audio(corpus.clips[0].path))
    known = result["labels"]
    best = max(known, key=lambda label: answer.emotion[label])
    assert result["confusion"][0][known.index(best)] >= 1


def test_the_command_says_it_to_people_and_programs(
    table: Path, numpy_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["evaluate", str(numpy_bundle.path), "--corpus", str(table), "--engine", "numpy"]
    out = tmp_path / "deep" / "noise.json"
    assert main([*call, "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "UAR" in printed.out and "homesick" in printed.out and "4.wav" in printed.err
    assert main([*call, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(out.read_text())


def test_a_corpus_with_no_known_class_and_no_rating(table: Path, numpy_bundle: Bundle) -> None:
    corpus = load_csv(table).restrict(["homesick"])
    stripped = corpus.keep(lambda clip: False)
    with pytest.raises(EdgeSerError, match="none of them"):
        evaluate_bundle(str(numpy_bundle.path), stripped, engine="numpy")


def test_bundle_and_checkpoints_together_are_refused(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "x", "--corpus", str(table), "--checkpoints", "y"]) == 2
    assert "not both" in capsys.readouterr().err
