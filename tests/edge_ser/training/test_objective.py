"""The objective: each term by a batch made by hand, and mixtures of clips that know different things."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from edge_ser.dsp import MelSpec  # noqa: E402
from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.training.augment import Augment  # noqa: E402
from edge_ser.training.data import Batch  # noqa: E402
from edge_ser.training.losses import ccc_loss, emotion_loss, smooth_targets  # noqa: E402
from edge_ser.training.objective import Objective, _mix_up  # noqa: E402
from edge_ser.training.recipe import DataPart, DistilPart, FitPart, Recipe, TasksPart  # noqa: E402

NAN = float("nan")


class Plain(torch.nn.Module):
    """A network whose pooled vector is its features, whose first three values are A/D/V and the rest logits."""

    def pool(self, features: Tensor, frames: Tensor) -> Tensor:
        return features[:, 0]

    def answer(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        return pooled[:, :3], pooled[:, 3:]


def recipe(distil: DistilPart | None = None, mixup: float = 0.0, **fit: Any) -> Recipe:
    return Recipe(
        name="tiny",
        model="stream72k",
        data=DataPart(("made",)),
        fit=FitPart(**fit),
        augment=Augment(mixup=mixup),
        spec=MelSpec(),
        config={},
        distil=distil,
    )


def batch(**fields: Any) -> Batch:
    """Five clips of a corpus of two classes: A/D/V and logits said, and what there is to learn."""
    said = torch.tensor(
        [
            [0.9, 0.5, 0.1, 2.0, 0.0],
            [0.1, 0.4, 0.8, 0.0, 1.0],
            [0.6, 0.3, 0.4, 1.0, 1.0],
            [0.2, 0.6, 0.7, 0.0, 3.0],
            [0.7, 0.8, 0.3, 1.0, 0.0],
        ]
    )
    whole = {
        "features": said[:, None],
        "frames": torch.ones(5, dtype=torch.int64),
        "labels": torch.tensor([0, 1, -1, 1, 0]),
        "allowed": torch.ones(5, 2, dtype=torch.bool),
        "adv": torch.tensor([[0.8, 0.6, 0.2], [0.2, 0.3, 0.9], [0.4, 0.4, 0.6], [0.1, 0.5, 0.6], [NAN] * 3]),
        "logits": torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0], [NAN, NAN], [0.5, 0.0]]),
        "hint": torch.tensor([[1.0, 0.0], [0.0, 1.0], [NAN, NAN], [1.0, 1.0], [0.0, -2.0]]),
        "tasks": {
            "intensity": torch.tensor([0, 1, -1, 1, 0]),
            "sex": torch.tensor([-1] * 5),
            "speaker": torch.tensor([0, 1, 2, 0, 1]),
        },
    }
    return Batch(**whole | fields)


def terms(objective: Objective, of: Batch) -> dict[str, float]:
    return {name: term.item() for name, term in objective(Plain(), of).items()}


def test_without_a_teacher_there_are_labels_and_ratings_alone() -> None:
    objective = Objective(recipe(label_smoothing=0.2, adv_weight=0.5), 5, 0)
    assert list(objective.parameters()) == []
    made = batch(logits=torch.full((5, 2), NAN), hint=torch.zeros(5, 0))
    found = terms(objective, made)
    assert set(found) == {"emotion", "adv"}
    targets = smooth_targets(made.labels, made.allowed, 0.2)
    assert found["emotion"] == pytest.approx(
        emotion_loss(made.features[:, 0, 3:], targets, made.allowed).item()
    )
    assert found["adv"] == pytest.approx(0.5 * ccc_loss(made.features[:, 0, :3], made.adv).item())


def test_what_a_teacher_says_is_no_part_of_the_loss_without_the_table() -> None:
    objective = Objective(recipe(), 5, 2)
    assert objective.guess is None
    assert terms(objective, batch()) == terms(objective, batch(logits=torch.full((5, 2), NAN)))


def test_consistency_is_measured_against_what_is_given() -> None:
    objective = Objective(recipe(consistency=2.0), 5, 0)
    made = batch()
    adv, logits = Plain().answer(made.features[:, 0])
    own = objective(Plain(), made, (adv, logits))["consistency"].item()
    other = objective(Plain(), made, (adv, -logits))["consistency"].item()
    entropy = torch.distributions.Categorical(logits=logits).entropy().mean().item()
    assert own == pytest.approx(2 * entropy, abs=1e-4) and other > own + 0.5
    assert "consistency" not in objective(Plain(), made)


def test_every_term_by_hand() -> None:
    distil = DistilPart("x", soft=0.25, temperature=2.0, hint=0.75, quadrant=3.0)
    objective = Objective(recipe(distil, label_smoothing=0.0), 5, 2)
    assert objective.guess is not None
    with torch.no_grad():  # the guess of the hint is the first two values of the pooled vector
        objective.guess.weight.copy_(torch.eye(2, 5))
        objective.guess.bias.zero_()
    found = terms(objective, batch())
    assert list(found) == ["emotion", "adv", "soft", "hint", "quadrant"]

    def surprise(logits: tuple[float, float], truth: int) -> float:
        return math.log(sum(map(math.exp, logits))) - logits[truth]

    named = [((2.0, 0.0), 0), ((0.0, 1.0), 1), ((0.0, 3.0), 1), ((1.0, 0.0), 0)]
    assert found["emotion"] == pytest.approx(0.75 * sum(surprise(*one) for one in named) / 4, rel=1e-5)

    def softened(logits: tuple[float, float]) -> list[float]:
        powers = [math.exp(x / 2) for x in logits]
        return [power / sum(powers) for power in powers]

    pairs = [
        ((2.0, 0.0), (1.0, 0.0)),
        ((0.0, 1.0), (0.0, 2.0)),
        ((1.0, 1.0), (3.0, 0.0)),
        ((1.0, 0.0), (0.5, 0.0)),
    ]
    crossed = [-sum(t * math.log(s) for s, t in zip(softened(a), softened(b), strict=True)) for a, b in pairs]
    assert found["soft"] == pytest.approx(0.25 * 4 * sum(crossed) / 4, rel=1e-5)
    cosines = [0.9 / math.hypot(0.9, 0.5), 0.4 / math.hypot(0.1, 0.4)]
    cosines += [0.8 / math.hypot(0.2, 0.6) / math.sqrt(2), -0.8 / math.hypot(0.7, 0.8)]
    assert found["hint"] == pytest.approx(0.75 * (1 - sum(cosines) / 4), rel=1e-5)
    wrong = 0.1 + 0.1  # arousal and valence of the third clip
    assert found["quadrant"] == pytest.approx(3.0 * wrong / 8, rel=1e-5)


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"soft": 0.0, "hint": 0.0}, {"emotion", "adv"}),
        ({"soft": 1.0, "hint": 0.0}, {"emotion", "adv", "soft"}),
        ({"soft": 0.0, "quadrant": 1.0}, {"emotion", "adv", "hint", "quadrant"}),
    ],
)
def test_a_term_without_a_weight_is_not_made(fields: dict[str, float], names: set[str]) -> None:
    objective = Objective(recipe(DistilPart("x", **fields)), 5, 2)
    assert set(terms(objective, batch())) == names
    assert (objective.guess is None) == ("hint" not in names)
    if fields["soft"] == 1:
        assert terms(objective, batch())["emotion"] == 0


def test_a_teacher_without_hints_needs_no_guess() -> None:
    objective = Objective(recipe(DistilPart("x", hint=0.5)), 5, 0)
    assert objective.guess is None
    assert set(terms(objective, batch(hint=torch.zeros(5, 0)))) == {"emotion", "adv", "soft"}


def mixable(count: int = 64) -> Batch:
    """Clips whose every number is their own, and of which some lack one thing or another."""
    number = torch.arange(count, dtype=torch.float32)

    def column(width: int, unknown_every: int) -> Tensor:
        values = number[:, None].repeat(1, width)
        values[::unknown_every] = NAN
        return values

    return Batch(
        features=number[:, None, None].repeat(1, 4, 2),
        frames=torch.arange(count) % 4 + 1,
        labels=torch.where(torch.arange(count) % 5 == 0, -1, torch.arange(count) % 2),
        allowed=torch.stack([torch.arange(count) % 2 == 0, torch.arange(count) % 2 == 1], 1),
        adv=column(3, 4),
        logits=column(2, 3),
        hint=column(6, 7),
        tasks={},
    )


def test_mixtures_keep_what_is_known_known_and_nothing_else() -> None:
    torch.manual_seed(1)
    before = mixable()
    targets = smooth_targets(before.labels, before.allowed, 0.1)
    after, mixed = _mix_up(before, targets, 0.4)
    for was, now in ((before.adv, after.adv), (before.logits, after.logits), (before.hint, after.hint)):
        assert torch.equal(torch.isfinite(was), torch.isfinite(now))
    assert torch.allclose(mixed.sum(1), targets.sum(1))  # of a clip without a label no target is made
    assert torch.isfinite(after.features).all()


def test_sound_targets_and_answers_are_mixed_in_one_share() -> None:
    torch.manual_seed(2)
    before = mixable()
    after, mixed = _mix_up(before, smooth_targets(before.labels, before.allowed, 0.0), 0.4)
    sound = after.features[:, 0, 0]
    known = torch.isfinite(before.adv).all(1) & torch.isfinite(before.hint).all(1)
    told = known & torch.isfinite(before.logits).all(1)
    assert known.any() and told.any()
    # every number of a clip is its own: where two sums agree, so did both clips and shares
    assert torch.allclose(after.features, sound[:, None, None].expand_as(after.features))
    for values, rows in ((after.adv, known), (after.hint, known), (after.logits, told)):
        together = rows & (sound != before.features[:, 0, 0])
        assert together.any()
        assert torch.allclose(values[together], sound[together, None].expand(-1, values.shape[1]), rtol=1e-4)
    both = (after.allowed & ~before.allowed).any(1)
    assert both.any() and ((mixed > 0) <= after.allowed).all()
    own = mixed.gather(1, before.labels.clamp(min=0)[:, None])[before.labels >= 0]
    assert (own >= 0.5 - 1e-6).all() and (own < 1).any()  # the clip itself has the larger share


def test_a_mixture_is_as_long_as_its_longer_clip() -> None:
    torch.manual_seed(3)
    before = mixable()
    after, _ = _mix_up(before, smooth_targets(before.labels, before.allowed, 0.0), 0.4)
    assert (after.frames >= before.frames).all() and (after.frames > before.frames).any()


def test_mixup_is_part_of_the_objective() -> None:
    made, objective = mixable(), Objective(recipe(mixup=0.4), 2, 0)

    class Seen(Plain):
        def pool(self, features: Tensor, frames: Tensor) -> Tensor:
            self.features = features
            return torch.zeros(len(features), 5)

    torch.manual_seed(4)
    network = Seen()
    losses = objective(network, made)
    assert not torch.equal(network.features, made.features)
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_tasks_are_learnt_from_the_clips_that_tell_and_the_speaker_is_unlearnt() -> None:
    wanted = dataclasses.replace(recipe(), tasks=TasksPart(intensity=0.5, sex=1.0, speaker=2.0))
    objective = Objective(wanted, 5, 0, {"intensity": 2, "sex": 2, "speaker": 3})
    made = batch(features=batch().features.clone().requires_grad_())
    found = objective(Plain(), made)
    assert set(found) == {"emotion", "adv", "intensity", "sex", "speaker"}
    assert found["sex"].item() == 0  # nobody's is known
    pooled = made.features[:, 0]
    for task, weight, sign in (("intensity", 0.5, 1), ("speaker", 2.0, -1)):
        expected = weight * torch.nn.functional.cross_entropy(
            objective.tasks[task](pooled), made.tasks[task], ignore_index=-1
        )
        assert found[task].item() == pytest.approx(expected.item())
        ours = torch.autograd.grad(found[task], made.features, retain_graph=True)[0]
        theirs = torch.autograd.grad(expected, made.features, retain_graph=True)[0]
        torch.testing.assert_close(ours, sign * theirs)
        # the head itself goes with the grain
        head = objective.tasks[task].weight
        torch.testing.assert_close(
            torch.autograd.grad(found[task], head, retain_graph=True)[0],
            torch.autograd.grad(expected, head, retain_graph=True)[0],
        )


def test_a_mixture_of_two_clips_is_of_no_speaker() -> None:
    torch.manual_seed(0)
    made = batch(labels=torch.tensor([0, 1, 0, 1, 0]), adv=torch.full((5, 3), NAN))
    made = made._replace(logits=torch.zeros(5, 2), hint=torch.zeros(5, 2))
    mixed, _ = _mix_up(made, torch.eye(2)[made.labels], 1.0)
    changed = (mixed.features != made.features).flatten(1).any(1)
    assert changed.any()
    assert (mixed.tasks["speaker"][changed] == -1).all()


def test_a_task_in_which_no_clips_differ_is_refused() -> None:
    wanted = dataclasses.replace(recipe(), tasks=TasksPart(sex=1.0))
    with pytest.raises(EdgeSerError, match="sex cannot be learnt"):
        Objective(wanted, 5, 0, {"sex": 1})
