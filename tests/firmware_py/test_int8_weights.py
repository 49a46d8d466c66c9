"""int8 weights become float32; a file that says something else is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from edge_ser.errors import EdgeSerError
from firmware_py.engines.int8_weights import float_weights

SCALE = np.array([0.5, 2.0], np.float32)


@given(arrays(np.int8, array_shapes(min_dims=1, max_dims=4)), st.integers(0, 100))
def test_values_times_scales(values, seed):
    scale = np.random.default_rng(seed).uniform(0.01, 2, len(values)).astype(np.float32)
    found = float_weights({"a.weight": values, "a.weight.scale": scale, "a.bias": np.ones(3, np.float32)})
    assert list(found) == ["a.weight", "a.bias"]
    assert found["a.weight"].dtype == np.float32
    for row, one, factor in zip(found["a.weight"], values, scale, strict=True):
        assert np.array_equal(row, one * factor)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"w.scale": SCALE}, "nothing to scale"),
        ({"w": np.zeros(2, np.int8)}, "w has no int8 values or no scale"),
        ({"w": np.zeros(2, np.float32), "w.scale": SCALE}, "w has no int8 values or no scale"),
        ({"w": np.zeros(3, np.int8), "w.scale": SCALE}, r"shape \(3,\) has a scale of shape \(2,\)"),
        ({"w": np.zeros((), np.int8), "w.scale": SCALE}, r"shape \(\) has a scale"),
        ({"w": np.zeros(2, np.int8), "w.scale": SCALE.astype(np.float64)}, "type float64"),
    ],
)
def test_what_does_not_fit(tensors, words):
    with pytest.raises(EdgeSerError, match=words):
        float_weights(tensors)
