"""TFLite with int8 convolutions: static ranges, one weight scale a channel, float32 everywhere else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edge_ser.errors import EdgeSerError, require
from export import flatbuffer
from export.chatter import hush
from export.quantise import corrected_bias, int8_layers, round_weight

if TYPE_CHECKING:
    from export.source import Source

__all__ = ["to_tflite_int8"]


class _Place(NamedTuple):
    """Where a layer is in a file."""

    taken: Any  # the tensor that goes in
    given: Any  # the tensor that comes out
    bias: Any  # the buffer
    relu: bool  # fused into the operation


def to_tflite_int8(source: Source) -> bytes:
    """Quantise a model's step statically; inputs, outputs and states stay float32.

    Static ranges rather than dynamic ones: those are measured anew at each step, which costs more than integer
    arithmetic saves in a network of this size.

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
    layers = int8_layers(source.model)
    graph = flatbuffer.read(source.tflite)
    places = {name: _place(graph, name, layer.bias) for name, layer in layers.items()}
    ranges: dict[str, tuple[float, float]] = {}
    for name, layer in layers.items():
        place, met = places[name], source.observed[name]
        # The quantiser rounds weights as we do, so it is known here what that will shift.
        place.bias.data = corrected_bias(layer, *round_weight(layer.weight), met.mean).view(np.uint8)
        ranges[place.taken.name.decode()] = met.taken
        ranges[place.given.name.decode()] = (0.0, max(met.given[1], 0.0)) if place.relu else met.given
    outputs = [place.given.name.decode() for place in places.values()]
    graph = flatbuffer.read(_quantised(flatbuffer.pack(graph), outputs, ranges))
    flatbuffer.tidy(graph)
    _check(graph, len(layers))
    return flatbuffer.pack(graph)


def _quantised(content: bytes, outputs: Sequence[str], ranges: Mapping[str, tuple[float, float]]) -> bytes:
    """Hand the quantiser each operation by the name of its output, and the ranges of what goes in and out.

    Our own ranges, not its calibrator's: they are those of the other formats, and known in a second.
    """
    with hush():
        quantizer = require("ai_edge_quantizer.quantizer", extra="export", purpose="exporting to int8 TFLite")
        kinds = quantizer.qtyping.TFLOperationName
        work = quantizer.Quantizer(bytearray(content))
        for output in outputs:
            for kind in (kinds.CONV_2D, kinds.DEPTHWISE_CONV_2D):
                work.add_static_config(
                    f"^{re.escape(output)}(;|$)", kind, 8, 8
                )  # what no rule names stays float
        limits = {
            name: {"min": np.full((1, 1, 1, 1), low), "max": np.full((1, 1, 1, 1), high)}
            for name, (low, high) in ranges.items()
        }
        result = work.quantize(limits, enable_progress_bar=False, enable_progress_report=False)
        return bytes(result.quantized_model)


def _place(graph: Any, layer: str, bias: np.ndarray) -> _Place:
    """Find a layer by its bias, which no converter changes and no two layers share."""
    schema = require("ai_edge_litert.schema_py_generated", extra="export", purpose="exporting to TFLite")
    tensors = graph.subgraphs[0].tensors
    found = []
    for operation in graph.subgraphs[0].operators:
        if len(operation.inputs) != 3 or operation.inputs[2] < 0:
            continue
        taken, _, last = (tensors[index] for index in operation.inputs)
        values = flatbuffer.constant(graph, last, np.uint8)
        if values is not None and values.tobytes() == bias.tobytes():
            relu = operation.builtinOptions.fusedActivationFunction == schema.ActivationFunctionType.RELU
            found.append(_Place(taken, tensors[operation.outputs[0]], graph.buffers[last.buffer], relu))
    if len(found) != 1:
        raise EdgeSerError(
            f"the layer {layer} is in the TFLite file {len(found)} times; this version of litert-torch converts it "
            "otherwise: install the one that constraints.txt names"
        )
    return found[0]


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
