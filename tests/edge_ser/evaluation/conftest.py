"""Checkpoints of folds, and the clips that they are scored on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_ser.audio import write_wav
from tests.support import CONFIG, SPEC

SMALL = CONFIG | {"labels": ["angry", "sad"], "stem": [4], "channels": 16, "heads": 2, "dilations": [1]}


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of sixteen clips, four speakers, two folds: some of noise and some of a rumble."""
    folder = tmp_path_factory.mktemp("folds")
    rng = np.random.default_rng(1)
    rows = ["file,speaker,emotion,arousal,dominance,valence,fold"]
    for i in range(16):
        wave = 0.1 * rng.standard_normal(12000).astype(np.float32)
        write_wav(folder / f"{i}.wav", np.cumsum(wave) * 0.05 if i % 2 else wave)
        rows.append(
            f"{i}.wav,s{i % 4},{SMALL['labels'][i // 2 % 2]},0.{i % 9},0.5,0.{9 - i % 9},{i % 4 // 2}"
        )
    path = folder / "folds.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of two folds, in half precision; random weights whose answers differ from clip to clip."""
    torch = pytest.importorskip("torch")
    from edge_ser.models import build_model
    from edge_ser.models.checkpoint import save_checkpoint

    folder = tmp_path_factory.mktemp("checkpoints")
    for seed in range(2):
        for fold in range(2):
            torch.manual_seed(10 * seed + fold)
            model = build_model("stream72k", SMALL).eval()
            with torch.no_grad():
                model.emotion.weight.mul_(30)
            training = {"held_out_fold": fold, "seed": seed, "recipe": {}, "adv_source": "raters of folds"}
            meta = {
                "architecture": "stream72k",
                "config": SMALL,
                "spec": SPEC.to_dict(),
                "training": training,
            }
            save_checkpoint(folder / f"fold{fold}-seed{seed}.safetensors", model, meta, half=True)
    return folder
