"""ONNX with integer products: quantise and dequantise nodes around each, which runtimes fuse to integer kernels.

Activations and weights are unsigned bytes with a zero point, a weight's always 128 and its scales by channel (Jacob et
al. 2018, arXiv 1712.05877). Signed weights would be a little faster where there is VNNI; x86 processors without it
then add products in 16 bits and saturate, and the answers would depend on the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_ser.errors import require
from export.onnx_graph import CENTRE, PREFIX, even_graph, name_layers, unexpected
from export.quantise import Layer, Observed, corrected_bias, room_for_bias, round_weight
from export.to_onnx_dynamic import round_by_input

if TYPE_CHECKING:
    from export.source import Source

__all__ = ["to_onnx_int8"]


def to_onnx_int8(source: Source) -> bytes:
    """Quantise a model's step statically; inputs, outputs and states stay float32.

    Weights outside `integer_layers` stay float32 as well: the runtime would make them so at every step.

    Parameters
    ----------
    source : Source
        With a calibration set.

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
    by_input = source.dynamic_layers
    round_by_input(onnx, proto.graph, source, by_input)
    static = {name: source.observed[name] for name in source.integer_layers if name not in by_input}
    _Rewriter(onnx, proto.graph, static).run()
    name_layers(proto.graph)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString(deterministic=True))


class _Rewriter:
    """Puts a graph's nodes in anew, with quantise and dequantise nodes where they belong."""

    def __init__(self, onnx: Any, graph: Any, layers: dict[str, Observed]) -> None:
        self._onnx, self._graph, self._layers = onnx, graph, layers
        self._weights = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
        self._nodes: list[Any] = []
        self._made: dict[str, np.ndarray] = {}
        # What later nodes read in place of a tensor: its value after rounding.
        self._instead: dict[str, str] = {}
        self._users: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in node.input:
                self._users.setdefault(name, []).append(node)

    def run(self) -> None:
        found = set()
        ends: dict[str, tuple[float, float]] = {}  # tensors to round once they are computed
        for node in list(self._graph.node):
            for index, name in enumerate(node.input):
                node.input[index] = self._instead.get(name, name)
            layer = self._layer(node)
            if layer is not None:
                found.add(layer)
                self._quantise_inputs(node, layer)
                output, limits = self._end(node, self._layers[layer])
                ends[output] = limits
            self._nodes.append(node)
            for name in node.output:
                if name in ends:
                    self._instead[name] = self._rounded(name, ends[name])
        if missing := sorted(set(self._layers) - found):
            raise unexpected(f"no convolution of the layer {missing[0]}")
        self._write()

    def _layer(self, node: Any) -> str | None:
        """The layer that a node is, where it is one to quantise."""
        if node.op_type != "Conv":
            return None
        name = node.input[1].removeprefix(PREFIX).removesuffix(".weight")
        return name if name in self._layers else None

    def _quantise_inputs(self, node: Any, name: str) -> None:
        taken, weight = node.input[:2]
        met, bias = self._layers[name], f"{PREFIX}{name}.bias"
        if len(node.input) == 2:  # the converter leaves a bias of zeros out; a corrected one has others
            self._weights[bias] = np.zeros(len(self._weights[weight]), np.float32)
            node.input.append(bias)
        if not taken.endswith(_DONE):
            taken = self._rounded(taken, met.taken)
        layer = Layer(self._weights[weight], self._weights[bias])
        step = self._made[taken.removesuffix(_DONE) + _SCALE]
        values, scales = round_weight(room_for_bias(layer, float(step)))
        corrected = corrected_bias(layer, values, scales, met.mean)
        products = (step * scales).astype(np.float32)  # what a unit of the 32-bit sums is worth
        units = np.rint(corrected.astype(np.float64) / products)
        node.input[0] = taken
        node.input[1] = self._constant(weight, values, scales)
        node.input[2] = self._constant(bias, units.astype(np.int32), products)

    def _end(self, node: Any, met: Observed) -> tuple[str, tuple[float, float]]:
        """The tensor that a layer ends in, its ReLU included, and that tensor's range."""
        [output] = node.output
        users = self._users.get(output, [])
        if [user.op_type for user in users] == ["Relu"]:
            return users[0].output[0], met.rectified
        return output, met.given

    def _rounded(self, name: str, limits: tuple[float, float]) -> str:
        """Add a pair that rounds a tensor; returns the name of the result."""
        if name + _SCALE in self._made:  # two layers take it
            return name + _DONE
        low, high = min(limits[0], 0.0), max(limits[1], 0.0)  # zero must be exact: states begin with it
        scale = max((high - low) / 255, float(np.finfo(np.float32).tiny))
        self._made[name + _SCALE] = np.asarray(scale, np.float32)
        self._made[name + _ZERO] = np.asarray(np.rint(-low / scale), np.uint8)
        make = self._onnx.helper.make_node
        parameters = [name + _SCALE, name + _ZERO]
        self._nodes.append(make("QuantizeLinear", [name, *parameters], [name + _BYTES]))
        self._nodes.append(make("DequantizeLinear", [name + _BYTES, *parameters], [name + _DONE]))
        return name + _DONE

    def _constant(self, name: str, values: np.ndarray, scales: np.ndarray) -> str:
        """Put an integer constant in the place of a float one: a weight's bytes, or a bias in units of the sums."""
        short = name.removeprefix(PREFIX)
        self._made[short + _SCALE] = scales
        inputs = [short, short + _SCALE]
        if values.dtype == np.int8:
            values = (values.astype(np.int16) + CENTRE).astype(np.uint8)
            self._made[short + _ZERO] = np.full(len(scales), CENTRE, np.uint8)
            inputs.append(short + _ZERO)
        self._made[short] = values
        self._nodes.append(self._onnx.helper.make_node("DequantizeLinear", inputs, [short + _DONE], axis=0))
        del self._weights[name]
        return short + _DONE

    def _write(self) -> None:
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        del self._graph.initializer[:]
        self._graph.initializer.extend(self._initializers())

    def _initializers(self) -> Iterator[Any]:
        for name, value in {**self._weights, **self._made}.items():
            yield self._onnx.numpy_helper.from_array(np.asarray(value), name)


_SCALE, _ZERO, _BYTES, _DONE = "_scale", "_zero", "_int8", "_rounded"
