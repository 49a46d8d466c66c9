"""TFLite files as objects: what is equal is written once, and nothing is read otherwise for it."""

from __future__ import annotations

import numpy as np
import pytest

schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
flatbuffers = pytest.importorskip("flatbuffers")

from edge_ser.bundle import load_bundle  # noqa: E402
from export import flatbuffer  # noqa: E402

CONTENT = load_bundle("stream72k").file("litert").read_bytes()


def rounded(tensor):
    """A tensor's rounding, made where the file says none."""
    if tensor.quantization is None:
        tensor.quantization = schema.QuantizationParametersT()
    return tensor.quantization


def plain(model) -> bytes:
    """As the schema's own code packs."""
    builder = flatbuffers.Builder(1 << 19)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def facts(model):
    """All that a model's tensors, operations and buffers say."""
    graph = model.subgraphs[0]
    return (
        [(t.name, list(t.shape), t.type, t.buffer) for t in graph.tensors],
        [(list(o.inputs), list(o.outputs), o.opcodeIndex) for o in graph.operators],
        [None if b.data is None else bytes(b.data) for b in model.buffers],
    )


def test_what_is_equal_is_written_once():
    model = flatbuffer.read(CONTENT)
    zeros = np.zeros(5000, np.int64)
    for tensor in model.subgraphs[0].tensors[:20]:
        rounded(tensor).zeroPoint = zeros.copy()
    packed = flatbuffer.pack(model)
    assert len(packed) < len(plain(model)) - 19 * zeros.nbytes
    again = flatbuffer.read(packed)
    assert facts(again) == facts(model) == facts(flatbuffer.read(plain(model)))
    assert all(np.array_equal(t.quantization.zeroPoint, zeros) for t in again.subgraphs[0].tensors[:20])
    assert flatbuffer.pack(again) == packed


def test_vectors_of_the_same_bytes_and_another_type_stay_apart():
    model = flatbuffer.read(CONTENT)
    [first, second] = model.subgraphs[0].tensors[:2]
    rounded(first).zeroPoint = np.zeros(4, np.int64)
    rounded(second).scale = np.zeros(8, np.float32)  # as many bytes
    again = flatbuffer.read(flatbuffer.pack(model)).subgraphs[0].tensors
    assert len(again[0].quantization.zeroPoint) == 4 and again[0].quantization.scale is None
    assert len(again[1].quantization.scale) == 8
