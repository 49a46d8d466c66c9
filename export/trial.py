"""A file that somebody else made, opened and run once in a process of its own.

A bundle's files are known by their hash; this one is not, and its runtime's parser may crash on what is not whole or is
meant to do harm. Then the child is gone, and not the program.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from edge_ser.errors import EdgeSerError
from firmware_py.bench import run_child

__all__ = ["check_runs"]

#: Seconds and bytes of address space for opening and one run: far more than any network for a device needs.
_TIME_S, _MEMORY = 120.0, 8 << 30
_KINDS = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


def check_runs(path: Path) -> None:
    """Refuse a model file that its runtime cannot open, and run on zeros where it leaves no size open.

    Parameters
    ----------
    path : Path
        ONNX, or else TFLite; the runtime must be installed.

    Raises
    ------
    EdgeSerError
        The runtime refuses it, crashes, or needs more time or memory than a model for a device may.
    """
    result = run_child("export.trial", [str(path)], limit_s=_TIME_S)
    if "error" in result:
        kind, runtime = ("ONNX", "ONNX Runtime") if _is_onnx(path) else ("TFLite", "LiteRT")
        raise EdgeSerError(f"{path} is no {kind} file that {runtime} can run: {result['error']}")


def _is_onnx(path: Path) -> bool:
    return path.suffix.lower() == ".onnx"


def _run_onnx(path: Path) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    taken = session.get_inputs()
    if all(isinstance(size, int) for one in taken for size in one.shape):
        session.run(None, {one.name: np.zeros(one.shape, _KINDS[one.type]) for one in taken})


def _run_tflite(path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    opened = Interpreter(model_path=str(path), num_threads=1)
    opened.allocate_tensors()
    opened.invoke()


def _child(path: Path) -> dict[str, Any]:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        (_run_onnx if _is_onnx(path) else _run_tflite)(path)
    except Exception as error:  # a runtime's own, of any class: the parent's to tell
        return {"error": " ".join(f"{type(error).__name__}: {error}".split())[:400], "missing": False}
    return {}


if __name__ == "__main__":
    print(json.dumps({"ok": True} | _child(Path(sys.argv[1]))))
