"""The picture of docs/augmentation.md can be made."""

import subprocess
import sys
from pathlib import Path

import pytest

from edge_ser.audio import load_audio

ROOT = Path(__file__).resolve().parents[3]


def test_the_pictures_script_draws_and_writes_sound(tmp_path):
    for module in ("matplotlib", "scipy", "soxr", "soundfile"):
        pytest.importorskip(module)
    argv = ["scripts/plot_augmentation.py", "--out", str(tmp_path / "a.png"), "--wav", str(tmp_path / "wav")]
    run = subprocess.run([sys.executable, *argv], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.png").stat().st_size < 200_000
    sounds = sorted((tmp_path / "wav").iterdir())
    assert len(sounds) == 20
    assert all(load_audio(path).any() for path in sounds)


def test_a_missing_recording_is_one_sentence(tmp_path):
    run = subprocess.run(
        [sys.executable, "scripts/plot_augmentation.py", str(tmp_path / "none.wav")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert run.stderr.startswith("plot_augmentation: there is no file")
