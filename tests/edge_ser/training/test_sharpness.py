"""Weights uphill: by how far, and back to the bit."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from edge_ser.training.sharpness import uphill  # noqa: E402


def test_the_step_has_its_length_and_direction_and_is_taken_back() -> None:
    weights = [torch.nn.Parameter(torch.tensor([1.0, 2.0])), torch.nn.Parameter(torch.tensor([[3.0]]))]
    still = torch.nn.Parameter(torch.tensor([5.0]))  # without a gradient
    loss = 3 * weights[0][0] + 4 * weights[1][0, 0]
    loss.backward()
    before = [weight.detach().clone() for weight in (*weights, still)]
    with pytest.raises(ZeroDivisionError), uphill([*weights, still], 0.5):
        assert torch.allclose(weights[0], torch.tensor([1.3, 2.0]))
        assert torch.allclose(weights[1], torch.tensor([[3.4]]))
        assert torch.equal(still, before[2])
        raise ZeroDivisionError
    assert all(torch.equal(weight, kept) for weight, kept in zip((*weights, still), before, strict=True))


def test_no_slope_is_no_step() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    weight.grad = torch.zeros(3)
    with uphill([weight], 0.5):
        assert torch.equal(weight, torch.ones(3))


def test_the_gradient_found_there_is_that_of_the_place_uphill() -> None:
    weight = torch.nn.Parameter(torch.tensor(2.0))
    weight.square().backward()
    with uphill([weight], 0.5):
        weight.grad = None
        weight.square().backward()
    assert weight.item() == 2.0 and weight.grad is not None and weight.grad.item() == 5.0
