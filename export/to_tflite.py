"""TFLite (LiteRT) of a stateful step or a window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_ser.errors import require
from export import flatbuffer
from export.chatter import hush

if TYPE_CHECKING:
    from export.source import Source
    from export.step import NamedStep
    from export.window import NamedWindow

__all__ = ["convert", "to_tflite"]


def to_tflite(source: Source) -> bytes:
    """The step in float32; see `convert`."""
    return source.tflite


def convert(named: NamedStep | NamedWindow) -> bytes:
    """Convert a folded model.

    Parameters
    ----------
    named : NamedStep or NamedWindow
        From `Source.named`, with fixed sizes.

    Returns
    -------
    bytes
        A TFLite file whose one signature names inputs, outputs and states, the same for the same model.

    Raises
    ------
    MissingExtraError
        torch or litert-torch is not installed.
    """
    require("torch", extra="export", purpose="exporting to TFLite")
    with hush():  # around the import as well, which is where torchao is loud
        litert_torch = require("litert_torch", extra="export", purpose="exporting to TFLite")
        converted = litert_torch.convert(named, sample_kwargs=named.example())
        graph = flatbuffer.read(converted.model_content())
    flatbuffer.tidy(graph)
    return flatbuffer.pack(graph)
