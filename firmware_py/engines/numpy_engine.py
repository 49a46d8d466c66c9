"""The NumPy engine: needs nothing beyond the base install and is the smallest in memory."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_ser.errors import EdgeSerError
from edge_ser.tensors import read_safetensors

from .base import Outputs, State
from .int8_weights import float_weights

if TYPE_CHECKING:
    from edge_ser.bundle import Bundle

__all__ = ["NumpyEngine"]

# architecture -> module and class with `state_shapes` and `step(features, state)`
_NETS = {"stream72k": ("firmware_py.engines.numpy_stream72k", "Stream72kNet")}


class NumpyEngine:
    """Runs the bundle's ``.safetensors`` file of a precision with the NumPy form of its architecture."""

    name = "numpy"

    def __init__(self, bundle: Bundle, path: Path, precision: str) -> None:
        if bundle.architecture not in _NETS:
            raise EdgeSerError(
                f"the NumPy engine does not know the architecture {bundle.architecture!r} "
                f"(it knows {', '.join(sorted(_NETS))}); choose another engine"
            )
        module, name = _NETS[bundle.architecture]
        net = getattr(importlib.import_module(module), name)
        self.precision = precision
        weights = read_safetensors(path)
        self._net = net(float_weights(weights) if precision == "int8" else weights, bundle.config)
        declared = tuple(tuple(state.shape) for state in bundle.states)
        if declared != self._net.state_shapes:
            raise EdgeSerError(
                f"{bundle.name}: the states in bundle.json {declared} are not those of the weights "
                f"{self._net.state_shapes}; export the bundle again from its checkpoint"
            )

    def initial_state(self) -> State:
        """All zeros."""
        return tuple(np.zeros(shape, np.float32) for shape in self._net.state_shapes)

    def step(self, features: np.ndarray, state: State) -> tuple[Outputs, State]:
        """One step; see `Engine.step`."""
        return self._net.step(features, state)
