"""ExecuTorch: a program for its small runtime on phones, its heavy parts handed to XNNPACK."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_ser.errors import require
from export.chatter import hush

if TYPE_CHECKING:
    from export.source import Source

__all__ = ["to_executorch"]


def to_executorch(source: Source) -> bytes:
    """Convert a step or a window.

    Parameters
    ----------
    source : Source

    Returns
    -------
    bytes
        A ``.pte`` file whose one method, ``forward``, takes and gives tensors in the order of bundle.json; the same
        for the same model.

    Raises
    ------
    MissingExtraError
        torch or executorch is not installed.
    """
    torch = require("torch", extra="export", purpose="exporting to ExecuTorch")
    named = source.named()
    with hush():
        exir = require("executorch.exir", extra="executorch", purpose="exporting to ExecuTorch")
        partition = require(
            "executorch.backends.xnnpack.partition.xnnpack_partitioner",
            extra="executorch",
            purpose="exporting to ExecuTorch",
        )
        program = torch.export.export(named, (), kwargs=named.example(), strict=False)
        lowered = exir.to_edge_transform_and_lower(program, partitioner=[partition.XnnpackPartitioner()])
        return bytes(lowered.to_executorch().buffer)
