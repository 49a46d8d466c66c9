"""Rounded weights: on eight bits, near the true ones, and given back."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from edge_ser.models.stream72k import Stream72k, Stream72kConfig  # noqa: E402
from edge_ser.training.quantised import rounded, weights_rounded  # noqa: E402


@given(st.integers(1, 5), st.integers(1, 9), st.floats(1e-6, 1e6), st.integers(0, 2**31))
def test_rounding_stays_within_half_a_step_and_on_the_grid(
    rows: int, columns: int, size: float, seed: int
) -> None:
    weight = torch.randn(rows, columns, 2, generator=torch.Generator().manual_seed(seed)) * size
    made = rounded(weight)
    step = weight.abs().amax((1, 2), keepdim=True) / 127
    assert ((made - weight).abs() <= step * 0.5001).all()
    levels = made / step
    torch.testing.assert_close(levels, levels.round(), atol=2e-4, rtol=0)
    torch.testing.assert_close(rounded(made), made)


def test_a_channel_of_zeros_stays_zero() -> None:
    weight = torch.stack([torch.zeros(3), torch.ones(3)])
    torch.testing.assert_close(rounded(weight), weight)


def test_weights_are_rounded_inside_alone_and_gradients_reach_the_true_ones() -> None:
    torch.manual_seed(0)
    model = Stream72k(Stream72kConfig(labels=("a", "b"), stem=(2,), channels=8, dilations=(1,), heads=2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    features, frames = torch.randn(4, 40, 64), torch.full((4,), 40)
    model.eval()
    plain = model.clip(features, frames)[1]
    with weights_rounded(model):
        inside = model.mix.conv.weight.detach().clone()
        said = model.clip(features, frames)[1]
        said.square().sum().backward()
    torch.testing.assert_close(inside, rounded(before["mix.conv.weight"]))
    assert not torch.equal(said, plain) and torch.allclose(said, plain, atol=0.1)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert model.mix.conv.weight.grad is not None and model.mix.conv.weight.grad.abs().sum() > 0


def test_it_can_be_off_and_gives_weights_back_after_an_error() -> None:
    model = torch.nn.Linear(3, 2)
    weight = model.weight.detach().clone()
    with weights_rounded(model, on=False):
        torch.testing.assert_close(model.weight.detach(), weight, rtol=0, atol=0)
    with pytest.raises(ValueError, match="no"), weights_rounded(model):
        raise ValueError("no")
    torch.testing.assert_close(model.weight.detach(), weight, rtol=0, atol=0)
