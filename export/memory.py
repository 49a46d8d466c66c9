"""Working memory of a step: what weights, states and values in between take while an engine answers.

Counted from the graph that the engine runs. What a runtime itself takes, and copies of weights that it packs for its
kernels, are not in it; ``edge-ser bench`` measures whole processes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edge_ser.errors import require
from firmware_py.engines.micro_engine import Header

if TYPE_CHECKING:
    from edge_ser.bundle import Bundle
    from firmware_py.engines import Engine

__all__ = ["Lifetime", "Memory", "arena", "working_memory"]

_ALIGNED = 64  # bytes, as TFLite's planner and ONNX Runtime's arena have it


class Memory(NamedTuple):
    """Bytes.

    Attributes
    ----------
    weights : int
        Constants as the engine holds them: those that become float32 at loading count as that.
    states : int
        What a step takes from the one before.
    activations : int
        Everything else at its peak: inputs, values in between, outputs, the new states.
    method : str
        How the activations were counted.
    """

    weights: int
    states: int
    activations: int
    method: str

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.states + self.activations

    def to_dict(self) -> dict[str, Any]:
        """For JSON, with the sum as ``total``."""
        return {**self._asdict(), "total": self.total}


class Lifetime(NamedTuple):
    """A tensor between the operation that makes it and the last that reads it, both included."""

    size: int
    first: int
    last: int


def arena(tensors: Iterable[Lifetime]) -> int:
    """Bytes that tensors share when each is placed, the largest first, in the lowest gap that is free while it lives.

    TFLite plans its memory so (Pisarchyk and Lee 2020, arXiv 2001.03288).
    """
    placed: list[tuple[int, int, Lifetime]] = []  # start, end, whose
    for tensor in sorted(tensors, key=lambda one: -one.size):
        size = -(-tensor.size // _ALIGNED) * _ALIGNED
        start = 0
        for begin, end, other in sorted(placed):
            if other.first <= tensor.last and tensor.first <= other.last:
                if begin - start >= size:
                    break
                start = max(start, end)
        placed.append((start, start + size, tensor))
    return max((end for _, end, _ in placed), default=0)


def working_memory(bundle: Bundle, engine: Engine, precision: str) -> Memory | None:
    """What a step of one of a bundle's files takes.

    Parameters
    ----------
    bundle : Bundle
    engine : Engine
        Opened on the file.
    precision : str

    Returns
    -------
    Memory or None
        None of a file whose graph is not read here (torch.export's archive, ExecuTorch's).

    Raises
    ------
    MissingExtraError
        The file's packages are not installed.
    """
    if engine.name in ("torch", "executorch"):
        return None
    content = bundle.file(engine.name, precision).read_bytes()
    if engine.name == "micro":
        content = Header.parse(content.decode(), "the header").model
    if engine.name == "numpy":
        return _numpy(engine, 4 * bundle.parameters)
    states = {state.name for state in bundle.states}
    if engine.name == "onnx":
        shapes = {one.name: tuple(one.shape) for one in (*bundle.inputs, *bundle.states)}
        return _onnx(content, shapes, states)
    return _tflite(content, states)


def _numpy(engine: Any, weights: int) -> Memory:
    """The arrays that the engine's network holds, weights among them, and the new states, which each step makes."""
    held = {id(array): array.nbytes for array in _arrays(engine._net, set())}
    states = sum(array.nbytes for array in engine.initial_state())
    return Memory(weights, states, sum(held.values()) - weights + states, "the arrays that the engine holds")


