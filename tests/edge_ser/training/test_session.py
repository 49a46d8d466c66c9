"""Clips heard among their speaker's: what is taken away, batches that make it possible, and its loss."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from edge_ser.corpora import Clip  # noqa: E402
from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.training.data import ClipSet  # noqa: E402
from edge_ser.training.objective import Objective  # noqa: E402
from edge_ser.training.recipe import DistilPart, Recipe, SessionPart  # noqa: E402
from edge_ser.training.session import heard_among  # noqa: E402
from tests.edge_ser.training.test_objective import Plain, batch, recipe, terms  # noqa: E402


class Linear(Plain):
    """`Plain`, whose emotion head is asked by itself too."""

    dropout = torch.nn.Identity()

    def logits(self, pooled: torch.Tensor) -> torch.Tensor:
        return pooled[:, 3:]


def test_a_clip_loses_what_its_speakers_others_have_in_common() -> None:
    pooled = torch.tensor([[1.0, 0.0], [3.0, 2.0], [5.0, 1.0], [9.0, 9.0]])
    heard = heard_among(pooled, torch.tensor([0, 0, 0, 1]))
    middle = pooled.mean(0)
    assert torch.allclose(heard[0], pooled[0] - torch.tensor([4.0, 1.5]) + middle)
    assert torch.allclose(heard[2], pooled[2] - torch.tensor([2.0, 1.0]) + middle)
    assert torch.equal(heard[3], pooled[3])  # nobody else to compare with


def test_a_clip_of_nobody_known_stays() -> None:
    pooled = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(heard_among(pooled, torch.tensor([-1, -1, -1, -1])), pooled)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 3), min_size=8, max_size=24), st.integers(0, 1000))
def test_who_speaks_drops_out(speakers: list[int], seed: int) -> None:
    """Whatever is added to all clips of a speaker who has several, differences between them stay as they are."""
    torch.manual_seed(seed)
    who = torch.tensor(speakers)
    pooled, voices = torch.randn(len(speakers), 5), 10 * torch.randn(4, 5)
    plain, coloured = heard_among(pooled, who), heard_among(pooled + voices[who], who)
    several = torch.bincount(who, minlength=4)[who] > 1
    apart = (coloured - plain)[several]
    assert torch.allclose(apart, apart[:1].expand_as(apart), atol=1e-4)


def clip_set(speakers: list[str], corpora: list[str]) -> ClipSet:
    clips = [
        Clip(Path(f"{i}.wav"), corpus, speaker, emotion="sad")
        for i, (speaker, corpus) in enumerate(zip(speakers, corpora, strict=True))
    ]
    known = dict.fromkeys(corpora, ("sad",))
    return ClipSet(clips, [[np.zeros((20, 4), np.float16)] * len(clips)], ("sad",), known)


def test_clips_of_one_speaker_follow_one_another_and_each_comes_once() -> None:
    data = clip_set(["a"] * 8 + ["b"] * 8 + ["c"] * 5, ["x"] * 21)
    first, second = (data.order(np.random.default_rng(seed), 0, 4) for seed in (0, 1))
    assert sorted(first) == sorted(second) == list(range(21)) and list(first) != list(second)
    said = data.speakers[first].tolist()
    changes = sum(a != b for a, b in itertools.pairwise(said))
    assert changes <= 5  # two parts of a, two of b, two of c: of four clips, the last of one


def test_a_small_corpus_comes_more_often_in_parts_too() -> None:
    data = clip_set([f"a{i // 8}" for i in range(160)] + ["b"] * 16, ["x"] * 160 + ["y"] * 16)
    share = np.mean([np.mean(data.order(np.random.default_rng(s), 1.0, 8) >= 160) for s in range(50)])
    assert 0.35 < share < 0.65  # alike, where their sizes would say 0.09


def with_session(distil: DistilPart | None = None, weight: float = 1.0, **fit: float) -> Recipe:
    return dataclasses.replace(recipe(distil, **fit), session=SessionPart(2, weight))


def test_the_loss_of_a_session_is_that_of_answers_less_the_speakers_mean() -> None:
    of = batch(tasks=batch().tasks | {"speaker": torch.tensor([0, 0, 0, 1, 1])})
    said = of.features[:, 0]
    moved = dataclasses.replace(recipe(DistilPart("x", soft=0.25, hint=0.0)))
    as_if = Objective(moved, 5, 0)(
        Plain(), of._replace(features=heard_among(said, of.tasks["speaker"])[:, None])
    )
    objective = Objective(with_session(DistilPart("x", soft=0.25, hint=0.0), weight=0.5), 5, 0)
    found = {name: term.item() for name, term in objective(Linear(), of).items()}
    assert found["session"] == pytest.approx(0.5 * (as_if["emotion"] + as_if["soft"]).item(), abs=1e-6)
    alone = terms(Objective(moved, 5, 0), of)
    assert {name: found[name] for name in alone} == alone  # what is heard alone costs what it did


def test_the_teachers_features_are_guessed_from_what_is_heard_among_the_speakers() -> None:
    of = batch(tasks=batch().tasks | {"speaker": torch.tensor([0, 0, 0, 1, 1])})
    torch.manual_seed(0)
    objective = Objective(with_session(DistilPart("x", hint=1.0)), 5, 2)
    before = objective(Linear(), of)["hint"].item()
    voice = torch.zeros(5, 1, 5)
    voice[3:] = 7.0
    with torch.no_grad():  # a voice of its own changes the batch's mean alone, which the bias can take up
        assert objective.guess is not None
        objective.guess.bias -= objective.guess.weight @ voice.mean(0)[0]
    assert objective(Linear(), of._replace(features=of.features + voice))["hint"].item() == pytest.approx(
        before, abs=1e-5
    )


@pytest.mark.parametrize("values", [{"clips": 1}, {"weight": 0.0}])
def test_a_session_out_of_range_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(EdgeSerError, match="clips of at least 2"):
        SessionPart(**values)  # type: ignore[arg-type]
