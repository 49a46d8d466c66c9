"""Weights stored as 16-bit floats: half the file, the answers of float32 to within a thousandth.

Runtimes make them float32 when they load a file, so that a step costs what it costs in float32: these CPUs have no
fast arithmetic in 16 bits. What is computed from the audio's power stays whole: a front end inside a file, and the
first layer, which sees decibels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_ser.errors import EdgeSerError, require
from export import flatbuffer
from export.chatter import hush
from export.quantise import int8_layers

if TYPE_CHECKING:
    from export.source import Source

__all__ = ["to_onnx_fp16", "to_tflite_fp16"]

_HALF = "_half"


def to_onnx_fp16(source: Source) -> bytes:
    """The ONNX file with the weights of `int8_layers` as float16, each with a cast that is done once.

    Parameters
    ----------
    source : Source

    Returns
    -------
    bytes
        Inputs, outputs and states are float32, as in `export.to_onnx.to_onnx`; the same for the same model.

    Raises
    ------
    EdgeSerError
        A layer is not in the graph as it was expected.
    MissingExtraError
        torch, onnx or onnxscript is not installed.
    """
    onnx = require("onnx", extra="export", purpose="exporting to ONNX")
    proto = onnx.load_from_string(source.onnx)
    graph = proto.graph
    wanted = {f"model.{name}.weight" for name in int8_layers(source.model)}
    casts, kept = [], []
    for item in graph.initializer:
        if item.name in wanted:
            half = _halved(onnx.numpy_helper.to_array(item), item.name)
            kept.append(onnx.numpy_helper.from_array(half, item.name + _HALF))
            casts.append(
                onnx.helper.make_node("Cast", [item.name + _HALF], [item.name], to=onnx.TensorProto.FLOAT)
            )
        else:
            kept.append(item)
    if len(casts) != len(wanted):
        raise EdgeSerError(
            f"{len(casts)} weights of the ONNX graph were found where {len(wanted)} were to; this version of torch "
            "exports it otherwise: install the one that constraints.txt names"
        )
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.initializer[:]
    graph.initializer.extend(kept)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString(deterministic=True))


def to_tflite_fp16(source: Source) -> bytes:
    """The TFLite file with the weights of its convolutions as float16.

    Parameters
    ----------
    source : Source

    Returns
    -------
    bytes
        With the signature of `export.to_tflite.to_tflite`, the same for the same model.

    Raises
    ------
    EdgeSerError
        A layer is not in the file as it was expected.
    MissingExtraError
        torch, litert-torch or flatbuffers is not installed.
    """
    from export.to_tflite_int8 import place

    schema = require("ai_edge_litert.schema_py_generated", extra="export", purpose="exporting to TFLite")
    with hush():
        graph = flatbuffer.read(source.tflite)
    part = graph.subgraphs[0]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    code.version = 3  # the first that takes float16
    graph.operatorCodes.append(code)
    casts = []
    for name, layer in int8_layers(source.model).items():
        tensor = place(graph, name, layer).weight_tensor
        casts.append(_cast(schema, part, tensor, graph.buffers, len(graph.operatorCodes) - 1, name))
    part.operators = [*casts, *part.operators]
    return flatbuffer.pack(graph)


def _cast(schema: Any, part: Any, tensor: Any, buffers: list[Any], code: int, layer: str) -> Any:
    """Turn a constant into the result of an operation on its half; returns the operation."""
    values = np.asarray(buffers[tensor.buffer].data, np.uint8).view(np.float32)
    buffer = schema.BufferT()
    buffer.data = _halved(values, layer).view(np.uint8)
    buffers.append(buffer)
    half = schema.TensorT()
    half.name, half.shape, half.type = tensor.name + _HALF.encode(), tensor.shape, schema.TensorType.FLOAT16
    half.shapeSignature, half.buffer = tensor.shapeSignature, len(buffers) - 1
    part.tensors.append(half)
    buffers[tensor.buffer].data = None
    tensor.buffer = 0  # the empty one: computed
    operation = schema.OperatorT()
    operation.opcodeIndex = code
    operation.inputs = np.array([len(part.tensors) - 1], np.int32)
    [index] = [number for number, one in enumerate(part.tensors) if one is tensor]
    operation.outputs = np.array([index], np.int32)
    return operation


def _halved(values: np.ndarray, layer: str) -> np.ndarray:
    if np.abs(values).max(initial=0.0) > np.finfo(np.float16).max:
        raise EdgeSerError(f"a weight of {layer} is beyond 16-bit floats; export it in fp32 or int8")
    return values.astype(np.float16)
