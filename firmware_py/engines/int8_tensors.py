"""Tensors in eight bits at a file's edges: numbers to bytes and back by the file's own scale and zero point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from edge_ser.errors import EdgeSerError

from .base import Outputs, State
from .tensor_order import TensorOrder

__all__ = ["Rounded", "Rounding", "rounding_of"]


class Rounding(NamedTuple):
    """A byte b stands for ``scale * (b - zero)``."""

    scale: float
    zero: int

    def bytes_of(self, values: np.ndarray) -> np.ndarray:
        """Nearest bytes (int8), those out of reach at the ends."""
        scaled = np.rint(np.asarray(values, np.float32) / np.float32(self.scale)) + np.float32(self.zero)
        return np.clip(scaled, -128, 127).astype(np.int8)

    def values_of(self, data: np.ndarray) -> np.ndarray:
        """What bytes stand for, float32."""
        return (data.astype(np.float32) - np.float32(self.zero)) * np.float32(self.scale)


def rounding_of(dtype: Any, scales: Sequence[float], zeros: Sequence[int], what: str) -> Rounding | None:
    """How a tensor is rounded; None where it holds numbers as they are.

    Raises
    ------
    EdgeSerError
        It holds bytes without one scale for all of them, or other integers.
    """
    if np.dtype(dtype) == np.float32:
        return None
    if np.dtype(dtype) != np.int8 or len(scales) != 1 or len(zeros) != 1 or not float(scales[0]) > 0:
        raise EdgeSerError(f"{what} is neither float32 nor int8 with one scale; export the bundle again")
    return Rounding(float(scales[0]), int(zeros[0]))


class Rounded(NamedTuple):
    """`TensorOrder` for a file some of whose tensors at the edges are bytes; states stay bytes from step to step.

    Attributes
    ----------
    order : TensorOrder
    taken_as, given_as : tuple of Rounding or None
        Of the inputs and the outputs, in the protocol's order.
    """

    order: TensorOrder
    taken_as: tuple[Rounding | None, ...]
    given_as: tuple[Rounding | None, ...]

    @classmethod
    def of(
        cls,
        order: TensorOrder,
        found: Mapping[int, Rounding | None],
        inputs: Sequence[int],
        outputs: Sequence[int],
    ) -> Rounded:
        """From the rounding of each tensor by its index in the file."""
        return cls(order, tuple(found[index] for index in inputs), tuple(found[index] for index in outputs))

    def initial_state(self) -> State:
        """Zeros, as the file holds them."""
        zeros = self.order.initial_state()
        kinds = self.taken_as[len(self.taken_as) - len(zeros) :]
        return tuple(
            value if kind is None else kind.bytes_of(value) for value, kind in zip(zeros, kinds, strict=True)
        )

    def given(self, features: np.ndarray, state: State) -> tuple[np.ndarray, ...]:
        """As `TensorOrder.given`."""
        values = self.order.given(features, state)
        if not any(self.taken_as):
            return values
        return tuple(
            value if kind is None or value.dtype == np.int8 else kind.bytes_of(value)
            for value, kind in zip(values, self.taken_as, strict=True)
        )

    def taken(self, found: Sequence[np.ndarray]) -> tuple[Outputs, State]:
        """As `TensorOrder.taken`."""
        if not any(self.given_as):
            return self.order.taken(found)
        values = [  # the first two at most are answers, also in a file that somebody else made
            value if kind is None else kind.values_of(value)
            for value, kind in zip(found[:2], self.given_as[:2], strict=True)
        ]
        return self.order.taken([*values, *found[2:]])
