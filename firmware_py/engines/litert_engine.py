"""LiteRT (TensorFlow Lite): one thread."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_ser.errors import EdgeSerError, MissingExtraError, require

from . import WRONG_ON_TFLITE_RUNTIME
from .base import Outputs, State
from .int8_tensors import Rounded, Rounding, rounding_of
from .tensor_order import TensorOrder

if TYPE_CHECKING:
    from edge_ser.bundle import Bundle

__all__ = ["LiteRTEngine"]


def _interpreter_module(precision: str) -> Any:
    """`ai_edge_litert`, or its predecessor where only that is installed and it is known to be right."""
    if find_spec("ai_edge_litert") is None and find_spec("tflite_runtime") is not None:
        if precision in WRONG_ON_TFLITE_RUNTIME:
            raise MissingExtraError(
                f"tflite_runtime gives wrong answers on {precision} files; "
                "pip install 'edge-ser[litert]', or choose --precision fp32"
            )
        return require("tflite_runtime.interpreter", extra="litert", purpose="running the litert engine")
    return require("ai_edge_litert.interpreter", extra="litert", purpose="running the litert engine")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """LiteRT tells standard error which delegate it made, past Python; its errors come as exceptions as well."""
    if sys.stderr is not None:  # a program without a console has none
        sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # closed: nobody is told anything
        kept = None
    if kept is None:
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


class LiteRTEngine:
    """Runs the bundle's ``.tflite`` file of a precision.

    The tensors are found by name through the file's signature, or by order where it has none.
    """

    name = "litert"

    def __init__(self, bundle: Bundle, path: Path, precision: str) -> None:
        module = _interpreter_module(precision)
        self.precision = precision
        try:
            with _quiet():
                self._interpreter = module.Interpreter(model_path=str(path), num_threads=1)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise EdgeSerError(f"LiteRT cannot load {path}: {error}") from error
        inputs, outputs = self._signature()
        shape = {
            detail["index"]: tuple(int(size) for size in detail["shape"])
            for detail in (*self._interpreter.get_input_details(), *self._interpreter.get_output_details())
        }
        self._order = TensorOrder.of(
            bundle,
            inputs=[(name, shape[index]) for name, index in inputs],
            outputs=[(name, shape[index]) for name, index in outputs],
            path=path,
        )
        self._inputs = [dict(inputs)[name] for name in self._order.inputs]
        self._outputs = [dict(outputs)[name] for name in self._order.outputs]
        details = (*self._interpreter.get_input_details(), *self._interpreter.get_output_details())
        self._rounded = Rounded.of(
            self._order, {one["index"]: _rounding(one, path) for one in details}, self._inputs, self._outputs
        )

    def _signature(self) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
        """Names and tensor indices of the inputs and outputs."""
        signatures = self._interpreter._get_full_signature_list()
        if signatures:
            signature = next(iter(signatures.values()))
            return list(signature["inputs"].items()), list(signature["outputs"].items())
        return (
            [(detail["name"], detail["index"]) for detail in self._interpreter.get_input_details()],
            [(detail["name"], detail["index"]) for detail in self._interpreter.get_output_details()],
        )

    def initial_state(self) -> State:
        """All zeros, as bundle.json declares them, in the file's own type."""
        return self._rounded.initial_state()

    def step(self, features: np.ndarray, state: State) -> tuple[Outputs, State]:
        """One step; see `Engine.step`."""
        interpreter = self._interpreter
        for index, value in zip(self._inputs, self._rounded.given(features, state), strict=True):
            interpreter.set_tensor(index, value)
        interpreter.invoke()
        return self._rounded.taken([interpreter.get_tensor(index) for index in self._outputs])  # copies


def _rounding(detail: Mapping[str, Any], path: Path) -> Rounding | None:
    found = detail["quantization_parameters"]
    name = f"{path.name}: {detail['name']}"
    return rounding_of(detail["dtype"], found["scales"], found["zero_points"], name)
