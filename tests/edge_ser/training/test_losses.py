"""Losses against plain formulas."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_ser.evaluation.metrics import ccc  # noqa: E402
from edge_ser.training.losses import ccc_loss, emotion_loss, smooth_targets  # noqa: E402

ALL = torch.ones(2, 3, dtype=torch.bool)


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
