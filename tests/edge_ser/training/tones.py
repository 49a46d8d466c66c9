"""Corpora of tones, and an encoder that tells them apart: what teaching and distilling need, in miniature."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from edge_ser.audio import write_wav

PITCH = {"angry": 1500.0, "calm": 700.0, "sad": 200.0}
AROUSAL = {"angry": 0.8, "calm": 0.5, "sad": 0.2}

#: A network of the smallest kind.
SMALLEST = """[config]
stem = [2]
channels = 16
dilations = [1]
heads = 2
"""
#: Views that cost little and are not the clip itself.
PERTURB = """
[perturb]
p_speed = 0
p_tempo = 0
p_pitch = 0
p_formants = 0
p_room = 0
p_noise = 0
p_microphone = 0
p_tilt = 1
p_lowpass = 0
p_clip = 0
p_gain = 1
p_telephone = 0
p_codec = 0
p_loss = 0
"""


def write_tones(
    folder: Path,
    name: str = "tones",
    labels: Sequence[str] = ("angry", "calm", "sad"),
    clips: int = 36,
    folds: int | None = 3,
    *,
    rated: bool = False,
) -> Path:
    """A table of short tones of two speakers a fold; the pitch is the emotion's, ratings follow it."""
    (folder / name).mkdir(parents=True)
    rng = np.random.default_rng([len(labels), clips, rated])
    rows = ["file,speaker,emotion,arousal,dominance,valence,fold"]
    t = np.arange(9600) / 16000
    for i in range(clips):
        label = labels[i % len(labels)]
        speaker = i // len(labels) % (2 * (folds or 1))
        tone = 0.2 * np.sin(2 * np.pi * PITCH[label] * rng.uniform(0.8, 1.25) * t)
        tone = tone * np.sin(np.pi * t / 0.6) + rng.uniform(0.003, 0.02) * rng.standard_normal(len(t))
        write_wav(folder / name / f"{i}.wav", tone.astype(np.float32))
        level = round(AROUSAL[label] + rng.uniform(-0.15, 0.15), 3)
        ratings = f"{level},{level},{round(1 - level, 3)}" if rated else ",,"
        fold = "" if folds is None else speaker // 2
        rows.append(f"{name}/{i}.wav,{name}-{speaker},{label},{ratings},{fold}")
    table = folder / f"{name}.csv"
    table.write_text("\n".join(rows) + "\n")
    return table


class Bands:
    """As `edge_ser.teachers.encoders.Encoder`: spectra of frames, and a layer on them; it counts what it hears."""

    width, depth, states, frame_rate = 12, 1, 2, 50.0
    identity = "bands"

    def __init__(self, stop_after: int | None = None) -> None:
        self.heard = 0
        self.stop_after = stop_after
        weights = np.random.default_rng(0).normal(0, 0.5, (self.width, self.width))
        self.layer = torch.from_numpy(weights.astype(np.float32))

    def hidden(self, wave: np.ndarray) -> list[Tensor]:
        if self.heard == self.stop_after:
            raise KeyboardInterrupt
        self.heard += 1
        frames = wave[: len(wave) // 320 * 320].reshape(-1, 320) * np.hanning(320)
        power = np.abs(np.fft.rfft(frames))[:, :120].reshape(len(frames), self.width, 10) ** 2
        bands = torch.from_numpy(np.log(power.mean(2) + 1e-3).astype(np.float32))
        return [bands, torch.tanh(bands @ self.layer)]


def use_encoder(monkeypatch: pytest.MonkeyPatch, encoder: Any) -> Any:
    """Have every source of an encoder be this one."""
    for module in ("edge_ser.training.teach", "edge_ser.teachers.linear", "edge_ser.teachers.attentive"):
        monkeypatch.setattr(f"{module}.load_encoder", lambda source: encoder)
    return encoder


def write_teacher(folder: Path, corpora: Sequence[Path], more: str = "", name: str = "teacher") -> Path:
    """A recipe of a teacher with two views of each clip."""
    path = folder / f"{name}.toml"
    names = ", ".join(f'"{corpus}"' for corpus in corpora)
    path.write_text(
        f"[data]\ncorpora = [{names}]\n{more}\n[teach]\nviews = 2\n[head]\ncomponents = 12\nhint = 5\n{PERTURB}"
    )
    return path


def write_student(folder: Path, corpora: Sequence[Path], targets: Path | str, **fields: str) -> Path:
    """A recipe of a student with a network of the smallest kind."""
    path = folder / "student.toml"
    names = ", ".join(f'"{corpus}"' for corpus in corpora)
    folds, fit, distil = (fields.get(key, "") for key in ("folds", "fit", "distil"))
    path.write_text(
        f"[data]\ncorpora = [{names}]\nfolds = {folds or '[]'}\n"
        f"[fit]\nepochs = 2\nbatch = 8\ncrop_s = 0.5\n{fit}\n"
        f'{SMALLEST}[distil]\ntargets = "{targets}"\nviews = 2\n{distil}\n{PERTURB}'
    )
    return path
