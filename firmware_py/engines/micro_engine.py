"""A C header's model on tflite-micro: for hosts, where it proves that the array and its numbers are the model.

What a microcontroller compiles is read from the header itself: the bytes of the model, the order of its tensors, and
their scales and zero points.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edge_ser.errors import EdgeSerError, require

from .base import Outputs, State
from .int8_tensors import Rounded, Rounding
from .tensor_order import TensorOrder

if TYPE_CHECKING:
    from edge_ser.bundle import Bundle

__all__ = ["Header", "MicroEngine"]

_TENSOR = re.compile(r'\{"([A-Za-z0-9_]+)", (\d+), ([0-9.e+-]+)f, (-?\d+)\}')


class Header(NamedTuple):
    """What a header says.

    Attributes
    ----------
    model : bytes
    inputs, outputs : tuple of (name, bytes, Rounding)
        In the model's order.
    arena : int
        Bytes.
    """

    model: bytes
    inputs: tuple[tuple[str, int, Rounding], ...]
    outputs: tuple[tuple[str, int, Rounding], ...]
    arena: int

    @classmethod
    def parse(cls, text: str, what: str) -> Header:
        """Read a header that ``edge-ser export`` wrote.

        Raises
        ------
        EdgeSerError
            A part is not there, or the array has another size than is said.
        """

        def found(pattern: str) -> str:
            match = re.search(pattern, text, re.DOTALL)
            if match is None:
                raise EdgeSerError(f"{what} is no header of edge-ser; export the bundle again")
            return match[1]

        def tensors(name: str) -> tuple[tuple[str, int, Rounding], ...]:
            rows = _TENSOR.findall(found(rf"edge_ser_{name}\[\d+\] = \{{(.*?)\n\}};"))
            return tuple((row[0], int(row[1]), Rounding(float(row[2]), int(row[3]))) for row in rows)

        model = bytes.fromhex(
            re.sub(r"0x|[\s,]", "", found(r"edge_ser_model\[EDGE_SER_MODEL_BYTES\] = \{(.*?)\};"))
        )
        if len(model) != int(found(r"#define EDGE_SER_MODEL_BYTES (\d+)")):
            raise EdgeSerError(f"{what} holds {len(model)} bytes of a model, not as many as it says")
        arena = int(found(r"#define EDGE_SER_ARENA_BYTES (\d+)"))
        return cls(model, tensors("inputs"), tensors("outputs"), arena)


class MicroEngine:
    """Runs the bundle's ``.h`` file in the arena that it names."""

    name = "micro"

    def __init__(self, bundle: Bundle, path: Path, precision: str) -> None:
        runtime = require(
            "tflite_micro.python.tflite_micro.runtime", extra="micro", purpose="running a C header's model"
        )
        self.precision = precision
        header = Header.parse(path.read_text(encoding="utf-8"), str(path))
        try:
            self._run = runtime.Interpreter.from_bytes(header.model, arena_size=header.arena)
        except RuntimeError as error:
            raise EdgeSerError(f"tflite-micro cannot load the model of {path}: {error}") from error
        declared = (*bundle.inputs, *bundle.states, *bundle.outputs)
        shapes = {item.name: tuple(item.shape) for item in declared}
        shapes |= {state.next_name: tuple(state.shape) for state in bundle.states}
        inputs, outputs = (
            [(name, _checked(name, size, shapes, path)) for name, size, _ in part]
            for part in (header.inputs, header.outputs)
        )
        order = TensorOrder.of(bundle, inputs=inputs, outputs=outputs, path=path)
        names = [name for name, _, _ in header.inputs], [name for name, _, _ in header.outputs]
        self._inputs = [names[0].index(name) for name in order.inputs]
        self._outputs = [names[1].index(name) for name in order.outputs]
        kinds = {name: kind for name, _, kind in (*header.inputs, *header.outputs)}
        self._rounded = Rounded(
            order,
            tuple(kinds[name] for name in order.inputs),
            tuple(kinds[name] for name in order.outputs),
        )

    def initial_state(self) -> State:
        """All zeros, as the model holds them."""
        return self._rounded.initial_state()

    def step(self, features: np.ndarray, state: State) -> tuple[Outputs, State]:
        """One step; see `Engine.step`."""
        for index, value in zip(self._inputs, self._rounded.given(features, state), strict=True):
            self._run.set_input(value, index)
        self._run.invoke()
        return self._rounded.taken([np.array(self._run.get_output(index)) for index in self._outputs])


def _checked(name: str, size: int, shapes: dict[str, tuple[int, ...]], path: Path) -> tuple[int, ...]:
    shape = shapes.get(name)
    if shape is None or int(np.prod(shape)) != size:
        raise EdgeSerError(
            f"{path.name}: {name} of {size} bytes is not what bundle.json declares; export the bundle again"
        )
    return shape
