"""Bytes at a file's edges: answers become numbers, states stay bytes, and what is bytes already is not rounded."""

import numpy as np
import pytest

from edge_ser.errors import EdgeSerError
from edge_ser.interface import Interface
from firmware_py.engines.int8_tensors import Rounded, Rounding, rounding_of
from firmware_py.engines.tensor_order import TensorOrder

HALVES, FIFTHS, TENTHS = Rounding(0.5, 1), Rounding(0.2, 0), Rounding(0.1, -3)


def test_bytes_are_the_nearest_and_end_where_bytes_end():
    values = np.float32([-1000, -0.3, 0, 0.3, 1000])
    assert HALVES.bytes_of(values).tolist() == [-128, 0, 1, 2, 127]
    assert HALVES.bytes_of(values).dtype == np.int8
    back = HALVES.values_of(np.int8([-128, 1, 127]))
    assert back.tolist() == [-64.5, 0, 63] and back.dtype == np.float32


def test_a_stream_in_bytes():
    order = TensorOrder(
        ("x", "a", "b"), ("adv", "logits", "a'", "b'"), (((1, 2), "float32"), ((1,), "float32"))
    )
    edges = Rounded.of(
        order, {0: None, 1: HALVES, 2: FIFTHS, 3: TENTHS}, inputs=(0, 1, 2), outputs=(3, 0, 1, 2)
    )
    assert edges.taken_as == (None, HALVES, FIFTHS) and edges.given_as == (TENTHS, None, HALVES, FIFTHS)
    state = edges.initial_state()
    assert [value.tolist() for value in state] == [[[1, 1]], [0]] and {v.dtype for v in state} == {
        np.dtype(np.int8)
    }
    x, first, second = edges.given(np.float32([[0.25]]), (np.int8([[5, 6]]), np.float32([0.6])))
    assert x.tolist() == [[[0.25]]] and first.tolist() == [[5, 6]] and second.tolist() == [3]
    outputs, new = edges.taken([np.int8([[7]]), np.float32([[0.5]]), np.int8([[9, 8]]), np.int8([4])])
    assert outputs.adv.tolist() == [np.float32(0.1) * 10] and outputs.logits.tolist() == [0.5]
    assert [value.tolist() for value in new] == [[[9, 8]], [4]] and new[0].dtype == np.int8


@pytest.mark.parametrize("adv", ["adv", None])
def test_a_file_that_somebody_else_made(adv):
    interface = Interface("x", (1, 2), False, "scores", "logits", adv)
    order = TensorOrder(("x",), interface.outputs, (), interface)
    edges = Rounded.of(order, {0: HALVES, 1: TENTHS, 2: FIFTHS}, (0,), (1, 2)[: len(interface.outputs)])
    (x,) = edges.given(np.float32([1.0, -0.5]), ())
    assert x.tolist() == [[3, 0]] and x.dtype == np.int8
    found = [np.int8([[-3, 7]]), np.int8([[1, 2, 3]])][: len(interface.outputs)]
    outputs, state = edges.taken(found)
    assert outputs.logits.tolist() == [0, 1] and state == ()
    assert outputs.adv == pytest.approx([0.2, 0.4, 0.6] if adv else [0.5] * 3)


def test_numbers_as_they_are():
    order = TensorOrder(("x",), ("adv", "logits"), ())
    edges = Rounded(order, (None,), (None, None))
    features, found = np.float32([[1, 2]]), [np.float32([[1, 2, 3]]), np.float32([[4]])]
    assert edges.given(features, ())[0].base is features and edges.initial_state() == ()
    assert edges.taken(found)[0].logits.tolist() == [4]


def test_what_is_rounded_otherwise_is_refused():
    assert rounding_of(np.float32, (), (), "x") is None and rounding_of(np.int8, [0.5], [1], "x") == HALVES
    for dtype, scales, zeros in (
        (np.uint8, [0.5], [1]), (np.int8, [0.5, 0.5], [1, 1]), (np.int8, [0.5], []), (np.int8, [0.0], [1]),
        (np.int8, [float("nan")], [1]), (np.float64, [0.5], [1]),
    ):  # fmt: skip
        with pytest.raises(EdgeSerError, match="x is neither float32 nor int8 with one scale; export"):
            rounding_of(dtype, scales, zeros, "x")