def _arrays(value: Any, seen: set[int]) -> Iterator[np.ndarray]:
    """Arrays that own what an object and its parts hold."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        while (
            base := getattr(value, "base", None)
        ) is not None:  # strided views have one of another class between
            value = base
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _arrays(one, seen)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _arrays(one, seen)
    elif type(value).__module__.startswith("firmware_py."):
        yield from _arrays(vars(value), seen)


def _onnx(content: bytes, shapes: Mapping[str, tuple[int, ...]], states: set[str]) -> Memory:
    """From the graph as ONNX Runtime optimises it, run once so that every tensor has a size."""
    onnx = require("onnx", extra="export", purpose="counting memory")
    runtime = require("onnxruntime", extra="onnx", purpose="counting memory")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    # One level below all: the layouts that the last makes depend on the processor.
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        graph = onnx.load(options.optimized_model_filepath)
    nodes = list(graph.graph.node)
    ends = {value.name for value in graph.graph.output}
    made = [name for node in nodes for name in node.output if name]
    graph.graph.output.extend(onnx.ValueInfoProto(name=name) for name in made if name not in ends)
    plain = runtime.SessionOptions()
    plain.log_severity_level = 3
    plain.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(graph.SerializeToString(), plain, providers=["CPUExecutionProvider"])
    given = {one.name: np.zeros(shapes[one.name], np.float32) for one in session.get_inputs()}
    names = [one.name for one in session.get_outputs()]
    sizes = {name: value.nbytes for name, value in zip(names, session.run(None, given), strict=True)}
    sizes |= {name: value.nbytes for name, value in given.items()}
    steps = [
        ([name for name in node.input if name], [name for name in node.output if name]) for node in nodes
    ]
    weights = sum(onnx.numpy_helper.to_array(item).nbytes for item in graph.graph.initializer)
    method = "planned over the lifetimes of the tensors of ONNX Runtime's optimised graph"
    return _planned(steps, sizes, ends, states, weights, method)


def _tflite(content: bytes, states: set[str]) -> Memory:
    """From the file's graph; a constant that an operation makes float32 is held as that, beside its bytes."""
    from export import flatbuffer

    schema = require("ai_edge_litert.schema_py_generated", extra="export", purpose="counting memory")
    model = flatbuffer.read(content)
    [graph] = model.subgraphs
    widths = {schema.TensorType.INT8: 1, schema.TensorType.FLOAT16: 2, schema.TensorType.BOOL: 1,
              schema.TensorType.INT64: 8}  # fmt: skip
    buffers = {
        tensor.buffer: len(model.buffers[tensor.buffer].data)
        for tensor in graph.tensors
        if model.buffers[tensor.buffer].data is not None
    }
    constant = {i for i, tensor in enumerate(graph.tensors) if tensor.buffer in buffers}
    sizes: dict[str, int] = {}
    for i, tensor in enumerate(graph.tensors):
        count = 1 if tensor.shape is None else int(np.prod(tensor.shape))
        sizes[str(i)] = count * widths.get(tensor.type, 4)
    weights = sum(buffers.values())
    steps = []
    for operation in graph.operators:
        taken = [int(i) for i in operation.inputs if i >= 0]
        if taken and set(taken) <= constant:  # done once, at loading
            constant |= {int(i) for i in operation.outputs}
            weights += sum(sizes[str(i)] for i in operation.outputs)
            continue
        steps.append(([str(i) for i in taken if i not in constant], [str(i) for i in operation.outputs]))
    named = {one.name.decode(): str(one.tensorIndex) for one in model.signatureDefs[0].inputs}
    sizes = {name: size for name, size in sizes.items() if int(name) not in constant}
    ends = {str(i) for i in graph.outputs}
    return _planned(
        steps, sizes, ends, {named[state] for state in states}, weights,
        "planned over the lifetimes of the file's tensors, as TFLite's planner does; LiteRT's Python tells no arena",
    )  # fmt: skip


def _planned(
    steps: list[tuple[list[str], list[str]]],
    sizes: Mapping[str, int],
    ends: set[str],
    states: set[str],
    weights: int,
    method: str,
) -> Memory:
    """Lifetimes from the order of the operations; what is not in `sizes` is a constant."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for number, (taken, given) in enumerate(steps):
        for name in taken:
            if name in sizes:
                first.setdefault(name, 0)  # an input of the graph
                last[name] = number
        for name in given:
            first.setdefault(name, number)
            last[name] = len(steps) if name in ends else max(last.get(name, number), number)
    lives = [Lifetime(sizes[name], first[name], last[name]) for name in first if name not in states]
    return Memory(weights, sum(sizes[name] for name in states if name in sizes), arena(lives), method)
