"""What a network sees before its first step."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from torch import Tensor

from edge_ser.models.stream72k import Stream72k
from edge_ser.training.recipe import Recipe
from edge_ser.training.run import Run, run_recipe
from tests.edge_ser.training.test_run import corpus, write_recipe

__all__ = ["corpus"]  # the fixture


def test_fresh_weights_see_a_batch_of_crops_and_those_of_a_start_none(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def settle(self: Stream72k, features: Tensor, frames: Tensor) -> None:
        seen.append(features.shape[1])

    monkeypatch.setattr(Stream72k, "settle", settle)
    path = write_recipe(tmp_path, corpus)
    fresh = Recipe.read(path)
    run_recipe(fresh, tmp_path / "runs", tmp_path / "results", only=[Run(0, 1)])
    assert seen == [round(fresh.fit.crop_s * fresh.spec.frame_rate)]
    start = tmp_path / "runs" / fresh.name / "fold1-seed0.safetensors"
    second = Recipe.read(path, ["name=second", f"fit.start={start}"])
    run_recipe(second, tmp_path / "runs", tmp_path / "results", only=[Run(0, 1)])
    assert len(seen) == 1
