"""Classes count alike, however often they were seen."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_ser.corpora import Clip  # noqa: E402
from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.models.stream72k import Stream72k, Stream72kConfig  # noqa: E402
from edge_ser.training.data import ClipSet  # noqa: E402
from edge_ser.training.prior import adjust_logits, class_shares  # noqa: E402

LABELS = ("angry", "calm", "sad")


def clip_set(counts: dict[str, dict[str, int]], unnamed: int = 0) -> ClipSet:
    """So many clips of each emotion of each corpus, and some that are only rated."""
    clips = [
        Clip(Path(f"{corpus}-{emotion}-{i}.wav"), corpus, f"s{i % 3}", emotion=emotion)
        for corpus, of_each in counts.items()
        for emotion, count in of_each.items()
        for i in range(count)
    ]
    some = next(iter(counts))
    clips += [dataclasses.replace(clips[0], emotion=None, corpus=some) for _ in range(unnamed)]
    features = [np.zeros((20, 4), np.float16)] * len(clips)
    return ClipSet(clips, [features], LABELS, {corpus: tuple(of_each) for corpus, of_each in counts.items()})


def network() -> Stream72k:
    torch.manual_seed(0)
    return Stream72k(
        Stream72kConfig(labels=LABELS, n_mels=4, stem=(2,), channels=4, dilations=(1,), heads=2)
    ).eval()


def test_shares_are_those_among_clips_that_may_have_the_class() -> None:
    clips = clip_set({"a": {"angry": 6, "calm": 2}, "b": {"angry": 1, "sad": 3}}, unnamed=5)
    assert class_shares(clips, 0.0).tolist() == pytest.approx([7 / 12, 2 / 8, 3 / 4])
    # Corpora alike: a clip of the first, of 13 with those without an emotion, weighs 1/13, of the second 1/4.
    angry = (6 / 13 + 1 / 4) / (8 / 13 + 4 / 4)
    assert class_shares(clips, 1.0).tolist() == pytest.approx([angry, 2 / 8, 3 / 4])


def test_a_network_that_learnt_shares_alone_answers_classes_alike() -> None:
    """What a network of no use has learnt is how often classes are; nothing of that is left."""
    clips, model = clip_set({"a": {"angry": 6, "calm": 2, "sad": 12}}), network()
    with torch.no_grad():
        model.emotion.weight.zero_()
        model.emotion.bias.copy_(torch.log(torch.tensor([0.3, 0.1, 0.6])))
        adjust_logits(model, clips, 0.0, 1.0)
        logits = model.logits(torch.randn(5, model.hidden))
    assert torch.softmax(logits, 1).numpy() == pytest.approx(np.full((5, 3), 1 / 3), abs=1e-6)


def test_strength_is_a_share_of_it() -> None:
    clips, whole, half, none = (
        clip_set({"a": {"angry": 6, "calm": 2, "sad": 1}}),
        *(network() for _ in range(3)),
    )
    adjust_logits(whole, clips, 0.0, 1.0)
    adjust_logits(half, clips, 0.0, 0.5)
    assert torch.allclose(2 * half.emotion.bias, whole.emotion.bias + none.emotion.bias)


def test_a_class_without_clips_is_refused() -> None:
    with pytest.raises(EdgeSerError, match="every emotion"):
        adjust_logits(network(), clip_set({"a": {"angry": 6, "calm": 2, "sad": 0}}), 0.0, 1.0)
