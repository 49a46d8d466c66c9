"""Corpora of a few made-up clips under their official names, so that studies run without recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_ser.audio import write_wav


def _clip(emotion: int, speaker: int, rng: np.random.Generator) -> np.ndarray:
    """A third of a second: the emotion is in the pitch, the speaker in a formant."""
    time = np.arange(5600) / 16000
    wave = np.sin(2 * np.pi * (120 + 60 * emotion) * time) + 0.5 * np.sin(
        2 * np.pi * (1500 + 40 * speaker) * time
    )
    return (0.2 * wave * np.hanning(len(time)) + rng.normal(0, 0.01, len(time))).astype(np.float32)


def write_ravdess(folder: Path) -> Path:
    """Twenty-four actors, eight emotions, one clip each; and one that cannot be read."""
    rng = np.random.default_rng(0)
    home = folder / "ravdess"
    home.mkdir(parents=True)
    for actor in range(1, 25):
        for emotion in range(1, 9):
            write_wav(home / f"03-01-{emotion:02d}-01-01-01-{actor:02d}.wav", _clip(emotion, actor, rng))
    return folder


def write_aesdd(folder: Path) -> Path:
    """Six speakers, five emotions, two clips each."""
    rng = np.random.default_rng(0)
    home = folder / "aesdd"
    home.mkdir(parents=True)
    for speaker in range(1, 7):
        for number, emotion in enumerate("adfhs"):
            for take in (1, 2):
                write_wav(home / f"{emotion}{take:02d} ({speaker}).wav", _clip(number, speaker, rng))
    return folder
