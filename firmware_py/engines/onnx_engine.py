"""ONNX Runtime: one thread and no spinning, since a device answers four times a second and sleeps between."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_ser.errors import EdgeSerError, require

from .base import Outputs, State
from .tensor_order import TensorOrder

if TYPE_CHECKING:
    from edge_ser.bundle import Bundle

__all__ = ["OnnxEngine"]

_ERRORS_ONLY = 3


class OnnxEngine:
    """Runs the bundle's ``.onnx`` file of a precision."""

    name = "onnx"

    def __init__(self, bundle: Bundle, path: Path, precision: str) -> None:
        runtime = require("onnxruntime", extra="onnx", purpose="running the onnx engine")
        self.precision = precision
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
        # With the default, waiting threads burn a core between steps: 11 % of it for a network of 40 K at 4 Hz.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = _ERRORS_ONLY
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own classes derive from Exception alone
            raise EdgeSerError(f"ONNX Runtime cannot load {path}: {error}") from error
        self._order = TensorOrder.of(
            bundle,
            inputs=[(item.name, tuple(item.shape)) for item in self._session.get_inputs()],
            outputs=[(item.name, tuple(item.shape)) for item in self._session.get_outputs()],
            path=path,
            dynamic=bundle.window is not None and bundle.model_file(self.name, precision).form == "clip",
        )

    def initial_state(self) -> State:
        """All zeros, as bundle.json declares them."""
        return self._order.initial_state()

    def step(self, features: np.ndarray, state: State) -> tuple[Outputs, State]:
        """One step; see `Engine.step`."""
        order = self._order
        feed = dict(zip(order.inputs, order.given(features, state), strict=True))
        return order.taken(self._session.run(order.outputs, feed))
