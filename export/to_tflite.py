"""TFLite (LiteRT) of the stateful step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_ser.errors import require
from export import flatbuffer
from export.chatter import hush

if TYPE_CHECKING:
    from edge_ser.models.stream72k import Stream72k
    from export.source import Source

__all__ = ["convert", "to_tflite"]


def to_tflite(source: Source) -> bytes:
    """The step in float32; see `convert`."""
    return source.tflite


def convert(model: Stream72k) -> bytes:
    """Convert a folded model's step.

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
        from export.step import NamedStep

        step = NamedStep(model)
        converted = litert_torch.convert(step, sample_kwargs=step.example())
        graph = flatbuffer.read(converted.model_content())
    flatbuffer.tidy(graph)
    return flatbuffer.pack(graph)
