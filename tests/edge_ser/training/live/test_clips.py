"""Live batches: which clips and views they are of, and what is said of each."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_ser.dsp import MelSpec  # noqa: E402
from edge_ser.training.augment import Augment  # noqa: E402
from edge_ser.training.data import Batch  # noqa: E402
from edge_ser.training.live.clips import LiveSet  # noqa: E402
from tests.edge_ser.training.live.made import generator, live_set, noise  # noqa: E402

SPEC = MelSpec(mean=-50.0, scale=20.0)
PLAIN = Augment(
    speed=0, bands_shift=0, bands_stretch=0, gain_db=0, tilt_db=0, band_mask=0, frame_mask=0, mixup=0
)


def batch_of(
    clips: LiveSet,
    chosen: np.ndarray,
    how: Augment = PLAIN,
    frames: int = 40,
    seed: int = 0,
    plain: bool = False,
) -> Batch:
    torch.manual_seed(seed)
    rows, said = clips.places(chosen, generator(seed))
    return clips.made(*map(torch.from_numpy, (chosen, rows, said)), frames, how, SPEC, plain)


def is_stretch_of(clips: LiveSet, row: int, found: torch.Tensor, length: int) -> bool:
    """Whether some frames, but for their first band, are one stretch of a row of the pool."""
    own = clips.pool.features[row].float()
    last = int(clips.pool.frames[row]) - length + 1
    return (
        sum(
            torch.allclose(own[s : s + length, 1:], found[:length, 1:], atol=1e-3)
            for s in range(max(last, 1))
        )
        == 1
    )


def test_what_is_heard_and_what_is_said_are_of_the_same_clip_and_view() -> None:
    clips = live_set(9, others=8)
    chosen = np.tile(np.arange(17), 6)
    batch = batch_of(clips, chosen)
    heard = batch.features[:, 0, 0]
    assert torch.equal(heard, batch.hint[:, 0])
    own = chosen < 9
    assert np.array_equal(heard.numpy() % 10, np.where(own, chosen, chosen - 9))
    views = heard.numpy() // 10
    assert set(views[own]) == {0, 1} and set(views[~own]) == {0, 1, 2}


def test_others_have_no_label_and_may_be_anything() -> None:
    clips = live_set(9, others=8)
    batch = batch_of(clips, np.arange(17))
    assert (batch.labels[:9] >= 0).all() and (batch.labels[9:] == -1).all()
    assert batch.allowed.all() and torch.isfinite(batch.logits).all()
    assert (batch.tasks["speaker"] >= 0).all()
    assert len(set(batch.tasks["speaker"][:9].tolist()) & set(batch.tasks["speaker"][9:].tolist())) == 0


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("together", [1, 4])
def test_an_epoch_has_every_clip_once_and_the_share_of_others(share: float, together: int) -> None:
    clips = live_set(30, others=40, share=share)
    order = clips.order(generator(), 0.0, together)
    assert len(order) == len(clips) == round(30 / (1 - share))
    # parts of several may be cut at the end
    assert abs((order < 30).sum() - 30) <= together and len(set(order[order < 30])) == (order < 30).sum()
    assert not np.array_equal(order, clips.order(generator(1), 0.0, together))


def test_without_others_an_epoch_is_the_clips() -> None:
    clips = live_set(30)
    assert sorted(clips.order(generator(), 0.0)) == list(range(30)) and len(clips) == 30
    assert len(clips.order(generator(), 0.5)) >= 30


def test_a_cut_without_warping_is_a_stretch_of_the_clip() -> None:
    clips = live_set(6)
    batch = batch_of(clips, np.arange(6))
    for i, found in enumerate(batch.features):
        view = int(found[0, 0]) // 10
        assert is_stretch_of(clips, view * 6 + i, found, 40)
    assert (batch.frames == 40).all()


def test_noise_is_in_what_is_learnt_and_not_in_what_is_heard_beside_it() -> None:
    clips, calm = live_set(6, noise=noise()), live_set(6)
    loud, quiet = (batch_of(one, np.arange(6), frames=80, plain=True) for one in (clips, calm))
    assert torch.equal(loud.frames, quiet.frames) and (loud.frames < 80).any()
    for i, length in enumerate(loud.frames.tolist()):
        assert not torch.allclose(loud.features[i, :length], quiet.features[i, :length], atol=0.05)
        assert not loud.features[i, length:].any()
    assert loud.plain is not None and quiet.plain is not None
    for i, (found, length) in enumerate(zip(*loud.plain, strict=True)):
        assert is_stretch_of(clips, int(found[0, 0]) // 10 * 6 + i, found, int(length))
    assert batch_of(clips, np.arange(6)).plain is None


def test_short_clips_are_padded_warped_ones_change_and_some_end_early() -> None:
    clips = live_set(20)
    batch = batch_of(clips, np.arange(20), frames=120)
    assert (batch.frames <= 100).all() and (batch.features[:, 100:] == 0).all()
    warped = batch_of(
        clips, np.arange(20), dataclasses.replace(PLAIN, speed=0.2, bands_shift=3.0), frames=120
    )
    assert not torch.equal(warped.frames, batch.frames)
    early = batch_of(clips, np.arange(20), dataclasses.replace(PLAIN, early=0.5))
    assert 3 < (early.frames < 40).sum() < 18 and (early.frames >= 12).all()
