"""The network of two tasks, its clips and its loss."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.transcripts import character_error_rate
from edge_ser.models.two_task import TwoTask, TwoTaskConfig
from edge_ser.training.steps import Pace, fit_steps
from edge_ser.training.two_task import SpokenClips, hear, two_task_loss

pytest.importorskip("numba")
CONFIG = TwoTaskConfig(("angry", "sad"), "abc ", n_mels=8, channels=16, kernel=3, dilations=(1, 2))


def clips(count: int = 24, seed: int = 0) -> SpokenClips:
    """A letter is a band that sounds for eight frames; the angry are louder."""
    rng = np.random.default_rng(seed)
    features, texts, labels = [], [], []
    for i in range(count):
        text = "".join(rng.choice(list("abc"), int(rng.integers(2, 5))))
        labels.append(i % 2)
        rows = rng.normal(-1, 0.1, (12 * len(text) + 6, 8))
        for k, letter in enumerate(text):
            rows[12 * k + 4 : 12 * k + 12, 2 * "abc".index(letter)] += 3 if i % 2 else 2
        features.append(rows.astype(np.float16))
        texts.append(text)
    return SpokenClips(features, texts, np.array(labels), np.ones((count, 2), bool))


def network() -> TwoTask:
    torch.manual_seed(0)
    return TwoTask(CONFIG)


def test_a_clip_is_answered_in_a_batch_as_it_is_alone() -> None:
    model, data = network().eval(), clips(6)
    batch = data.batch(range(6), CONFIG)
    with torch.no_grad():
        log_probs, logits = model(batch.features, batch.frames)
        for b in range(6):
            one = data.batch([b], CONFIG)
            alone, answer = model(one.features, one.frames)
            frames = int(model.encoded(one.frames)[0])
            assert alone.shape == (frames, 1, 5)
            torch.testing.assert_close(log_probs[:frames, b], alone[:, 0], atol=1e-5, rtol=0)
            torch.testing.assert_close(logits[b], answer[0], atol=1e-5, rtol=0)


def test_both_tasks_are_learnt() -> None:
    model, train, test = network(), clips(96), clips(24, seed=1)
    steps, batches = train.batches(16, CONFIG)
    records, _ = fit_steps(model, batches, two_task_loss(0.5), Pace(25, steps, lr=2e-2))
    assert {"letters_loss", "emotion_loss"} <= set(records[0])
    heard = hear(model, test, batch=5)
    assert character_error_rate(test.texts, heard.texts) < 0.15
    assert np.mean(heard.chances.argmax(1) == test.labels) > 0.9
    np.testing.assert_allclose(heard.chances.sum(1), 1)


def test_a_task_alone_leaves_the_other_head_as_it_was() -> None:
    for weight, idle in ((0.0, "letters"), (1.0, "emotion")):
        model = network()
        before = getattr(model, idle).weight.detach().clone()
        batch = clips(8).batch(range(8), CONFIG)
        terms = two_task_loss(weight)(model, batch)
        assert idle not in terms and len(terms) == 1
        sum(terms.values()).backward()  # type: ignore[union-attr]
        assert getattr(model, idle).weight.grad is None and torch.equal(getattr(model, idle).weight, before)
    with pytest.raises(EdgeSerError, match="between 0 and 1"):
        two_task_loss(1.5)


def test_an_emotion_that_is_not_known_does_not_count() -> None:
    data = clips(4)
    unknown = SpokenClips(data.features, data.texts, np.array([-1, 0, 0, -1]), data.allowed)
    model = network().eval()
    whole = two_task_loss(0.0)(model, unknown.batch(range(4), CONFIG))["emotion"]
    known = two_task_loss(0.0)(model, unknown.take([1, 2]).batch(range(2), CONFIG))["emotion"]
    torch.testing.assert_close(whole, known, atol=1e-5, rtol=0)
    none = two_task_loss(0.0)(model, unknown.take([0, 3]).batch(range(2), CONFIG))["emotion"]
    assert float(none.detach()) == 0


def test_a_corpus_is_not_asked_for_emotions_that_it_has_not() -> None:
    data = clips(4)
    allowed = np.array([[True, False]] * 4)
    chances = hear(network(), SpokenClips(data.features, data.texts, data.labels, allowed)).chances
    assert (chances[:, 1] == 0).all()


def test_each_clip_comes_once_an_epoch() -> None:
    data = clips(13)
    steps, draw = data.batches(4, CONFIG)
    seen = list(draw(0, np.random.default_rng(0)))
    assert steps == len(seen) == 3 and all(len(one.frames) == 4 for one in seen)
    assert sum(int(one.lengths.sum()) for one in seen) <= sum(map(len, data.texts))


def test_each_corpus_has_its_share_of_each_batch() -> None:
    data = clips(40)
    groups = ["large"] * 30 + ["small"] * 10
    data = dataclasses.replace(data, groups=groups, texts=["a"] * 30 + ["bb"] * 10)
    steps, draw = data.batches(5, CONFIG)
    seen = list(draw(0, np.random.default_rng(0)))
    assert steps == len(seen) == 8
    for batch in seen:  # five are three and two
        assert sorted(batch.lengths.tolist()) == [1, 1, 1, 2, 2]
    firsts = [
        float(x) for one in seen for x, n in zip(one.features[:, 0, 0], one.lengths, strict=True) if n == 1
    ]
    assert len(set(firsts)) == 24  # none of the large one twice before all of it
    assert data.take([0, 35]).groups == ["large", "small"]
    with pytest.raises(EdgeSerError, match="a batch of 1 cannot hold clips of 2"):
        data.batches(1, CONFIG)
    with pytest.raises(EdgeSerError, match="each has one"):
        dataclasses.replace(data, groups=["large"])


def test_shapes_and_letters_that_cannot_be() -> None:
    json.dumps(CONFIG.to_dict())
    assert CONFIG.spell(CONFIG.classes("cab ")) == "cab "
    with pytest.raises(EdgeSerError, match="'x' is not in the alphabet"):
        CONFIG.classes("ax")
    for wrong in ({"labels": ("one",)}, {"alphabet": ""}, {"alphabet": "aa"}, {"kernel": 4}, {"channels": 0}):
        with pytest.raises(EdgeSerError, match=r"need|odd"):
            TwoTaskConfig(**{"labels": ("a", "b"), "alphabet": "ab", **wrong})  # type: ignore[arg-type]
    with pytest.raises(EdgeSerError, match="clips need features"):
        SpokenClips([np.zeros((3, 8))], [], np.zeros(1, np.int64), np.ones((1, 2), bool))
