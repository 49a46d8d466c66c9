"""ONNX of a stateful step, a window or a clip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_ser.errors import require
from export.chatter import hush
from export.onnx_wide import widen

if TYPE_CHECKING:
    from export.source import Source
    from export.step import NamedStep
    from export.teachers import NamedTeacher
    from export.window import NamedWindow

__all__ = ["IR", "OPSET", "convert", "to_onnx"]

OPSET = 20
IR = 9  # the newest that ONNX Runtime 1.17 reads; nothing we write needs a later one


def to_onnx(source: Source) -> bytes:
    """The step in float32; see `convert`."""
    return source.onnx


def convert(named: NamedStep | NamedWindow | NamedTeacher) -> bytes:
    """Convert a folded model.

    Parameters
    ----------
    named : NamedStep, NamedWindow or NamedTeacher
        From `Source.named`, or an encoder with heads.

    Returns
    -------
    bytes
        An ONNX file with named inputs, outputs and states, weights inside, the same for the same model.

    Raises
    ------
    MissingExtraError
        torch, onnx or onnxscript is not installed.
    """
    torch = require("torch", extra="export", purpose="exporting to ONNX")
    require("onnxscript", extra="export", purpose="exporting to ONNX")
    onnx = require("onnx", extra="export", purpose="exporting to ONNX")
    with hush():
        example = named.example()
        program = torch.onnx.export(
            named,
            (),
            kwargs=example,
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            input_names=list(example),
            output_names=list(named.output_names),
            dynamic_shapes=named.dynamic,
            verbose=False,
        )
        proto = program.model_proto
    _strip(proto)
    widen(onnx, proto.graph)
    return bytes(proto.SerializeToString(deterministic=True))


def _strip(proto: Any) -> None:
    """Remove what names the machine, its folders and its source lines: the file holds the network alone."""
    proto.ir_version = IR
    proto.doc_string = ""
    proto.producer_name = "edge-ser"
    proto.producer_version = ""
    del proto.metadata_props[:]
    graph = proto.graph
    del graph.metadata_props[:]
    del graph.value_info[:]
    graph.doc_string = ""
    graph.name = "step"
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]
