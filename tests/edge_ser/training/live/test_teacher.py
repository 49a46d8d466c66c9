"""Heads of a live teacher: whom they heard, and that they are those of the other kind of teacher."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from edge_ser.corpora import Clip  # noqa: E402
from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.teachers.linear import HeadPart, LinearHeads  # noqa: E402
from edge_ser.training.live.teacher import FoldTeacher, centred  # noqa: E402
from edge_ser.training.material import Truths  # noqa: E402
from tests.edge_ser.training.live.made import LABELS, clips_of  # noqa: E402

HOW = HeadPart(components=8, hint=3)
KNOWN = {"own": LABELS}


def statistics(clips: list[Clip], seed: int = 0) -> Tensor:
    """Three views; the first statistic is the emotion's, the second the arousal's."""
    draw = torch.Generator().manual_seed(seed)
    heard = torch.randn(3, len(clips), 20, generator=draw)
    heard[:, :, 0] += torch.tensor([2.0 if clip.emotion == "angry" else -2.0 for clip in clips])
    return heard.half()


def rated(clips: list[Clip]) -> list[Clip]:
    level = np.random.default_rng(0).uniform(size=len(clips))
    return [
        dataclasses.replace(clip, arousal=float(a), dominance=float(a), valence=1 - float(a))
        for clip, a in zip(clips, level, strict=True)
    ]


def taught(clips: list[Clip], heard: Tensor, fold: int | None = 0) -> tuple[Tensor, Tensor, Tensor]:
    truths = Truths.of(clips, LABELS, KNOWN)
    said = FoldTeacher(heard, truths, fold, HOW).said(heard, np.where(truths.fold == fold, -1, truths.fold))
    return said.logits, said.adv, said.hint


def test_the_heads_are_those_of_a_stored_teacher() -> None:
    clips = rated(clips_of("own", 60))
    heard = statistics(clips)
    truths = Truths.of(clips, LABELS, KNOWN)
    said = FoldTeacher(heard, truths, 0, HOW).said(heard)
    part = truths.fold != 0
    ours = LinearHeads.fit(
        heard[:, torch.from_numpy(part)].flatten(0, 1).float().numpy(),
        np.tile(truths.classes[part], 3),
        np.tile(truths.allowed[part], (3, 1)),
        np.tile(truths.adv[part], (3, 1)),
        LABELS,
        HOW,
    )
    logits, adv, hint = ours.answer(heard[1].float().numpy())
    np.testing.assert_allclose(said.logits[1].numpy(), logits, atol=2e-3)
    np.testing.assert_allclose(said.adv[1].numpy(), adv, atol=2e-3)
    # a component has no sign of its own
    np.testing.assert_allclose(np.abs(said.hint[1].float().numpy()), np.abs(hint), atol=5e-3)


def test_a_clip_is_answered_by_heads_that_heard_no_label_of_its_fold() -> None:
    clips = clips_of("own", 60)
    heard = statistics(clips)
    other = {"angry": "sad", "sad": "angry"}
    lied = [
        dataclasses.replace(clip, emotion=other[str(clip.emotion)]) if clip.fold == 1 else clip
        for clip in clips
    ]
    mine = torch.tensor([clip.fold == 1 for clip in clips])
    honest, changed = taught(clips, heard)[0], taught(lied, heard)[0]
    torch.testing.assert_close(honest[:, mine], changed[:, mine], atol=1e-3, rtol=0)
    theirs = torch.tensor([clip.fold == 2 for clip in clips])
    assert (honest[:, theirs] - changed[:, theirs]).abs().max() > 0.5  # its heads heard the lies


def test_nothing_follows_from_the_fold_that_is_held_out() -> None:
    clips = clips_of("own", 60)
    heard = statistics(clips)
    out = torch.tensor([clip.fold == 0 for clip in clips])
    spoilt = heard.clone()
    spoilt[:, out] = 50.0
    for before, after in zip(taught(clips, heard), taught(clips, spoilt), strict=True):
        torch.testing.assert_close(before[:, ~out], after[:, ~out], equal_nan=True)


def test_a_clip_without_an_emotion_is_no_clip_of_the_first() -> None:
    clips = clips_of("own", 60)
    heard = statistics(clips)
    nameless, first = (
        [dataclasses.replace(clip, emotion=one) if clip.fold == 1 else clip for clip in clips]
        for one in (None, LABELS[0])
    )
    assert (taught(nameless, heard)[0] - taught(first, heard)[0]).abs().max() > 0.5


def test_ratings_stay_on_their_scale_whatever_is_heard() -> None:
    clips = rated(clips_of("own", 60))
    heard = statistics(clips)
    said = FoldTeacher(heard, Truths.of(clips, LABELS, KNOWN), 0, HOW).said(100 * heard).adv
    assert said.min() == 0 and said.max() == 1


def test_without_ratings_there_are_none_and_few_clips_are_refused() -> None:
    clips = clips_of("own", 60)
    assert taught(clips, statistics(clips))[1].isnan().all()
    with pytest.raises(EdgeSerError, match="too few for 8 components"):
        taught(clips[:3], statistics(clips[:3]))


def test_centred_statistics_have_no_mean_of_any_speaker() -> None:
    clips = clips_of("own", 12)
    heard = centred(statistics(clips), clips)
    for speaker in range(3):
        own = heard[:, [i for i, clip in enumerate(clips) if clip.speaker == f"own-{speaker}"]].float()
        assert own.mean((0, 1)).abs().max() < 2e-3 < own.std()
