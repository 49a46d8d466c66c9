"""What the int8 ONNX files begin from: the float32 graph with channels evened out, and names that they share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_ser.errors import EdgeSerError

if TYPE_CHECKING:
    from export.source import Source

__all__ = ["CENTRE", "PREFIX", "even_graph", "name_layers", "short_names", "unexpected"]

PREFIX = "model."  # of torch's names, since the step wraps the model
#: Zero point of weights in unsigned bytes.
CENTRE = 128


def even_graph(onnx: Any, source: Source) -> Any:
    """The float32 file's ``ModelProto`` with the weights of `Source.even` in the place of the model's.

    Raises
    ------
    EdgeSerError
        A weight is not in the graph as it was expected.
    """
    proto = onnx.load_from_string(source.onnx)
    constants = {item.name: item for item in proto.graph.initializer}
    trained = source.model.state_dict()
    for name, value in source.even.state_dict().items():
        old, new = trained[name].numpy(), value.numpy()
        if np.array_equal(old, new):
            continue
        item = constants.get(PREFIX + name)
        there = None if item is None else onnx.numpy_helper.to_array(item)
        if item is None or there is None or there.tobytes() != old.tobytes():
            raise unexpected(f"no constant {PREFIX + name} with the model's values")
        item.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(new.reshape(there.shape)), item.name))
    return proto


def short_names(graph: Any, names: dict[str, str]) -> None:
    """Give what is in a graph, and in the graphs of its nodes, numbers for names; its nodes lose theirs.

    A converter's own names say nothing to a reader, may hold addresses, and are a twentieth of a small file.

    Parameters
    ----------
    graph : GraphProto
        Changed in place.
    names : dict of str to str
        Names that stay, or become others; the numbers that are given are added.
    """

    def renamed(name: str) -> str:
        return names.setdefault(name, f"v{len(names)}") if name else name

    for item in graph.initializer:
        item.name = renamed(item.name)
    for value in (*graph.input, *graph.output):
        value.name = renamed(value.name)
    for number, node in enumerate(graph.node):
        node.name = ""
        for part in (node.input, node.output):
            part[:] = [renamed(name) for name in part]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                attribute.g.name = f"graph{number}"
                short_names(attribute.g, names)


def name_layers(graph: Any) -> None:
    """`short_names` but for constants, inputs and outputs; a node that takes a layer's weight has the layer's name.

    Parameters
    ----------
    graph : GraphProto
        Changed in place. Weights are constants called ``LAYER.weight``, perhaps dequantised on the way.
    """
    kept = [item.name for item in (*graph.initializer, *graph.input, *graph.output)]
    short_names(graph, {name: name for name in kept})
    layers: dict[str, str] = {}
    for item in graph.initializer:
        layer, _, kind = item.name.removeprefix(PREFIX).rpartition(".")
        if kind in ("weight", "bytes"):
            layers[item.name] = layer
    for node in graph.node:
        for name in node.input:
            if name in layers and node.op_type == "DequantizeLinear":
                layers[node.output[0]] = layers[name]
            elif name in layers:
                node.name = layers[name]


def unexpected(what: str) -> EdgeSerError:
    """The error for a graph that torch exported otherwise than this code knows."""
    return EdgeSerError(
        f"the ONNX graph has {what}; this version of torch exports it otherwise: "
        "install the one that constraints.txt names"
    )
