"""Working memory: the plan's laws, and counts that are known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.memory import Lifetime, Memory, _numpy, _planned, arena, working_memory
from firmware_py.engines import open_engine
from tests.support import state_shapes

lifetimes = st.lists(
    st.tuples(st.integers(1, 5000), st.integers(0, 12), st.integers(0, 6)).map(
        lambda one: Lifetime(one[0], one[1], one[1] + one[2])
    ),
    max_size=12,
)
STATES = sum(4 * int(np.prod(shape)) for shape in state_shapes().values())


def aligned(size: int) -> int:
    return -(-size // 64) * 64


@given(lifetimes)
def test_no_less_than_what_lives_at_once_and_no_more_than_all(tensors):
    planned = arena(tensors)
    peak = max(
        (sum(aligned(t.size) for t in tensors if t.first <= now <= t.last) for now in range(20)), default=0
    )
    assert peak <= planned <= sum(aligned(t.size) for t in tensors)


def test_what_does_not_live_at_once_shares_its_place():
    assert arena([]) == 0
    chain = [Lifetime(640, i, i + 1) for i in range(10)]
    assert arena(chain) == 1280
    assert arena([Lifetime(100, 0, 0), Lifetime(100, 1, 1)]) == 128
    # the largest lies lowest, and the smallest where it has gone
    assert arena([Lifetime(64, 0, 0), Lifetime(128, 0, 1), Lifetime(192, 1, 1)]) == 192 + 128
    # a gap between two that live is used
    assert arena([Lifetime(640, 0, 9), Lifetime(640, 0, 1), Lifetime(640, 2, 9), Lifetime(64, 0, 9)]) == 1344


def test_tensors_live_from_where_they_are_made_to_where_they_are_last_read():
    steps = [(["x"], ["a"]), (["a", "old"], ["b", "new"]), (["b"], ["y"])]
    sizes = {"x": 640, "a": 64, "b": 640, "y": 640, "old": 1280, "new": 640}
    found = _planned(steps, sizes, {"y", "new"}, {"old"}, 7, "by hand")
    # b, the new state, which stays to the end, and y at once; x and a have gone
    assert found == Memory(7, 1280, 3 * 640, "by hand")
    # an input is there from the start, whoever reads it late
    late = _planned([(["x"], ["a"]), (["a", "z"], ["y"])], sizes | {"z": 640, "y": 64}, {"y"}, set(), 0, "")
    assert late.activations == 640 + 640 + 64


def test_arrays_are_counted_once_and_new_states_with_them():
    weight, scratch = np.zeros(100, np.float32), np.zeros(50, np.float32)
    net = {"weight": weight, "seen": [scratch[::2], (scratch[1:],)], "again": weight.reshape(10, 10)}
    engine = SimpleNamespace(_net=net, initial_state=lambda: (np.zeros(10, np.float32),))
    assert _numpy(engine, 400)[:3] == (400, 40, 200 + 40)


def test_numpy(full_bundle):
    memory = working_memory(full_bundle, open_engine(full_bundle, "numpy"), "fp32")
    assert memory.states == STATES
    assert memory.weights == 4 * full_bundle.parameters
    assert memory.activations > STATES  # the new ones, and scratch
    assert memory.to_dict()["total"] == memory.total < 900_000


@pytest.mark.parametrize(("engine", "package"), [("onnx", "onnxruntime"), ("litert", "ai_edge_litert")])
def test_graphs(full_bundle, int8_bundle, engine, package):
    pytest.importorskip(package)
    whole = working_memory(full_bundle, open_engine(full_bundle, engine), "fp32")
    small = working_memory(int8_bundle, open_engine(int8_bundle, engine, "int8"), "int8")
    assert whole.states == small.states == STATES
    assert 4 * full_bundle.parameters <= whole.weights < 4.05 * full_bundle.parameters
    # nine tenths of the weights are bytes; what is computed with floats is held as floats
    assert full_bundle.parameters < small.weights < 1.6 * full_bundle.parameters
    # the pool's new state and a few maps of 20 frames live at once
    assert STATES < small.activations < 200_000
    assert small.total <= 300_000  # the bar of issue 6
