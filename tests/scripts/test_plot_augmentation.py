"""scripts/plot_augmentation.py: a sound that has nothing where the picture looks."""

import sys

import numpy as np
import pytest

from edge_ser.audio import write_wav
from scripts import plot_augmentation


@pytest.mark.parametrize("seconds", [0.5, 5.0])
def test_what_cannot_be_drawn(tmp_path, monkeypatch, capsys, seconds) -> None:
    write_wav(tmp_path / "mine.wav", np.zeros(round(seconds * 16000), np.float32))
    monkeypatch.setattr(sys, "argv", ["", str(tmp_path / "mine.wav"), "--out", str(tmp_path / "out.png")])
    assert plot_augmentation.main() == 2
    assert f"{tmp_path / 'mine.wav'} has no sound from 0.9 to 2.3 s" in capsys.readouterr().err
