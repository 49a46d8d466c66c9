"""TFLite with int8 weights of one scale a channel; products over channels compute with integers as well."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edge_ser.errors import EdgeSerError, require
from export import flatbuffer
from export.chatter import hush
from export.quantise import Layer, biased_layers, corrected_bias, room_for_bias, round_weight

if TYPE_CHECKING:
    from export.source import Source

__all__ = ["least_step", "place", "to_tflite_dynamic", "to_tflite_int8", "to_tflite_weights"]

_LEAST_SPAN = 1e-9  # of the quantiser's ranges


class Place(NamedTuple):
    """Where a layer is in a file."""

    taken: Any  # the tensor that goes in
    given: Any  # the tensor that comes out
    weight: Any  # the buffer
    bias: Any  # the buffer
    relu: bool  # fused into the operation
    weight_tensor: Any

    @staticmethod
    def arranged(weight: np.ndarray) -> np.ndarray:
        """A weight as TFLite has it: (outputs, height, width, inputs), and outputs last where it is depthwise."""
        flat = weight if weight.ndim == 4 else weight[:, :, None]
        return np.ascontiguousarray(
            flat.transpose(1, 2, 3, 0) if flat.shape[1] == 1 else flat.transpose(0, 2, 3, 1)
        )


def to_tflite_int8(source: Source) -> bytes:
    """Quantise a model statically; inputs, outputs and states stay float32.

    Integer products have static ranges: dynamic ones are measured anew at each step, which costs more than integer
    arithmetic saves in a network of this size. Other weights become float32 when the file is loaded.

    Parameters
    ----------
    source : Source
        With a calibration set.

    Returns
    -------
    bytes
        A TFLite file with the signature of `export.to_tflite.to_tflite`, the same for the same model and set.

    Raises
    ------
    EdgeSerError
        There is no calibration set, or a layer is not in the file as it was expected.
    MissingExtraError
        torch, litert-torch or ai-edge-quantizer is not installed.
    """
    return _rounded(source, "static")


def to_tflite_weights(source: Source) -> bytes:
    """As `to_tflite_int8`, but the weights alone are rounded, and become float32 when the file is loaded."""
    return _rounded(source, "weights")


def to_tflite_dynamic(source: Source) -> bytes:
    """As `to_tflite_int8`, but integer products round their inputs by the range that each step has."""
    return _rounded(source, "dynamic")


def _rounded(source: Source, kind: str) -> bytes:
    graph = flatbuffer.read(source.tflite)
    integer, even = source.integer_layers, biased_layers(source.even)
    found = {
        name: place(graph, name, layer)
        for name, layer in biased_layers(source.model).items()
        # a float layer beside a rounded one is evened out with it
        if name in source.int8_layers or not _equal(layer, even[name])
    }
    ranges: dict[str, tuple[float, float]] = {}
    for name, there in found.items():
        weight, bias = even[name]
        static = name in integer and kind == "static" and name not in source.dynamic_layers
        if static:
            weight = room_for_bias(even[name], least_step(source.observed[name].taken))
        if name in source.int8_layers:
            # The quantiser rounds weights as we do, so it is known here what that will shift.
            bias = corrected_bias(even[name], *round_weight(weight), source.observed[name].mean)
        there.weight.data = there.arranged(weight).view(np.uint8).reshape(-1)
        there.bias.data = np.ascontiguousarray(bias).view(np.uint8)
        if static:
            met = source.observed[name]
            ranges[there.taken.name.decode()] = met.taken
            ranges[there.given.name.decode()] = met.rectified if there.relu else met.given

    def how(name: str) -> str:
        if name not in integer:
            return "weights"
        return "dynamic" if kind == "static" and name in source.dynamic_layers else kind

    outputs = {found[name].given.name.decode(): how(name) for name in source.int8_layers}
    content = flatbuffer.pack(graph)
    if not outputs:  # all layers are kept
        return content
    graph = flatbuffer.read(_quantised(content, outputs, ranges))
    flatbuffer.tidy(graph)
    _check(graph, len(outputs))
    return flatbuffer.pack(graph)


def _equal(one: Layer, other: Layer) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def _quantised(
    content: bytes, outputs: Mapping[str, str], ranges: Mapping[str, tuple[float, float]]
) -> bytes:
    """Hand the quantiser each operation by the name of its output, and the ranges of what integer ones take and give.

    Our own ranges, not its calibrator's: they are those of the other formats, and known in a second.
    """
    with hush():
        quantizer = require("ai_edge_quantizer.quantizer", extra="export", purpose="exporting to int8 TFLite")
        kinds = quantizer.qtyping.TFLOperationName
        work = quantizer.Quantizer(bytearray(content))
        for output, how in outputs.items():
            rule = f"^{re.escape(output)}(;|$)"  # what no rule names stays float
            for kind in (kinds.CONV_2D, kinds.DEPTHWISE_CONV_2D):
                if how == "static":
                    work.add_static_config(rule, kind, 8, 8)
                elif how == "dynamic":
                    work.add_dynamic_config(rule, kind, 8)
                else:
                    work.add_weight_only_config(rule, kind, 8)
        limits = {
            name: {"min": np.full((1, 1, 1, 1), low), "max": np.full((1, 1, 1, 1), high)}
            for name, (low, high) in ranges.items()
        }
        result = work.quantize(limits or None, enable_progress_bar=False, enable_progress_report=False)
        return bytes(result.quantized_model)


def least_step(limits: tuple[float, float]) -> float:
    """What the quantiser makes a unit of an activation's bytes worth, or less than it."""
    return max(max(limits[1], 0.0) - min(limits[0], 0.0), _LEAST_SPAN) / 255


