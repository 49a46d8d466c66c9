"""Convolutions over time as convolutions over images of height one.

ONNX Runtime has its fast kernels (blocked channels, depthwise, the sum and ReLU behind a convolution done with it) for
images alone. As images the convolutions of stream72k take half the time of a step on x86-64; the answers are the same
up to rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["widen"]

_AXES, _WIDE = "height", "_wide"
_ALONG = ("strides", "dilations", "kernel_shape")


def widen(onnx: Any, graph: Any) -> None:
    """Change a graph in place; what it takes, gives and computes stays.

    Parameters
    ----------
    onnx : module
    graph : GraphProto
        Weights are initializers.
    """
    weights = {item.name: item for item in graph.initializer}
    # looked for before any is changed: two convolutions may have one weight
    over_time = {name for name, item in weights.items() if len(item.dims) == 3}
    over_time &= {node.input[1] for node in graph.node if node.op_type == "Conv"}
    if not over_time:
        return
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([2]), _AXES))
    work = _Widening(onnx, weights, over_time)
    for node in graph.node:
        work.add(node)
    del graph.node[:]
    graph.node.extend(_needed(work.nodes, {value.name for value in graph.output}))


class _Widening:
    """Nodes anew; a tensor that was widened is there in both forms."""

    def __init__(self, onnx: Any, weights: dict[str, Any], over_time: set[str]) -> None:
        self._onnx, self._weights, self._over_time = onnx, weights, over_time
        for name in over_time:
            item = weights[name]
            values = np.ascontiguousarray(onnx.numpy_helper.to_array(item)[:, :, None])
            item.CopyFrom(onnx.numpy_helper.from_array(values, item.name))
        self._wide: set[str] = set()
        self.nodes: list[Any] = []

    def add(self, node: Any) -> None:
        if node.op_type == "Conv" and node.input[1] in self._over_time:
            _widen_sizes(node)
            self._put(node, [self._of(node.input[0]), *node.input[1:]])
        elif node.op_type in ("Relu", "Add") and any(name in self._wide for name in node.input):
            if any(name in self._weights for name in node.input):  # of a shape of its own
                self.nodes.append(node)
            else:
                self._put(node, [self._of(name) for name in node.input])
        else:
            self.nodes.append(node)

    def _of(self, name: str) -> str:
        """A tensor's wide form, made where it is not there yet."""
        if name not in self._wide:
            self._wide.add(name)
            self.nodes.append(self._onnx.helper.make_node("Unsqueeze", [name, _AXES], [name + _WIDE]))
        return name + _WIDE

    def _put(self, node: Any, inputs: list[str]) -> None:
        [name] = node.output
        del node.input[:], node.output[:]
        node.input.extend(inputs)
        node.output.append(name + _WIDE)
        self._wide.add(name)
        self.nodes += [node, self._onnx.helper.make_node("Squeeze", [name + _WIDE, _AXES], [name])]


def _widen_sizes(node: Any) -> None:
    for attribute in node.attribute:
        sizes = list(attribute.ints)
        if attribute.name in _ALONG:
            del attribute.ints[:]
            attribute.ints.extend([1, *sizes])
        elif attribute.name == "pads":
            del attribute.ints[:]
            attribute.ints.extend([0, sizes[0], 0, sizes[1]])


def _needed(nodes: list[Any], outputs: set[str]) -> list[Any]:
    """Without what nothing reads: forms that were made in case."""
    kept: list[Any] = []
    used = set(outputs)
    for node in reversed(nodes):
        if used & set(node.output):
            kept.append(node)
            used |= set(node.input)
    return kept[::-1]
