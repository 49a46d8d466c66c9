"""A widened network answers as the narrow one, and its copies part when they learn."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.models.stream72k import Stream72k, Stream72kConfig  # noqa: E402
from edge_ser.models.widen import can_widen, widen  # noqa: E402

NARROW = Stream72kConfig(
    labels=("a", "b", "c"),
    n_mels=16,
    stem=(2, 4),
    halve=1,
    channels=8,
    dilations=(1, 2),
    heads=2,
    window_segments=3,
)


def learnt(seed: int) -> Stream72k:
    """A network whose statistics and weights are none that it was made with."""
    torch.manual_seed(seed)
    model = Stream72k(NARROW)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.5 if "norm" in name else torch.randn_like(value) * 0.3)
    return model.eval()


@settings(max_examples=15)
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.integers(1, 3),
    st.integers(0, 2**31),
    st.integers(1, 4),
)
def test_the_function_stays(stem: tuple[int, int], times: int, seed: int, steps: int) -> None:
    model = learnt(seed)
    shape = dataclasses.replace(NARROW, stem=(2 * stem[0], 4 * stem[1]), channels=8 * times)
    wide = widen(model, shape, seed)
    features = torch.randn(2, 20 * steps, 16)
    with torch.inference_mode():
        for one, other in zip(model(features), wide(features), strict=True):
            assert torch.allclose(one, other, atol=1e-4)
        pairs = zip(model.fold()(features), wide.fold()(features), strict=True)
        assert all(torch.allclose(one, other, atol=1e-4) for one, other in pairs)


def test_copies_of_a_channel_part_in_training() -> None:
    wide = widen(learnt(0), dataclasses.replace(NARROW, channels=16), 0).train()
    rate = torch.optim.AdamW(wide.parameters(), lr=1e-2)
    assert torch.equal(wide.down.conv.weight[0::2], wide.down.conv.weight[1::2])
    for _ in range(3):
        rate.zero_grad()
        _, logits = wide.clip(torch.randn(8, 40, 16), torch.full((8,), 40))
        torch.nn.functional.cross_entropy(logits, torch.arange(8) % 3).backward()
        rate.step()
    apart = (wide.down.conv.weight[0::2] - wide.down.conv.weight[1::2]).abs().amax((1, 2))
    assert bool((apart > 1e-4).all())


@pytest.mark.parametrize(
    "change",
    [
        {"channels": 12},
        {"channels": 4},
        {"stem": (2, 6)},
        {"stem": (4, 4, 4)},
        {"heads": 4},
        {"halve": -1},
        {"bound": 5.0},
    ],
)
def test_what_is_more_than_width_is_refused(change: dict[str, object]) -> None:
    shape = dataclasses.replace(NARROW, **change)
    assert not can_widen(NARROW, shape)
    with pytest.raises(EdgeSerError, match="whole multiples"):
        widen(learnt(0), shape, 0)


def test_other_labels_and_a_folded_network_are_refused() -> None:
    shape = dataclasses.replace(NARROW, channels=16)
    assert can_widen(NARROW, dataclasses.replace(shape, labels=("x",)))  # whose head is begun anew
    for model, wanted in ((learnt(0), dataclasses.replace(shape, labels=("x",))), (learnt(0).fold(), shape)):
        with pytest.raises(EdgeSerError, match="whole multiples"):
            widen(model, wanted, 0)
