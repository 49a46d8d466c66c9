"""The NumPy forms against plain double precision: they are the reference of the compiled ones."""

from __future__ import annotations

import numpy as np

from edge_ser.dsp import twins


def test_smoothing_is_in_double_precision() -> None:
    x = (0.1 * np.random.default_rng(0).standard_normal((400, 3)) ** 2).astype(np.float32)
    state = level = np.array([0.0, 0.3, 7.0])
    found, last = twins.smooth(x, 0.0123, state)
    for row, smoothed in zip(x.tolist(), found, strict=True):
        level = np.array([0.0123 * value + (1 - 0.0123) * old for value, old in zip(row, level, strict=True)])
        np.testing.assert_array_equal(smoothed, level.astype(np.float32))
    np.testing.assert_array_equal(last, level)
    np.testing.assert_array_equal(state, [0.0, 0.3, 7.0])
