"""``edge-ser predict``: one answer a file, in every form, and files that cannot be done."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from edge_ser.audio import load_audio, write_wav
from edge_ser.cli import main
from edge_ser.recognizer import Recognizer

KEYS = ["file", "label", "emotion", "arousal", "dominance", "valence", "confidence", "state"]


def wave(seconds: float, seed: int = 0, level: float = 0.2) -> np.ndarray:
    """Noise that swells and fades, as loud as speech."""
    t = np.arange(round(16000 * seconds)) / 16000
    noise = np.random.default_rng(seed).normal(0, 1, len(t))
    return (level * noise * (1 + np.sin(2 * np.pi * 3 * t)) / 2).astype(np.float32)


@pytest.fixture
def sounds(tmp_path):
    """Three files: one of 1.1 s, one of 2 s, one that is no sound."""
    write_wav(tmp_path / "a.wav", wave(1.1, 1))
    write_wav(tmp_path / "b.wav", wave(2.0, 2))
    (tmp_path / "bad.wav").write_text("no sound")
    return tmp_path


@pytest.fixture
def predict(numpy_bundle, capsys):
    """Runs the command; gives status, standard output and standard error."""

    def call(*words):
        status = main(["predict", *map(str, words), "--model", str(numpy_bundle.path), "--engine", "numpy"])
        out, err = capsys.readouterr()
        return status, out, err

    return call


def test_the_answer_is_the_recognizers_and_the_keys_are_the_documented_ones(sounds, predict, numpy_bundle):
    status, out, err = predict(sounds / "a.wav", sounds / "b.wav", "-o", "json")
    rows = json.loads(out)
    assert status == 0 and [list(row) for row in rows] == [KEYS, KEYS]
    recognizer = Recognizer.load(numpy_bundle.path, engine="numpy")
    for row, name in zip(rows, ("a.wav", "b.wav"), strict=True):
        expected = recognizer.predict(load_audio(sounds / name)).to_json()
        assert row == {"file": str(sounds / name), **{key: expected[key] for key in KEYS[1:]}}
        assert sum(row["emotion"].values()) == pytest.approx(1)
    assert err == "model: tiny, numpy fp32\n"


def test_every_form_says_the_same(sounds, predict):
    _, out, _ = predict(sounds / "a.wav", sounds / "b.wav", "-o", "json")
    rows = json.loads(out)
    _, out, _ = predict(sounds / "a.wav", sounds / "b.wav", "-o", "jsonl")
    assert [json.loads(line) for line in out.splitlines()] == rows
    _, out, _ = predict(sounds / "a.wav", sounds / "b.wav", "-o", "csv")
    for cells, row in zip(csv.DictReader(io.StringIO(out)), rows, strict=True):
        assert cells["label"] == row["label"] and float(cells["valence"]) == row["valence"]
        assert float(cells[f"emotion.{row['label']}"]) == row["confidence"]
    _, out, _ = predict(sounds / "a.wav", sounds / "b.wav")
    lines = out.splitlines()
    heads = [head.strip() for head in lines[0].strip("|").split("|")]
    assert heads == ["file", "emotion", "confidence", "arousal", "dominance", "valence", "state"]
    assert rows[0]["label"] in lines[2] and rows[1]["label"] in lines[3] and len(lines) == 4


def test_over_time_is_a_row_a_step_and_ends_with_the_answer(sounds, predict):
    _, out, _ = predict(sounds / "a.wav", sounds / "b.wav", "-o", "jsonl", "--over-time")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["end"] for row in rows] == [0.25, 0.5, 0.75, 1.0, *np.arange(1, 9) / 4]
    assert list(rows[0])[:3] == ["file", "start", "end"]
    _, out, _ = predict(sounds / "a.wav", "-o", "json")
    (answer,) = json.loads(out)
    assert {key: rows[3][key] for key in KEYS} == answer
    _, out, _ = predict(sounds / "a.wav", "--over-time")
    assert "start s" in out and len(out.splitlines()) == 6


def test_a_bad_file_is_reported_and_the_others_are_done(sounds, predict):
    write_wav(sounds / "short.wav", wave(0.2))
    status, out, err = predict(
        sounds / "a.wav",
        sounds / "bad.wav",
        sounds / "gone.wav",
        sounds / "short.wav",
        sounds / "b.wav",
        "-o",
        "jsonl",
    )
    assert status == 2
    assert [json.loads(line)["file"] for line in out.splitlines()] == [
        str(sounds / "a.wav"),
        str(sounds / "b.wav"),
    ]
    reports = [line for line in err.splitlines() if line.startswith("edge-ser: ")]
    assert len(reports) == 3
    for report, name in zip(reports, ("bad", "gone", "short"), strict=True):
        assert f"{name}.wav" in report
    assert "lasts 0.200 s; the model needs 0.25 s" in reports[2]
    assert "Traceback" not in err


def test_one_bad_file_alone(sounds, predict):
    status, out, err = predict(sounds / "bad.wav")
    assert (status, out) == (2, "") and err.splitlines()[-1].startswith("edge-ser: ")
    status, out, _ = predict(sounds / "bad.wav", sounds / "gone.wav", "-o", "md")
    assert (status, out) == (2, "")


def test_a_pause_at_the_end_does_not_silence_the_file_but_silence_does(tmp_path, predict):
    write_wav(tmp_path / "pause.wav", np.concatenate([wave(2), np.zeros(32000, np.float32)]))
    write_wav(tmp_path / "quiet.wav", np.zeros(32000, np.float32))
    _, out, _ = predict(tmp_path / "pause.wav", tmp_path / "quiet.wav", "-o", "json")
    assert [row["state"] for row in json.loads(out)] == ["speech", "silence"]
    _, out, _ = predict(tmp_path / "pause.wav", "-o", "jsonl", "--over-time")
    assert json.loads(out.splitlines()[-1])["state"] == "silence"


def test_pictures(sounds, predict):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'plot')")
    status, _, err = predict(sounds / "a.wav", "--plot", sounds / "a.png")
    assert status == 0 and f"picture: {sounds / 'a.png'}" in err
    assert (sounds / "a.png").read_bytes().startswith(b"\x89PNG")
    (sounds / "other").mkdir()
    (sounds / "pictures").mkdir()
    write_wav(sounds / "other" / "a.wav", wave(0.5))
    status, out, _ = predict(
        sounds / "a.wav",
        sounds / "other" / "a.wav",
        sounds / "bad.wav",
        "--plot",
        sounds / "pictures",
        "-o",
        "jsonl",
    )
    assert status == 2 and len(out.splitlines()) == 2
    assert sorted(p.name for p in (sounds / "pictures").iterdir()) == ["a-2.png", "a.png"]


def test_pictures_that_cannot_work_are_refused_before_anything_is_heard(sounds, predict):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'plot')")
    for words, sentence in (
        (
            (sounds / "a.wav", sounds / "b.wav", "--plot", sounds / "x.png"),
            "takes a folder that is there for 2 files",
        ),
        ((sounds / "a.wav", "--plot", sounds / "gone" / "x.png"), "there is no folder"),
        ((sounds / "a.wav", "--plot", sounds / "x.gif"), "name a .png, .svg, .pdf file"),
    ):
        status, out, err = predict(*words, "-o", "jsonl")
        assert status == 2 and sentence in err and out == "" and "model:" not in err
        assert not list(sounds.glob("x.*"))


def test_a_name_that_reads_as_a_formula_is_drawn_as_it_stands(sounds, predict):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'plot')")
    source = (sounds / "a.wav").rename(sounds / "cost$\\foo$.wav")
    assert predict(source, "--plot", sounds / "x.svg")[0] == 0
    assert source.name in (sounds / "x.svg").read_text()


def test_a_file_that_the_system_refuses_leaves_the_others_their_answers(sounds, predict):
    status, out, err = predict(sounds / "a.wav", sounds / f"{'x' * 300}.wav", sounds / "b.wav", "-o", "json")
    assert status == 2 and "cannot read" in err
    assert [row["file"] for row in json.loads(out)] == [str(sounds / "a.wav"), str(sounds / "b.wav")]


def test_unknown_model_engine_precision(sounds, numpy_bundle, capsys):
    model = ("--model", str(numpy_bundle.path))
    for words in (("--model", "gone"), (*model, "--precision", "fp8"), (*model, "--engine", "onnx")):
        assert main(["predict", str(sounds / "a.wav"), *words]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("edge-ser: ")


def test_a_precision_that_no_package_brings_is_answered_by_those_that_are_there(sounds, numpy_bundle, capsys):
    assert (
        main(["predict", str(sounds / "a.wav"), "--model", str(numpy_bundle.path), "--precision", "int9"])
        == 2
    )
    err = capsys.readouterr().err
    assert f"{numpy_bundle.name} has no int9 file; it has numpy fp32" in err and "pip install" not in err


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit) as done:
        main(["predict", "--help"])
    assert done.value.code == 0
    assert "edge-ser predict speech.wav --over-time -o jsonl" in capsys.readouterr().out
