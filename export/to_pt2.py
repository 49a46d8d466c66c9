"""A program of `torch.export`: the model as torch runs it, without the source code that defines it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from edge_ser.errors import require
from export.chatter import hush

if TYPE_CHECKING:
    from export.source import Source

__all__ = ["to_pt2"]

#: Of a node's notes, those that a program needs; the others name source files of this machine.
_NEEDED = ("val", "tensor_meta", "torch_fn")


def to_pt2(source: Source) -> bytes:
    """Export a step, a window or a clip.

    Parameters
    ----------
    source : Source

    Returns
    -------
    bytes
        A ``.pt2`` archive whose program takes and gives tensors by name, the same for the same model.

    Raises
    ------
    MissingExtraError
        torch is not installed.
    """
    torch = require("torch", extra="export", purpose="exporting with torch.export")
    named = source.named()
    with hush():
        program = torch.export.export(
            named, (), kwargs=named.example(), dynamic_shapes=named.dynamic, strict=False
        )
        program.example_inputs = None  # they would be a tenth of the file
        _strip(program)
        kept = io.BytesIO()
        torch.export.save(program, kept)
    return kept.getvalue()


def _strip(program: Any) -> None:
    for module in program.graph_module.modules():
        for node in getattr(module, "graph", _Empty).nodes:
            for note in [note for note in node.meta if note not in _NEEDED]:
                del node.meta[note]


class _Empty:
    nodes = ()
