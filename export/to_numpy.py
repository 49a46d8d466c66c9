"""The NumPy engine's files: the folded weights as they are, or rounded to int8."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_ser.tensors import pack_tensors
from export.quantise import corrected_bias, round_weight

if TYPE_CHECKING:
    from export.source import Source

__all__ = ["to_numpy", "to_numpy_int8"]


def to_numpy(source: Source) -> bytes:
    """Pack a folded model's state dict as a safetensors file."""
    state = source.model.state_dict()
    return pack_tensors({name: tensor.detach().numpy() for name, tensor in state.items()})


def to_numpy_int8(source: Source) -> bytes:
    """The same with the weights of `int8_layers` as int8, each with its ``.scale``.

    The engine makes them float32 again when it loads: NumPy has no fast integer product, so this is the smallest
    file and the fp32 engine's speed and memory.
    """
    state = source.even.state_dict()
    tensors = {name: tensor.detach().numpy() for name, tensor in state.items()}
    for name, layer in source.int8_layers.items():
        values, scales = round_weight(layer.weight)
        tensors[f"{name}.weight"], tensors[f"{name}.weight.scale"] = values, scales
        tensors[f"{name}.bias"] = corrected_bias(layer, values, scales, source.observed[name].mean)
    return pack_tensors(tensors)
