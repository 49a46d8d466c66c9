"""What an ONNX file takes and gives, read from it, and what a TFLite file does, as LiteRT tells it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edge_ser.errors import EdgeSerError, require
from export.trial import check_runs

__all__ = ["ModelFile", "Tensor", "inspect"]


class Tensor(NamedTuple):
    """An input or output of a file; a size that the file leaves open is None."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


class ModelFile(NamedTuple):
    """What a file takes and gives, and the number of values in its constants."""

    inputs: list[Tensor]
    outputs: list[Tensor]
    parameters: int


def inspect(path: Path) -> ModelFile:
    """Inputs, outputs and the number of parameters of an ONNX or TFLite file.

    Raises
    ------
    EdgeSerError
        It is no such file, or its runtime refuses it or crashes on it.
    MissingExtraError
        The runtime, or onnx, is not installed.
    """
    return _inspect_onnx(path) if path.suffix.lower() == ".onnx" else _inspect_tflite(path)


def _inspect_onnx(path: Path) -> ModelFile:
    onnx = require("onnx", extra="export", purpose="importing an ONNX file")
    try:
        # Weights in files beside it would be left behind: they are not loaded, and the bundle's file fails to open.
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's own classes derive from Exception alone
        raise EdgeSerError(f"{path} is no ONNX file: {error}") from error
    graph = model.graph
    constants = {one.name for one in graph.initializer}
    if outside := [one.name for one in graph.initializer if one.data_location == onnx.TensorProto.EXTERNAL]:
        raise EdgeSerError(
            f"{path} keeps {outside[0]} in another file; save it as one file (onnx.save without external data)"
        )

    def tensor(value: Any) -> Tensor:
        kind = value.type.tensor_type
        shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim)
        if kind.elem_type not in onnx.TensorProto.DataType.values():
            raise EdgeSerError(
                f"{path} gives {value.name!r} a type that ONNX does not have: {kind.elem_type}"
            )
        return Tensor(value.name, shape, onnx.TensorProto.DataType.Name(kind.elem_type).lower())

    inputs = [tensor(value) for value in graph.input if value.name not in constants]
    parameters = sum(int(np.prod(one.dims)) for one in graph.initializer)
    return ModelFile(inputs, [tensor(value) for value in graph.output], parameters)


def _inspect_tflite(path: Path) -> ModelFile:
    from export import flatbuffer

    interpreter = require("ai_edge_litert.interpreter", extra="export", purpose="importing a TFLite file")
    check_runs(path)  # LiteRT parses it below
    try:
        opened = interpreter.Interpreter(model_path=str(path), num_threads=1)
        opened.allocate_tensors()
        model = flatbuffer.read(path.read_bytes())
    except (ValueError, RuntimeError) as error:
        raise EdgeSerError(f"{path} is no TFLite file that LiteRT can run: {error}") from error
    names: dict[int, str] = {}
    for signature in list(opened._get_full_signature_list().values())[:1]:
        names |= {index: name for part in ("inputs", "outputs") for name, index in signature[part].items()}

    def tensor(detail: Mapping[str, Any]) -> Tensor:
        shape = tuple(int(size) for size in detail["shape"])
        return Tensor(names.get(detail["index"], detail["name"]), shape, "float" if detail["dtype"] is np.float32 else
                      np.dtype(detail["dtype"]).name)  # fmt: skip

    parameters = sum(
        int(np.prod(one.shape))
        for graph in model.subgraphs
        for one in graph.tensors
        if model.buffers[one.buffer].data is not None and one.shape is not None
    )
    inputs = [tensor(detail) for detail in opened.get_input_details()]
    return ModelFile(inputs, [tensor(detail) for detail in opened.get_output_details()], parameters)
