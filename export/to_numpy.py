"""The NumPy engine's file: the folded weights as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_ser.tensors import pack_tensors

if TYPE_CHECKING:
    from edge_ser.models.stream72k import Stream72k

__all__ = ["to_numpy"]


def to_numpy(model: Stream72k) -> bytes:
    """Pack a folded model's state dict as a safetensors file."""
    return pack_tensors({name: tensor.detach().numpy() for name, tensor in model.state_dict().items()})
