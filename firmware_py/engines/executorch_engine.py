"""A ``.pte`` file on ExecuTorch's own runtime: for hosts, where it proves that the file is the model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_ser.errors import EdgeSerError, require

from .base import Outputs, State
from .tensor_order import TensorOrder

if TYPE_CHECKING:
    from edge_ser.bundle import Bundle

__all__ = ["ExecutorchEngine"]


class ExecutorchEngine:
    """Runs the bundle's ``.pte`` file; its tensors have an order and no names."""

    name = "executorch"

    def __init__(self, bundle: Bundle, path: Path, precision: str) -> None:
        self._torch = require("torch", extra="export", purpose="running a .pte file")
        runtime = require("executorch.runtime", extra="executorch", purpose="running a .pte file")
        self.precision = precision
        try:
            # The program has to outlive its method.
            self._program = runtime.Runtime.get().load_program(path.read_bytes())
            self._method = self._program.load_method("forward")
        except RuntimeError as error:
            raise EdgeSerError(f"ExecuTorch cannot load {path}: {error}") from error
        about = self._method.metadata
        states = tuple(bundle.states)
        names = [item.name for item in (*bundle.inputs, *states)]
        given = [*(item.name for item in bundle.outputs), *(state.next_name for state in states)]
        if (about.num_inputs(), about.num_outputs()) != (len(names), len(given)):
            raise EdgeSerError(
                f"{path.name} takes {about.num_inputs()} tensors and gives {about.num_outputs()} where bundle.json "
                f"declares {len(names)} and {len(given)}; export the bundle again"
            )
        self._order = TensorOrder.of(
            bundle,
            inputs=[(name, tuple(about.input_tensor_meta(i).sizes())) for i, name in enumerate(names)],
            outputs=[(name, tuple(about.output_tensor_meta(i).sizes())) for i, name in enumerate(given)],
            path=path,
        )

    def initial_state(self) -> State:
        """All zeros, as bundle.json declares them."""
        return self._order.initial_state()

    def step(self, features: np.ndarray, state: State) -> tuple[Outputs, State]:
        """One step; see `Engine.step`."""
        # Copies both ways: what goes in must be writable, and what comes out is the runtime's own memory.
        given = [self._torch.from_numpy(np.array(value)) for value in self._order.given(features, state)]
        found = self._method.execute(given)
        return self._order.taken([np.array(value.numpy()) for value in found])
