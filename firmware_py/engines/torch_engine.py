"""A program of `torch.export` on torch: for hosts, where it proves that a ``.pt2`` file is the model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_ser.errors import EdgeSerError, require

from .base import Outputs, State
from .tensor_order import TensorOrder

if TYPE_CHECKING:
    from edge_ser.bundle import Bundle

__all__ = ["TorchEngine"]


class TorchEngine:
    """Runs the bundle's ``.pt2`` file."""

    name = "torch"

    def __init__(self, bundle: Bundle, path: Path, precision: str) -> None:
        self._torch = torch = require("torch", extra="export", purpose="running a .pt2 file")
        self.precision = precision
        try:
            program = torch.export.load(str(path))
            self._module = program.module()
        except Exception as error:  # of any class: archive, schema and operators each have their own
            reason = " ".join(str(error).split())[:200]
            raise EdgeSerError(
                f"torch {torch.__version__} cannot load {path} ({reason}); export the bundle with this version"
            ) from error
        self._order = TensorOrder.of(
            bundle,
            inputs=_shapes(program, program.graph_signature.user_inputs),
            outputs=[(item.name, tuple(item.shape)) for item in bundle.outputs]
            + [(state.next_name, tuple(state.shape)) for state in bundle.states],
            path=path,
            dynamic=bundle.window is not None and bundle.model_file(self.name, precision).form == "clip",
        )

    def initial_state(self) -> State:
        """All zeros, as bundle.json declares them."""
        return self._order.initial_state()

    def step(self, features: np.ndarray, state: State) -> tuple[Outputs, State]:
        """One step; see `Engine.step`."""
        order, torch = self._order, self._torch
        feed = dict(zip(order.inputs, order.given(features, state), strict=True))
        with torch.inference_mode():
            # A copy: torch wants memory that it may write to.
            given = {name: torch.from_numpy(np.array(value)) for name, value in feed.items()}
            found = self._module(**given)
        return order.taken([found[name].numpy() for name in order.outputs])


def _shapes(program: Any, names: Any) -> list[tuple[str, tuple[int | str | None, ...]]]:
    """Of a program's inputs; a size that it leaves open is a symbol there, and its text here."""
    values = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    return [
        (name, tuple(size if isinstance(size, int) else str(size) for size in values[name].shape))
        for name in names
    ]
