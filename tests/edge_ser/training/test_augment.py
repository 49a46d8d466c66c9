"""Augmentation: what it changes and what it leaves alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_ser.dsp import MelSpec  # noqa: E402
from edge_ser.dsp.filters import mel_frequencies  # noqa: E402
from edge_ser.training.augment import Augment, end_early, restyle, spread, warp  # noqa: E402

SPEC = MelSpec(mean=-50.0, scale=20.0)
OFF = Augment(**{field.name: 0 for field in dataclasses.fields(Augment)})


def test_off_is_off() -> None:
    batch = torch.randn(3, 40, 64).clamp(min=-2.5)  # nothing lies below the floor
    assert torch.equal(warp(batch[0], OFF, np.random.default_rng(0)), batch[0])
    assert torch.equal(spread(batch, OFF, SPEC), batch)
    assert restyle(batch, torch.full((3,), 40), OFF) is batch
    assert end_early(batch[0], OFF, np.random.default_rng(0)).shape == (40, 64)


def test_gain_is_one_level_for_a_clip_and_never_below_the_floor() -> None:
    torch.manual_seed(0)
    change = spread(torch.zeros(5, 30, 64), dataclasses.replace(OFF, gain_db=8.0), SPEC) * SPEC.scale
    assert torch.allclose(change, change[:, :1, :1].expand_as(change))
    assert change.abs().max() <= 16.01 and change[:, 0, 0].std() > 1
    floor = (-100.0 - SPEC.mean) / SPEC.scale
    quiet = spread(torch.full((50, 4, 64), floor), dataclasses.replace(OFF, gain_db=8.0), SPEC)
    assert quiet.min() == pytest.approx(floor)


def test_a_narrow_line_lowers_what_is_outside_of_it() -> None:
    torch.manual_seed(0)
    centres = mel_frequencies(SPEC)[1:-1]
    change = spread(torch.full((400, 3, 64), 2.0), dataclasses.replace(OFF, narrow=0.5), SPEC) - 2.0
    lowered = change < 0
    assert torch.equal(change, change[:, :1].expand_as(change))  # the same for a whole clip
    assert 140 < lowered.flatten(1).any(1).sum() < 260
    assert not lowered[:, :, (centres > 500) & (centres < 2500)].any()
    narrow = lowered[lowered.flatten(1).any(1)]
    assert narrow[:, 0, centres < 100].all()
    assert change.min() >= -100 / SPEC.scale - 1e-4 and change[lowered].max() <= -20 / SPEC.scale + 1e-4


def test_a_telephone_is_a_line_of_its_own() -> None:
    torch.manual_seed(1)
    centres = mel_frequencies(SPEC)[1:-1]
    change = spread(torch.full((400, 3, 64), 2.0), dataclasses.replace(OFF, telephone=0.25), SPEC) - 2.0
    lowered = change < 0
    heard = lowered[lowered.flatten(1).any(1)][:, 0]
    assert 60 < len(heard) < 140
    assert heard[:, (centres < 250) | (centres > 4000)].all()
    assert not heard[:, (centres > 400) & (centres < 3000)].any()
    assert change.min() >= -100 / SPEC.scale - 1e-4 and change[lowered].max() <= -40 / SPEC.scale + 1e-4


def test_some_clips_end_early() -> None:
    clip, rng = torch.arange(100.0)[:, None].expand(100, 64), np.random.default_rng(0)
    heard = [end_early(clip, dataclasses.replace(OFF, early=0.5), rng) for _ in range(200)]
    lengths = np.array([len(one) for one in heard])
    assert all(torch.equal(one, clip[: len(one)]) for one in heard)
    assert 70 < (lengths < 100).sum() < 130 and lengths.min() >= 30 and lengths.min() < 40
    assert len(end_early(clip[:1], dataclasses.replace(OFF, early=1.0), rng)) == 1


def test_masks_blank_at_most_two_stretches() -> None:
    torch.manual_seed(0)
    how = dataclasses.replace(OFF, band_mask=8, frame_mask=24)
    blanked = spread(torch.ones(20, 100, 64), how, SPEC) == 0
    bands, frames = blanked.all(1).sum(1), blanked.all(2).sum(1)
    assert 0 < bands.max() <= 16 and 0 < frames.max() <= 48


def test_masks_are_the_clips_own_level_where_the_front_end_takes_none_off():
    """0 dB would be a rectangle of full scale."""
    torch.manual_seed(0)
    spec = MelSpec(n_mels=26, mean=0.0, scale=1.0)
    batch = torch.randn(20, 100, 26) - torch.linspace(30, 60, 20)[:, None, None]
    how = dataclasses.replace(OFF, band_mask=8, frame_mask=24)
    masked = spread(batch, how, spec)
    changed = masked != batch
    assert 0 < changed.float().mean() < 0.5
    level = batch.mean((1, 2), keepdim=True).expand_as(batch)
    torch.testing.assert_close(masked[changed], level[changed])


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


def test_a_new_style_keeps_what_is_said_and_lies_between_two_clips() -> None:
    torch.manual_seed(0)
    batch = torch.randn(6, 50, 64) * torch.rand(6, 1, 64).add(0.5) + 3 * torch.randn(6, 1, 64)
    frames = torch.tensor([50, 50, 30, 50, 40, 50])
    made = restyle(batch, frames, dataclasses.replace(OFF, style=1.0))
    changed = 0
    for i, length in enumerate(frames.tolist()):
        before, after = batch[i, :length], made[i, :length]
        assert torch.equal(made[i, length:], batch[i, length:])
        # the course of each band over time is the same but for level and scale
        rise = [(x - x.mean(0)) / x.std(0, unbiased=False) for x in (before, after)]
        torch.testing.assert_close(*rise, atol=2e-3, rtol=0)
        means = torch.stack([batch[j, : frames[j]].mean(0) for j in range(6)])
        assert (after.mean(0) >= means.amin(0) - 1e-4).all() and (after.mean(0) <= means.amax(0) + 1e-4).all()
        changed += not torch.allclose(after, before, atol=1e-3)
    assert changed >= 3


def test_the_share_of_restyled_clips_is_kept() -> None:
    torch.manual_seed(1)
    batch, frames = torch.randn(400, 20, 8), torch.full((400,), 20)
    made = restyle(batch, frames, dataclasses.replace(OFF, style=0.25))
    share = (~torch.isclose(made, batch, atol=1e-4)).flatten(1).any(1).float().mean()
    assert 0.15 < share < 0.35
