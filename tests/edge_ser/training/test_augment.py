"""Augmentation: what it changes and what it leaves alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_ser.dsp import MelSpec  # noqa: E402
from edge_ser.training.augment import Augment, spread, warp  # noqa: E402

SPEC = MelSpec(mean=-50.0, scale=20.0)
OFF = Augment(**{field.name: 0 for field in dataclasses.fields(Augment)})


def test_off_is_off() -> None:
    batch = torch.randn(3, 40, 64).clamp(min=-2.5)  # nothing lies below the floor
    assert torch.equal(warp(batch[0], OFF, np.random.default_rng(0)), batch[0])
    assert torch.equal(spread(batch, OFF, SPEC), batch)


def test_gain_is_one_level_for_a_clip_and_never_below_the_floor() -> None:
    torch.manual_seed(0)
    change = spread(torch.zeros(5, 30, 64), dataclasses.replace(OFF, gain_db=8.0), SPEC) * SPEC.scale
    assert torch.allclose(change, change[:, :1, :1].expand_as(change))
    assert change.abs().max() <= 16.01 and change[:, 0, 0].std() > 1
    floor = (-100.0 - SPEC.mean) / SPEC.scale
    quiet = spread(torch.full((50, 4, 64), floor), dataclasses.replace(OFF, gain_db=8.0), SPEC)
    assert quiet.min() == pytest.approx(floor)


def test_masks_blank_at_most_two_stretches() -> None:
    torch.manual_seed(0)
    how = dataclasses.replace(OFF, band_mask=8, frame_mask=24)
    blanked = spread(torch.ones(20, 100, 64), how, SPEC) == 0
    bands, frames = blanked.all(1).sum(1), blanked.all(2).sum(1)
    assert 0 < bands.max() <= 16 and 0 < frames.max() <= 48


def test_warp_changes_length_within_its_limits() -> None:
    rng = np.random.default_rng(0)
    lengths = [len(warp(torch.randn(200, 64), Augment(speed=0.2), rng)) for _ in range(50)]
    assert min(lengths) >= int(200 / 1.2) and max(lengths) <= 200 / 0.8 and len(set(lengths)) > 10


def test_a_band_shift_moves_a_ridge_by_so_many_bands() -> None:
    features = torch.zeros(50, 64)
    features[:, 30] = 1.0
    how = dataclasses.replace(OFF, bands_shift=3.0)
    rng = np.random.default_rng(1)
    places = [float((warp(features, how, rng)[10] * torch.arange(64)).sum()) for _ in range(20)]
    assert all(26.9 <= place <= 33.1 for place in places) and max(places) - min(places) > 2
