"""The numpy-only bundles of tests are those that torch would make."""

from __future__ import annotations

import pytest

from tests.support import CONFIG, folded_shapes, random_weights, state_shapes

torch = pytest.importorskip("torch")

from edge_ser.models import build_model  # noqa: E402


@pytest.mark.parametrize("changes", [{}, {"stem": [4], "channels": 32, "dilations": [1, 3]}])
def test_shapes_are_those_of_the_folded_module(changes):
    config = CONFIG | changes
    model = build_model("stream72k", config, folded=True)
    assert folded_shapes(config) == {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert state_shapes(config) == {
        name: tuple(value.shape)
        for name, value in zip(model.state_names, model.initial_state(1), strict=True)
    }


def test_weights_follow_the_seed():
    first, again, other = random_weights(1), random_weights(1), random_weights(2)
    assert all((first[name] == again[name]).all() for name in first)
    assert not all((first[name] == other[name]).all() for name in first)
