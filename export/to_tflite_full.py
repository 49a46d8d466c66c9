"""TFLite whose inputs, outputs, states and products are all eight bits: for microcontrollers and int8 accelerators.

What is exponential, divided or a root stays float inside (the pool's weights and deviations, and the heads): eight
bits have no room for it, it is a hundredth of the work, and tflite-micro has these operations in float.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_ser.bundle import next_name
from edge_ser.errors import EdgeSerError, require
from export import flatbuffer
from export.chatter import hush
from export.quantise import biased_layers, corrected_bias, int8_layers, room_for_bias, round_weight
from export.to_tflite import convert
from export.to_tflite_int8 import least_step, place

if TYPE_CHECKING:
    from export.source import Source

__all__ = ["quantised", "to_tflite_full"]

_PRODUCTS = ("CONV_2D", "DEPTHWISE_CONV_2D")
#: Operations that only move values: one scale goes in and comes out.
_MOVES = ("RESHAPE", "TRANSPOSE", "CONCATENATION", "SLICE", "STRIDED_SLICE", "PAD", "MAX_POOL_2D", "SPLIT")
_SUMS = ("ADD", "MEAN")


def to_tflite_full(source: Source) -> bytes:
    """The file in eight bits throughout; see `quantised`."""
    return source.full


def quantised(source: Source) -> bytes:
    """Quantise a model from its log-mel features to its answers.

    Parameters
    ----------
    source : Source
        With a calibration set; a window's input must be features.

    Returns
    -------
    bytes
        A TFLite file with the signature of `export.to_tflite.to_tflite` whose tensors in and out are int8, the same
        for the same model and set. A state's values mean other things than in the float files.

    Raises
    ------
    EdgeSerError
        There is no calibration set, or a layer is not in the file as it was expected.
    MissingExtraError
        torch, litert-torch or ai-edge-quantizer is not installed.
    """
    even: Any = source.even
    if source.plan is None:
        from export.micro_step import MicroStep

        named: Any = MicroStep(even, source.calibration.features)
    else:
        from export.window import NamedWindow

        named = NamedWindow(even, source.plan)
    content = convert(named)
    graph = flatbuffer.read(content)
    _pad_with_zeros(graph)
    rounded = int8_layers(even)
    for name, layer in biased_layers(even).items():
        weight, bias = room_for_bias(layer, least_step(source.observed[name].taken)), layer.bias
        if name in rounded:
            bias = corrected_bias(layer, *round_weight(weight), source.observed[name].mean)
        elif weight is layer.weight:
            continue
        there = place(graph, name, layer)
        there.weight.data = there.arranged(weight).view(np.uint8).reshape(-1)
        there.bias.data = bias.view(np.uint8)
    content = flatbuffer.pack(graph)
    work = _Partition(graph, source.states)
    ranges = work.shared(_ranges(content, source))
    result = flatbuffer.read(_quantised(content, work.rules(), ranges))
    flatbuffer.tidy(result)
    _check(result)
    return flatbuffer.pack(result)


class _Partition:
    """Which operations of a graph are computed in eight bits.

    From the inputs on: products, sums and moves of eight bits are eight bits, and everything after the first other
    operation is float, but for what goes back into a state.
    """

    def __init__(self, graph: Any, states: Sequence[str], kept: Collection[str] = ()) -> None:
        schema = require("ai_edge_litert.schema_py_generated", extra="export", purpose="exporting to TFLite")
        names = {
            value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)
        }
        self._graph, part = graph, graph.subgraphs[0]
        self._tensors = part.tensors
        signature = graph.signatureDefs[0]
        self._inputs = {one.name.decode(): one.tensorIndex for one in signature.inputs}
        self._outputs = {one.name.decode(): one.tensorIndex for one in signature.outputs}
        self._states = states
        carried = {self._outputs[next_name(state)] for state in states}
        rounded = set(self._inputs.values())
        self.integer: list[tuple[str, Any]] = []
        for operation in part.operators:
            kind = names[graph.operatorCodes[operation.opcodeIndex].builtinCode]
            given = [index for index in operation.inputs if index >= 0 and not self._constant(index)]
            known = kind in (*_PRODUCTS, *_MOVES, *_SUMS) and all(index in rounded for index in given)
            known = known and self._name(operation.outputs[0]) not in kept
            if known or (kind == "CONCATENATION" and carried & set(operation.outputs)):
                self.integer.append((kind, operation))
                rounded |= {int(index) for index in operation.outputs}
        self._rounded = rounded

    def _constant(self, index: int) -> bool:
        return self._graph.buffers[self._tensors[index].buffer].data is not None

    def rules(self) -> list[tuple[str, str]]:
        """Pairs of the kind of an operation and the full name of what it gives."""
        return [(kind, self._name(operation.outputs[0])) for kind, operation in self.integer]

    def _name(self, index: int) -> str:
        name: str = self._tensors[index].name.decode()
        return name

    def shared(self, ranges: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        """Ranges by tensor, one for all that moves join, and for a state and its new value."""
        group = {index: index for index in range(len(self._tensors))}

        def find(index: int) -> int:
            while group[index] != index:
                index = group[index]
            return index

        for kind, operation in self.integer:
            if kind in _MOVES:
                there = [
                    i for i in (*operation.inputs, *operation.outputs) if i >= 0 and not self._constant(i)
                ]
                for index in there[1:]:
                    group[find(int(index))] = find(int(there[0]))
        for state in self._states:
            group[find(self._outputs[next_name(state)])] = find(self._inputs[state])
        limits: dict[int, tuple[float, float]] = {}
        for index in group:
            low, high = ranges.get(self._name(index), (0.0, 0.0))
            before = limits.get(find(index), (0.0, 0.0))
            limits[find(index)] = (min(low, before[0]), max(high, before[1]))
        computed = [index for index in group if self._name(index) in ranges and not self._constant(index)]
        return {self._name(index): limits[find(index)] for index in computed}  # a weight has its own scales


def _pad_with_zeros(graph: Any) -> None:
    """Pads before a maximum are of minus infinity, which no byte is; behind a ReLU zeros win as little."""
    schema = require("ai_edge_litert.schema_py_generated", extra="export", purpose="exporting to TFLite")
    kinds, relu = schema.BuiltinOperator, schema.ActivationFunctionType.RELU
    codes = [code.builtinCode for code in graph.operatorCodes]
    part = graph.subgraphs[0]
    made_by = {int(index): operation for operation in part.operators for index in operation.outputs}
    for operation in part.operators:
        before = (
            made_by.get(int(operation.inputs[0])) if codes[operation.opcodeIndex] == kinds.PADV2 else None
        )
        if before is None or getattr(before.builtinOptions, "fusedActivationFunction", None) != relu:
            continue
        if kinds.PAD not in codes:
            code = schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = kinds.PAD
            code.version = 2  # the first that takes bytes
            graph.operatorCodes.append(code)
            codes.append(kinds.PAD)
        operation.opcodeIndex = codes.index(kinds.PAD)
        operation.inputs = operation.inputs[:2]
        operation.builtinOptionsType, operation.builtinOptions = (
            schema.BuiltinOptions.PadOptions,
            schema.PadOptionsT(),
        )


def _ranges(content: bytes, source: Source) -> dict[str, tuple[float, float]]:
    """Least and greatest value of every float tensor in the calibration set, states carried from step to step."""
    module = require("ai_edge_litert.interpreter", extra="export", purpose="exporting to TFLite")
    with hush():
        run = module.Interpreter(model_content=content, num_threads=1, experimental_preserve_all_tensors=True)
        run.allocate_tensors()
    signature = run._get_full_signature_list()["serving_default"]
    details = [one for one in run.get_tensor_details() if one["dtype"] is np.float32]
    found: dict[str, tuple[float, float]] = {}
    slots, gives = signature["inputs"], signature["outputs"]
    shapes = {one["index"]: one["shape"] for one in run.get_input_details()}
    for steps in _inputs(source):
        state = {name: np.zeros(shapes[slots[name]], np.float32) for name in source.states}
        for features in steps:
            for name, value in ({"features": features} | state).items():
                run.set_tensor(slots[name], value)
            run.invoke()
            state = {name: run.get_tensor(gives[next_name(name)]) for name in source.states}
            for one in details:
                value = run.get_tensor(one["index"])
                low, high = found.get(one["name"], (0.0, 0.0))
                found[one["name"]] = min(low, float(value.min())), max(high, float(value.max()))
    return found


def _inputs(source: Source) -> Iterator[Sequence[np.ndarray]]:
    """Of each recording, what the steps of a stream are given, or the one window."""
    for given in source.calibration.features:
        yield list(given[:, None]) if source.plan is None else [given[None]]


def _quantised(
    content: bytes, rules: Sequence[tuple[str, str]], ranges: Mapping[str, tuple[float, float]]
) -> bytes:
    with hush():
        quantizer = require("ai_edge_quantizer.quantizer", extra="export", purpose="exporting to int8 TFLite")
        kinds = quantizer.qtyping.TFLOperationName
        work = quantizer.Quantizer(bytearray(content))
        for kind, name in rules:
            work.add_static_config(f"^{re.escape(name)}(;|$)", kinds[kind], 8, 8)
        for kind in (kinds.INPUT, kinds.OUTPUT):
            work.add_static_config(".*", kind, 8, 8)
        limits = {
            name: {"min": np.full((1, 1, 1, 1), low), "max": np.full((1, 1, 1, 1), high)}
            for name, (low, high) in ranges.items()
        }
        result = work.quantize(limits, enable_progress_bar=False, enable_progress_report=False)
        return bytes(result.quantized_model)


def _check(graph: Any) -> None:
    """The quantiser is silent on a rule that fits nothing."""
    schema = require("ai_edge_litert.schema_py_generated", extra="export", purpose="exporting to TFLite")
    part = graph.subgraphs[0]
    for index in (*part.inputs, *part.outputs):
        if part.tensors[index].type != schema.TensorType.INT8:
            raise EdgeSerError(
                f"the tensor {part.tensors[index].name.decode()} did not become int8; this version of "
                "ai-edge-quantizer does otherwise: install the one that constraints.txt names"
            )