def place(graph: Any, name: str, layer: Layer) -> Place:
    """Find a layer by its weight and bias, which the converter only arranges anew; no other layer holds the two."""
    schema = require("ai_edge_litert.schema_py_generated", extra="export", purpose="exporting to TFLite")
    tensors = graph.subgraphs[0].tensors
    found = []
    for operation in graph.subgraphs[0].operators:
        if len(operation.inputs) != 3 or operation.inputs[2] < 0:
            continue
        taken, weight, bias = (tensors[index] for index in operation.inputs)
        if _holds(graph, bias, layer.bias) and _holds(graph, weight, Place.arranged(layer.weight)):
            relu = operation.builtinOptions.fusedActivationFunction == schema.ActivationFunctionType.RELU
            weight, bias = (_own(graph, operation, slot) for slot in (1, 2))
            values, added = (graph.buffers[tensor.buffer] for tensor in (weight, bias))
            found.append(Place(taken, tensors[operation.outputs[0]], values, added, relu, weight))
    if len(found) != 1:
        raise EdgeSerError(
            f"the layer {name} is in the TFLite file {len(found)} times; this version of litert-torch converts it "
            "otherwise: install the one that constraints.txt names"
        )
    return found[0]


def _own(graph: Any, operation: Any, slot: int) -> Any:
    """A constant that an operation takes, for it alone: layers with equal ones, as biases of zeros, share a tensor."""
    part, index = graph.subgraphs[0], operation.inputs[slot]
    tensor = part.tensors[index]
    users = [other for other in part.operators if index in other.inputs]
    if len(users) == 1 and [other.buffer for other in part.tensors].count(tensor.buffer) == 1:
        return tensor
    own = copy.copy(tensor)
    own.name = part.tensors[operation.outputs[0]].name + (b"/weight" if slot == 1 else b"/bias")
    own.buffer = len(graph.buffers)
    graph.buffers.append(copy.copy(graph.buffers[tensor.buffer]))
    operation.inputs = operation.inputs.copy()
    operation.inputs[slot] = len(part.tensors)
    part.tensors.append(own)
    return own


def _holds(graph: Any, tensor: Any, values: np.ndarray) -> bool:
    there = flatbuffer.constant(graph, tensor, np.uint8)
    return there is not None and there.tobytes() == values.tobytes()


def _check(graph: Any, layers: int) -> None:
    """The quantiser is silent on a rule that fits nothing, so what it did is counted."""
    schema = require("ai_edge_litert.schema_py_generated", extra="export", purpose="exporting to TFLite")
    rounded = sum(
        tensor.type == schema.TensorType.INT8 and flatbuffer.constant(graph, tensor, np.int8) is not None
        for tensor in graph.subgraphs[0].tensors
    )
    if rounded != layers:
        raise EdgeSerError(
            f"{rounded} weights of the TFLite file became int8 where {layers} were to; this version of "
            "ai-edge-quantizer does otherwise: install the one that constraints.txt names"
        )
