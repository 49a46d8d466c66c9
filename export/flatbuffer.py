"""TFLite files as objects: read, given short names, and packed again."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from edge_ser.errors import require

__all__ = ["constant", "pack", "read", "tidy"]

_MARK = b"TFL3"


def read(content: bytes) -> Any:
    """A TFLite file as the schema's objects; arrays are NumPy's."""
    schema = require("ai_edge_litert.schema_py_generated", extra="export", purpose="exporting to TFLite")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(content), 0))
    for buffer in model.buffers:
        if buffer.offset > 1:  # a quantiser puts large ones behind the table; `pack` writes them into it
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def pack(model: Any) -> bytes:
    """The file of such objects: the same objects give the same bytes.

    Vectors and names of equal content are written once, and all that hold them point there, as the format allows. The
    zero points of an int8 file, eight bytes for each channel, would be a tenth of it.
    """
    flatbuffers = require("flatbuffers", extra="export", purpose="exporting to TFLite")
    builder = _sharing(flatbuffers.Builder)(1 << 19)
    builder.Finish(model.Pack(builder), _MARK)
    return bytes(builder.Output())


def _sharing(plain: Any) -> Any:
    """A class of builders for one file, which write a vector or a name once and give its like the same place."""

    def once(name: str, key_of: Callable[[Any], Hashable]) -> Callable[[Any, Any], int]:
        places: dict[Hashable, int] = {}

        def write(builder: Any, value: Any) -> int:
            key = key_of(value)
            if key not in places:
                places[key] = getattr(plain, name)(builder, value)
            return places[key]

        return write

    methods = {
        "CreateNumpyVector": once("CreateNumpyVector", lambda values: (values.dtype.str, values.tobytes())),
        "CreateString": once("CreateString", lambda text: text),
    }
    return type("Sharing", (plain,), methods)


def tidy(model: Any) -> None:
    """Name tensors by where they are in the network, and drop empty descriptions of a quantisation.

    The converter's names hold Python's modules and classes, ten times over where operations were fused; they would
    be a seventh of an int8 file.
    """
    for graph in model.subgraphs:
        taken: set[str] = set()
        for tensor in graph.tensors:
            name = stem = _short(tensor.name.decode("utf-8"))
            count = 1
            while name in taken:  # quantisers tell tensors apart by their names
                count += 1
                name = f"{stem}.{count}"
            taken.add(name)
            tensor.name = name.encode("utf-8")
            if tensor.quantization is not None and tensor.quantization.scale is None:
                tensor.quantization = None


def constant(model: Any, tensor: Any, dtype: type[np.generic]) -> np.ndarray | None:
    """The values of a constant tensor, flat; None where it is computed."""
    data = model.buffers[tensor.buffer].data
    return None if data is None else np.asarray(data, np.uint8).view(dtype)


def _short(name: str) -> str:
    """``x.NamedStep/x._Block_0/x._TimeConv_depthwise/torch.Conv1d_conv;1`` is ``Block_0/depthwise/conv;1``."""
    last = name.rsplit(";;", maxsplit=1)[-1]
    parts = [
        part.rpartition(".")[2].lstrip("_").replace("NamedStep", "step").replace("NamedWindow", "step")
        for part in last.split("/")
    ]
    if len(parts) > 1 and parts[0] == "step":
        del parts[0]
    return "/".join(re.sub(r"^[A-Za-z0-9]+_(?=[a-z])", "", part) for part in parts)
