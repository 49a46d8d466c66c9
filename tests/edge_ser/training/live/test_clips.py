"""Live batches: which clips and views they are of, and what is said of each."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_ser.corpora import Clip  # noqa: E402
from edge_ser.dsp import MelSpec  # noqa: E402
from edge_ser.training.augment import Augment  # noqa: E402
from edge_ser.training.data import Batch  # noqa: E402
from edge_ser.training.live.clips import LiveSet, Spoken, _cut  # noqa: E402
from edge_ser.training.live.pool import Pool  # noqa: E402
from tests.edge_ser.training.live.made import (  # noqa: E402
    LABELS,
    bank_of,
    clips_of,
    generator,
    live_set,
    noise,
    taught_of,
)

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


def test_a_cut_may_begin_anywhere_up_to_where_the_clip_just_fills_it() -> None:
    """Each value is the number of its frame; of 50 frames 40 are taken."""
    sounds = torch.arange(60.0)[None, :, None].expand(300, 60, 64)
    torch.manual_seed(0)
    found, lengths = _cut(sounds, torch.full((300,), 50), 40, PLAIN)
    begins = found[:, 0, 0].round().int()
    assert set(begins.tolist()) == set(range(11)) and (lengths == 40).all()
    torch.testing.assert_close(found[:, :, 5], begins[:, None] + torch.arange(40.0), atol=1e-3, rtol=0)
    faster, lengths = _cut(sounds, torch.full((300,), 50), 40, dataclasses.replace(PLAIN, speed=0.2))
    last = faster[torch.arange(300), lengths - 1, 0]
    assert last.max() <= 49.001 and last.max() > 48.5  # the last frame is reached, and no padding is


def test_bands_are_shifted_both_ways() -> None:
    sounds = torch.arange(64.0).expand(300, 40, 64)
    torch.manual_seed(0)
    found, _ = _cut(sounds, torch.full((300,), 40), 40, dataclasses.replace(PLAIN, bands_shift=3.0))
    shift = found[:, 0, 32] - 32.0
    assert -3.001 < shift.min() < -2.5 and 2.5 < shift.max() < 3.001
    torch.testing.assert_close(found[:, 20, 10:50], torch.arange(10.0, 50.0) + shift[:, None])


def two_corpora(name: str) -> list[Clip]:
    """24 clips of one corpus and 6 of another."""
    return [*clips_of(f"{name}-big", 24), *clips_of(f"{name}-small", 6)]


def spoken(clips: list[Clip]) -> Spoken:
    said = taught_of(len(clips))
    return Spoken(clips, said._replace(adv=torch.full_like(said.adv, 0.25)))


def pool_of(*groups: list[Clip]) -> Pool:
    return Pool.load([clip for group in groups for clip in group], lambda mine: bank_of(len(mine)))


def test_corpora_are_balanced_each_by_its_own_measure() -> None:
    own, rest = two_corpora("own"), two_corpora("else")
    known = {f"own-{size}": LABELS for size in ("big", "small")}
    for balance, others_balance in ((1.0, 0.0), (0.0, 1.0)):
        clips = LiveSet(spoken(own), LABELS, known, pool_of(own, rest), spoken(rest), 0.5, others_balance)
        drawn = np.concatenate([clips.order(generator(seed), balance) for seed in range(20)])
        mine, others = drawn[drawn < 30], drawn[drawn >= 30] - 30
        assert np.mean(mine >= 24) == pytest.approx(0.5 if balance else 0.2, abs=0.06)
        assert np.mean(others >= 24) == pytest.approx(0.5 if others_balance else 0.2, abs=0.06)


def test_a_clips_own_ratings_go_before_what_is_said_of_it() -> None:
    own = [
        dataclasses.replace(clip, arousal=0.75, dominance=0.75, valence=0.75) if i % 2 else clip
        for i, clip in enumerate(clips_of("own", 6))
    ]
    rest = [
        dataclasses.replace(clip, arousal=1.0, dominance=1.0, valence=1.0) for clip in clips_of("else", 4)
    ]
    clips = LiveSet(spoken(own), LABELS, {"own": LABELS}, pool_of(own, rest), spoken(rest), 0.4)
    adv = batch_of(clips, np.arange(10)).adv
    assert adv[:, 0].tolist() == [0.25, 0.75] * 3 + [0.25] * 4  # those of the others are not looked at


def test_others_are_told_of_among_all_labels_whatever_their_corpus_knows() -> None:
    own, rest = clips_of("own", 6), clips_of("own", 4)
    rest = [dataclasses.replace(clip, path=own[i].path) for i, clip in enumerate(rest)]
    clips = LiveSet(spoken(own), LABELS, {"own": LABELS[:1]}, pool_of(own), spoken(rest), 0.4)
    allowed = batch_of(clips, np.arange(10)).allowed
    assert not allowed[:6, 1].any() and allowed[:6, 0].all() and allowed[6:].all()
