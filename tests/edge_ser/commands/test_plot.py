"""``edge-ser plot``: the panels asked for, and what cannot be drawn."""

from __future__ import annotations

import numpy as np
import pytest

from edge_ser.audio import write_wav
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


def test_panels_and_frames_can_be_chosen(tone, tmp_path):
    target = tmp_path / "tone.svg"
    words = ["--what", "windows, waveform", "--n-fft", "1024", "--hop", "256", "--window", "blackman"]
    assert main(["plot", str(tone), "--out", str(target), *words]) == 0
    text = target.read_text()
    for title in ("Hann", "Hamming", "Rectangular", "Waveform", "tone.wav", "seconds", "Hz"):
        assert f"<!-- {title} -->" in text
    assert "<!-- MFCC -->" not in text


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
