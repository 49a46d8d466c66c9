"""The table of formats: the command line, the checks, the documentation and the tests all read it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.parity import LIMITS
from export.to_numpy import to_numpy
from export.to_onnx import to_onnx
from export.to_tflite import to_tflite

if TYPE_CHECKING:
    from edge_ser.models.stream72k import Stream72k

__all__ = ["FORMATS", "Format", "choose_formats"]


@dataclasses.dataclass(frozen=True)
class Format:
    """A row: one kind of file that a checkpoint can become.

    Attributes
    ----------
    name, precision : str
        Together the row's key; `name` alone on a command line is its fp32 row.
    engine : str
        The device's engine that runs it.
    file : str
        Its name in a bundle.
    needs : tuple of str
        Packages that making and checking it imports; all are in the extra ``export``.
    device : str
        What it is for, in words.
    limit : float
        Largest absolute error of any output against torch that the gate lets pass.
    function : callable
        Folded model to file content.
    form : {'step', 'window', 'clip'}
        How the file is driven.
    """

    name: str
    precision: str
    engine: str
    file: str
    needs: tuple[str, ...]
    device: str
    limit: float
    function: Callable[[Stream72k], bytes]
    form: str = "step"

    @property
    def key(self) -> str:
        """For instance ``onnx-fp32``."""
        return f"{self.name}-{self.precision}"


FORMATS = (
    Format(
        "numpy",
        "fp32",
        "numpy",
        "weights.safetensors",
        ("torch",),
        "any board with Python and NumPy alone; the least memory",
        LIMITS["fp32"],
        to_numpy,
    ),
    Format(
        "onnx",
        "fp32",
        "onnx",
        "model.onnx",
        ("torch", "onnx", "onnxscript", "onnxruntime"),
        "Raspberry Pi (64-bit), x86-64, and programs that embed ONNX Runtime",
        LIMITS["fp32"],
        to_onnx,
    ),
    Format(
        "tflite",
        "fp32",
        "litert",
        "model.tflite",
        ("torch", "litert_torch", "ai_edge_litert"),
        "Raspberry Pi and other Arm boards, Android: LiteRT, fastest on Arm",
        LIMITS["fp32"],
        to_tflite,
    ),
)


def choose_formats(text: str | Sequence[str]) -> tuple[Format, ...]:
    """Rows that a list of names means.

    Parameters
    ----------
    text : str or sequence of str
        Names (``onnx``) or keys (``onnx-fp32``), separated by commas, or ``all``.

    Returns
    -------
    tuple of Format
        In the table's order, none twice.

    Raises
    ------
    EdgeSerError
        A name is not in the table, or none is given.
    """
    words = text.split(",") if isinstance(text, str) else list(text)
    names = {word.strip().lower() for word in words if word.strip()}
    if not names:
        raise EdgeSerError(f"no format is named; choose all or some of {_known()}")
    if "all" in names:
        return FORMATS
    known = {row.key: row.key for row in FORMATS} | {
        row.name: row.key for row in FORMATS if row.precision == "fp32"
    }
    for name in sorted(names):
        if name not in known:
            raise EdgeSerError(f"there is no format {name!r}; choose all or some of {_known()}")
    keys = {known[name] for name in names}
    return tuple(row for row in FORMATS if row.key in keys)


def _known() -> str:
    return ", ".join(row.key for row in FORMATS)
