"""Losses against plain formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

torch = pytest.importorskip("torch")

from edge_ser.evaluation.metrics import ccc  # noqa: E402
from edge_ser.training.losses import (  # noqa: E402
    ccc_loss,
    emotion_loss,
    hint_loss,
    quadrant_loss,
    smooth_targets,
    soft_loss,
)

ALL = torch.ones(2, 3, dtype=torch.bool)
NAN = float("nan")


def some(shape: tuple[int, int], low: float, high: float) -> st.SearchStrategy[np.ndarray]:
    """Arrays of float32 within bounds."""
    return arrays.arrays(np.float32, shape, elements=st.floats(low, high, width=32))


def test_targets_spread_over_the_classes_that_the_corpus_knows() -> None:
    allowed = torch.tensor([[True, True, False], [True, True, True]])
    targets = smooth_targets(torch.tensor([1, -1]), allowed, 0.2)
    assert torch.allclose(targets, torch.tensor([[0.1, 0.9, 0.0], [0.0, 0.0, 0.0]]))


def test_emotion_loss_is_cross_entropy_of_the_labelled() -> None:
    logits = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([2, -1])
    loss = emotion_loss(logits, smooth_targets(labels, ALL, 0.0), ALL)
    assert torch.isclose(loss, torch.nn.functional.cross_entropy(logits[:1], labels[:1]))


def test_classes_unknown_to_a_corpus_take_no_part() -> None:
    allowed = torch.tensor([[True, True, False]])
    targets = smooth_targets(torch.tensor([0]), allowed, 0.0)
    low = emotion_loss(torch.tensor([[1.0, 0.0, -50.0]]), targets, allowed)
    high = emotion_loss(torch.tensor([[1.0, 0.0, 50.0]]), targets, allowed)
    assert torch.isclose(low, high)


def test_without_labels_the_losses_are_zero_and_differentiable() -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    unknown = torch.full((2, 3), float("nan"))
    loss = emotion_loss(logits, torch.zeros(2, 3), ALL) + ccc_loss(logits, unknown)
    loss.backward()
    assert loss.item() == 0 and torch.isfinite(logits.grad).all()


def test_ccc_loss_equals_the_metric_and_skips_rows_without_rating() -> None:
    generator = torch.Generator().manual_seed(1)
    target, predicted = torch.rand(50, 3, generator=generator), torch.rand(50, 3, generator=generator)
    target[7, 1] = float("nan")
    rows = [i for i in range(50) if i != 7]
    expected = np.mean([1 - ccc(target[rows, d].numpy(), predicted[rows, d].numpy()) for d in range(3)])
    assert ccc_loss(predicted, target).item() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_soft_loss_is_divergence_and_entropy_at_the_temperature(temperature: float) -> None:
    student, teacher = [2.0, -1.0, 0.5], [0.3, 1.7, -0.4]

    def softened(logits: list[float]) -> list[float]:
        powers = [math.exp(x / temperature) for x in logits]
        return [power / sum(powers) for power in powers]

    said, told = softened(student), softened(teacher)
    divergence = sum(t * math.log(t / s) for s, t in zip(said, told, strict=True))
    entropy = -sum(t * math.log(t) for t in told)
    logits = torch.tensor([student, [NAN, 0.0, 9.0]])
    told_logits = torch.tensor([teacher, [NAN] * 3])  # the second row has no answer and does not count
    found = soft_loss(logits, told_logits, ALL, temperature)
    assert found.item() == pytest.approx((divergence + entropy) * temperature**2, rel=1e-5)


def test_classes_that_take_no_part_change_nothing_of_the_soft_loss() -> None:
    allowed = torch.tensor([[True, True, False]])
    low = soft_loss(torch.tensor([[1.0, 0.0, -50.0]]), torch.tensor([[2.0, 1.0, 50.0]]), allowed, 2.0)
    high = soft_loss(torch.tensor([[1.0, 0.0, 50.0]]), torch.tensor([[2.0, 1.0, -50.0]]), allowed, 2.0)
    two = soft_loss(torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 1.0]]), allowed[:, :2], 2.0)
    assert torch.isclose(low, high) and torch.isclose(low, two)


@given(some((3, 4), -8, 8), some((3, 4), -8, 8), st.floats(0.5, 4))
def test_no_student_does_better_than_one_that_says_what_the_teacher_says(
    student: np.ndarray, teacher: np.ndarray, temperature: float
) -> None:
    allowed = torch.ones(3, 4, dtype=torch.bool)
    mine, theirs = torch.from_numpy(student), torch.from_numpy(teacher)
    best = soft_loss(theirs + 1.5, theirs, allowed, temperature)
    assert soft_loss(mine, theirs, allowed, temperature).item() >= best.item() - 1e-4


@given(some((3, 5), -100, 100), some((3, 5), -100, 100))
def test_hint_loss_lies_between_nothing_and_two(predicted: np.ndarray, hint: np.ndarray) -> None:
    found = hint_loss(torch.from_numpy(predicted), torch.from_numpy(hint)).item()
    assert -1e-5 <= found <= 2 + 1e-5


@given(some((2, 5), -100, 100), st.floats(0.01, 100))
def test_hint_loss_asks_for_the_direction_alone(hint: np.ndarray, factor: float) -> None:
    hint[np.abs(hint).max(1) < 1e-3] = 1.0  # a vector of nothing has no direction
    vectors = torch.from_numpy(hint)
    assert hint_loss(vectors * factor, vectors).item() == pytest.approx(0, abs=1e-5)
    assert hint_loss(vectors * -factor, vectors).item() == pytest.approx(2, abs=1e-5)


def test_hint_loss_skips_rows_without_a_hint() -> None:
    predicted, hint = torch.tensor([[1.0, 0.0], [5.0, 5.0]]), torch.tensor([[0.0, 2.0], [NAN, NAN]])
    assert hint_loss(predicted, hint).item() == pytest.approx(1.0)


@given(some((4, 3), 0, 1), some((4, 3), 0, 1))
def test_quadrant_loss_is_zero_exactly_on_the_right_side(predicted: np.ndarray, target: np.ndarray) -> None:
    found = quadrant_loss(torch.from_numpy(predicted), torch.from_numpy(target)).item()
    axes = [0, 2]
    wrong = (predicted[:, axes] - 0.5) * np.sign(target[:, axes] - 0.5) < 0
    assert (found == 0) == (not wrong.any())
    expected = np.where(wrong, np.abs(predicted[:, axes] - 0.5), 0).mean()
    assert found == pytest.approx(expected, abs=1e-6) and 0 <= found <= 0.5


def test_quadrant_loss_leaves_dominance_and_unknown_rows_alone() -> None:
    predicted = torch.tensor([[0.9, 0.1, 0.2], [0.0, 0.0, 0.0]])
    target = torch.tensor([[0.8, 0.9, 0.7], [0.9, NAN, 0.9]])
    assert quadrant_loss(predicted, target).item() == pytest.approx(0.3 / 2)


def test_without_a_teacher_its_losses_are_zero_and_differentiable() -> None:
    answer = torch.rand(2, 3, requires_grad=True)
    silent = torch.full((2, 3), NAN)
    loss = soft_loss(answer, silent, ALL, 2.0) + hint_loss(answer, silent) + quadrant_loss(answer, silent)
    loss.backward()
    assert loss.item() == 0 and torch.equal(answer.grad, torch.zeros(2, 3))


def test_a_clip_without_classes_has_no_part_in_the_soft_loss() -> None:
    logits, teacher = torch.randn(3, 2), torch.randn(3, 2)
    allowed = torch.tensor([[True, True], [False, False], [True, True]])
    part = soft_loss(logits[[0, 2]], teacher[[0, 2]], allowed[[0, 2]], 2.0)
    torch.testing.assert_close(soft_loss(logits, teacher, allowed, 2.0), part)
