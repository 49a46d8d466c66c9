"""ONNX with integer products whose inputs are rounded by the range that each step has.

No range is learnt, so sounds unlike the calibration set are not cut off; measuring a range at every step costs time.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_ser.errors import require
from export.onnx_graph import CENTRE, PREFIX, even_graph, name_layers, unexpected
from export.quantise import corrected_bias, round_weight

if TYPE_CHECKING:
    from export.source import Source

__all__ = ["round_by_input", "to_onnx_dynamic"]


def to_onnx_dynamic(source: Source) -> bytes:
    """Quantise a model's products over channels dynamically; inputs, outputs and states stay float32.

    Parameters
    ----------
    source : Source
        With a calibration set, which corrects the biases.

    Returns
    -------
    bytes
        An ONNX file as `export.to_onnx.to_onnx` writes it, the same for the same model and set.

    Raises
    ------
    EdgeSerError
        There is no calibration set, or a layer is not in the graph as it was expected.
    MissingExtraError
        torch, onnx or onnxscript is not installed.
    """
    onnx = require("onnx", extra="export", purpose="exporting to ONNX")
    proto = even_graph(onnx, source)
    round_by_input(onnx, proto.graph, source, source.integer_layers)
    name_layers(proto.graph)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString(deterministic=True))


def round_by_input(onnx: Any, graph: Any, source: Source, names: Collection[str]) -> None:
    """Change layers of `even_graph`'s graph, in place, to products of integers whose inputs set their own range.

    Raises
    ------
    EdgeSerError
        A layer is not in the graph as it was expected.
    """
    layers = {name: source.int8_layers[name] for name in names}
    if not layers:
        return
    sizes = {item.name: tuple(item.dims) for item in graph.initializer}
    nodes: list[Any] = []
    added: dict[str, np.ndarray] = {"centre": np.asarray(CENTRE, np.uint8)}
    found = set()
    for node in graph.node:
        name = node.input[1].removeprefix(PREFIX).removesuffix(".weight") if len(node.input) > 1 else ""
        if node.op_type != "Conv" or name not in layers:
            nodes.append(node)
            continue
        found.add(name)
        layer = layers[name]
        values, scales = round_weight(layer.weight)
        bias = corrected_bias(layer, values, scales, source.observed[name].mean)
        shape = sizes[node.input[1]]  # of the graph, where a convolution over time is one over an image
        tail = (1, -1, *[1] * (len(shape) - 2))
        added[f"{name}.bytes"] = (values.astype(np.int16) + CENTRE).astype(np.uint8).reshape(shape)
        added[f"{name}.scale"], added[f"{name}.bias"] = scales.reshape(tail), bias.reshape(tail)
        nodes += _product(onnx, node, name)
    if missing := sorted(set(layers) - found):
        raise unexpected(f"no convolution of the layer {missing[0]}")
    gone = {f"{PREFIX}{name}.{kind}" for name in layers for kind in ("weight", "bias")}
    kept = [item for item in graph.initializer if item.name not in gone]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.initializer[:]
    graph.initializer.extend(kept)
    graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in added.items())


def _product(onnx: Any, node: Any, name: str) -> list[Any]:
    """A convolution with integers: round the input, multiply, give the sums their size, add the bias."""
    make, new = onnx.helper.make_node, f"{name}.".__add__
    product = make(
        "ConvInteger", [new("x"), new("bytes"), new("zero"), "centre"], [new("sums")], name=f"{name}.product"
    )
    product.attribute.extend(one for one in node.attribute)
    return [
        make("DynamicQuantizeLinear", [node.input[0]], [new("x"), new("step"), new("zero")]),
        product,
        make("Cast", [new("sums")], [new("whole")], to=onnx.TensorProto.FLOAT),
        make("Mul", [new("step"), new("scale")], [new("unit")]),
        make("Mul", [new("whole"), new("unit")], [new("product")]),
        make("Add", [new("product"), new("bias")], [node.output[0]]),
    ]
