"""``edge-ser plot``: the panels asked for, and what cannot be drawn."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from edge_ser.audio import load_audio, write_wav
from edge_ser.cli import main

pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'plot')")


@pytest.fixture
def tone(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_SER_FEATURES", "numpy")
    write_wav(tmp_path / "tone.wav", 0.3 * np.sin(2 * np.pi * 440 * np.arange(8000) / 16000))
    return tmp_path / "tone.wav"


def test_a_picture_is_drawn_and_named(tone, tmp_path, capsys):
    target = tmp_path / "tone.png"
    assert main(["plot", str(tone), "--out", str(target)]) == 0
    out, err = capsys.readouterr()
    assert out == "" and err == f"picture: {target}\n"
    assert target.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["x$y_z$.wav", "cost$\\foo$.wav", os.fsdecode(b"a\xff.wav")])
def test_a_name_is_drawn_as_it_stands(name, tone, tmp_path):
    try:
        source = tone.rename(tmp_path / name)
    except OSError:
        pytest.skip("this disk has no such names")
    target = tmp_path / "picture.svg"
    assert main(["plot", str(source), "--out", str(target), "--what", "waveform"]) == 0
    assert name.encode("utf-8", "backslashreplace").decode() in target.read_text()


def test_panels_and_frames_can_be_chosen(tone, tmp_path):
    target = tmp_path / "tone.svg"
    words = ["--what", "windows, waveform", "--n-fft", "1024", "--hop", "256", "--window", "blackman"]
    assert main(["plot", str(tone), "--out", str(target), *words]) == 0
    text = target.read_text()
    for title in ("Hann", "Hamming", "Rectangular", "Waveform", "tone.wav", "seconds", "Hz"):
        assert f"<!-- {title} -->" in text
    assert "<!-- MFCC -->" not in text


def test_what_is_drawn_is_the_sound_without_its_background(tone, tmp_path, monkeypatch):
    noisy = load_audio(tone) + np.random.default_rng(0).normal(0, 0.01, 8000).astype(np.float32)
    write_wav(tone, noisy)
    drawn = []
    monkeypatch.setattr(
        "edge_ser.evaluation.portrait.plot_recording", lambda out, wave, **how: drawn.append((wave, how))
    )
    words = ["--window", "blackman", "--n-fft", "256", "--hop", "100", "--what", "mel"]
    for more in ([], ["--denoise", "1"]):
        assert main(["plot", str(tone), "--out", str(tmp_path / "a.png"), *words, *more]) == 0
    (whole, how), (quiet, _) = drawn
    assert how == {
        "what": ["mel"],
        "n_fft": 256,
        "hop_length": 100,
        "window": "blackman",
        "title": "tone.wav",
    }
    np.testing.assert_array_equal(whole, load_audio(tone))
    assert np.sum(quiet**2) < 0.999 * np.sum(whole**2)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_characters_that_the_font_lacks_are_told_in_one_sentence(tone, tmp_path, capsys, suffix):
    target = tmp_path / f"tone.{suffix}"
    other = tone.rename(tmp_path / "ü 日本.wav")
    for _ in range(2):  # a second picture says so again
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert main(["plot", str(other), "--out", str(target), "--what", "waveform"]) == 0
        said, named = capsys.readouterr().err.splitlines()
        assert said == "edge-ser: the picture's font has no '日本'; boxes stand in their place"
        assert named == f"picture: {target}"


def test_a_home_that_cannot_be_written_is_no_word(tone, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "MPLCONFIGDIR"}
    environment |= {"HOME": "/proc", "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": ""}
    words = ["plot", str(tone), "--out", str(tmp_path / "tone.png"), "--what", "waveform"]
    run = subprocess.run(
        [sys.executable, "-m", "edge_ser", *words],
        capture_output=True,
        text=True,
        check=True,
        env=environment | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])},
    )
    assert (
        "mkdir" not in run.stderr and "MPLCONFIGDIR" not in run.stderr
    )  # fonts that take long are its to tell


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--out", "a.gif"], "a.gif is no kind of picture"),
        (["--out", "gone/a.png"], "there is no folder gone"),
        (
            ["--out", "a.png", "--what", "mel,sprctrum"],
            "no picture 'sprctrum'; there are waveform, spectrogram",
        ),
        (["--out", "a.png", "--what", ","], "say what to draw"),
        (["--out", "a.png", "--n-fft", "64"], "take at least 128"),
        (["--out", "a.png", "--n-fft", "8192"], "the recording lasts 0.500 s, and a frame 0.512 s"),
        (["--out", "a.png", "--hop", "0"], "hop_length must be"),
    ],
)
def test_bad_use_is_a_sentence_and_leaves_nothing(tone, tmp_path, monkeypatch, capsys, words, says):
    monkeypatch.chdir(tmp_path)
    assert main(["plot", str(tone), *words]) == 2
    assert says in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["tone.wav"]


def test_a_file_that_cannot_be_read(tmp_path, capsys):
    (tmp_path / "bad.wav").write_text("no sound")
    assert main(["plot", str(tmp_path / "bad.wav"), "--out", str(tmp_path / "a.png")]) == 2
    assert "is not a sound file" in capsys.readouterr().err
