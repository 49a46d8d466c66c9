"""The table of formats: the command line, the checks, the documentation and the tests all read it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.parity import LIMITS, Limit
from edge_ser.manifest import FORMS
from export.to_executorch import to_executorch
from export.to_fp16 import to_onnx_fp16, to_tflite_fp16
from export.to_numpy import to_numpy, to_numpy_int8
from export.to_onnx import to_onnx
from export.to_onnx_dynamic import to_onnx_dynamic
from export.to_onnx_int8 import to_onnx_int8
from export.to_pt2 import to_pt2
from export.to_tflite import to_tflite
from export.to_tflite_full import to_tflite_full
from export.to_tflite_int8 import to_tflite_dynamic, to_tflite_int8, to_tflite_weights

if TYPE_CHECKING:
    from export.source import Source

__all__ = ["FORMATS", "Format", "choose_formats", "format_for"]


#: What most formats have; a pipeline of scikit-learn is driven by the one that is left, ``vector``.
NETWORKS = FORMS[:3]


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
    limit : Limit
        How far from torch's answers the gate lets it be.
    function : callable
        `Source` to file content.
    method : str
        How values are rounded, in words; empty where none are.
    forms : tuple of str
        How its files can be driven: some of `edge_ser.manifest.FORMS`.
    why_not : str
        Why it has not the other forms, as the end of a sentence.
    waveform : str
        Why its input cannot be a waveform, as the end of a sentence; empty where it can.
    optional : bool
        Where a package of `needs` is missing, the row is refused and the others are made.
    slower : bool
        In the form ``step`` it takes longer than fp32 on the same engine, by what results/export.json recorded
        (tests hold the two together). A bundle then prefers fp32 there. It stands here, since a rule that followed
        each export's own timing would give the same checkpoint other bytes on a busy machine.
    rounds : str
        Attribute of `Source` that names the layers it rounds and can leave float32 one by one; empty where it has none.
    """

    name: str
    precision: str
    engine: str
    file: str
    needs: tuple[str, ...]
    device: str
    limit: Limit
    function: Callable[[Source], bytes]
    method: str = ""
    forms: tuple[str, ...] = NETWORKS
    why_not: str = ""
    waveform: str = ""
    optional: bool = False
    rounds: str = ""
    slower: bool = False

    @property
    def key(self) -> str:
        """For instance ``onnx-fp32``."""
        return f"{self.name}-{self.precision}"

    @property
    def calibrated(self) -> bool:
        """It needs a calibration set."""
        return bool(self.method)

    def refusal(self, form: str, takes: str = "features") -> str | None:
        """Why a model of a form and an input cannot become this here, or None where it can."""
        if form == "vector" and form not in self.forms:
            return f"{self.key} is for networks: skl2onnx writes scikit-learn's pipelines as onnx-fp32 alone"
        if form not in self.forms:
            return f"{self.key} has no form {form!r}: {self.why_not}"
        if takes == "waveform" and self.waveform:
            return f"{self.key} takes no waveform: {self.waveform}"
        if self.optional and (missing := [package for package in self.needs if find_spec(package) is None]):
            return f"{self.key} needs {missing[0]}, which is not installed"
        return None


_STEP_ALONE = (
    "NumPy has no fast convolution over two dimensions, so a window again at each step would cost a second"
)
_FIXED = "TFLite's memory is planned once, for inputs of one size"
_NO_FRONT_END = "eight bits cannot hold a spectrum's range; export the model with --input features"


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
        forms=("step",),
        why_not=_STEP_ALONE,
    ),
    Format(
        "numpy",
        "int8",
        "numpy",
        "weights.int8.safetensors",
        ("torch",),
        "the smallest file; NumPy alone, at fp32's speed and memory",
        LIMITS["int8"],
        to_numpy_int8,
        "weights int8, one scale a channel; the engine makes them float32 when it loads",
        forms=("step",),
        why_not=_STEP_ALONE,
        rounds="int8_layers",
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
        forms=FORMS,
    ),
    Format(
        "onnx",
        "fp16",
        "onnx",
        "model.fp16.onnx",
        ("torch", "onnx", "onnxscript", "onnxruntime"),
        "half the file where a download counts; fp32's speed and memory",
        LIMITS["fp16"],
        to_onnx_fp16,
    ),
    Format(
        "onnx",
        "int8",
        "onnx",
        "model.int8.onnx",
        ("torch", "onnx", "onnxscript", "onnxruntime"),
        "ONNX Runtime: four tenths of fp32's size, the same bits on x86 with and without VNNI; slower than fp32",
        LIMITS["int8"],
        to_onnx_int8,
        "products over channels in integers: weights and activations 8 bits, static ranges; the rest float32",
        rounds="integer_layers",
        slower=True,
    ),
    Format(
        "onnx",
        "int8-dynamic",
        "onnx",
        "model.int8-dynamic.onnx",
        ("torch", "onnx", "onnxscript", "onnxruntime"),
        "sounds unlike any calibration set: no range is learnt; slower than static ranges",
        LIMITS["int8-dynamic"],
        to_onnx_dynamic,
        "products over channels in integers, inputs rounded by each step's own range; the rest float32",
        rounds="integer_layers",
        slower=True,
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
        forms=("step", "window"),
        why_not=_FIXED,
    ),
    Format(
        "tflite",
        "fp16",
        "litert",
        "model.fp16.tflite",
        ("torch", "litert_torch", "ai_edge_litert"),
        "half the file; Android GPUs compute it as it is, CPUs at fp32's speed, its weights held in both sizes",
        LIMITS["fp16"],
        to_tflite_fp16,
        forms=("step", "window"),
        why_not=_FIXED,
    ),
    Format(
        "tflite",
        "int8",
        "litert",
        "model.int8.tflite",
        ("torch", "litert_torch", "ai_edge_quantizer", "ai_edge_litert"),
        "LiteRT: four tenths of fp32's size and a little faster; not for tflite-runtime, which runs it wrongly",
        LIMITS["int8"],
        to_tflite_int8,
        "weights int8, one scale a channel; products over channels in integers, activations int8, static ranges",
        forms=("step", "window"),
        why_not=_FIXED,
        rounds="int8_layers",
    ),
    Format(
        "tflite",
        "int8-weights",
        "litert",
        "model.int8-weights.tflite",
        ("torch", "litert_torch", "ai_edge_quantizer", "ai_edge_litert"),
        "the smallest file for LiteRT with float arithmetic; also right on tflite-runtime",
        LIMITS["int8-weights"],
        to_tflite_weights,
        "weights int8, one scale a channel; they become float32 when the file is loaded",
        forms=("step", "window"),
        why_not=_FIXED,
        rounds="int8_layers",
    ),
    Format(
        "tflite",
        "int8-dynamic",
        "litert",
        "model.int8-dynamic.tflite",
        ("torch", "litert_torch", "ai_edge_quantizer", "ai_edge_litert"),
        "LiteRT where sounds are unlike any calibration set; not for tflite-runtime, which runs it wrongly",
        LIMITS["int8-dynamic"],
        to_tflite_dynamic,
        "weights int8, one scale a channel; products over channels in integers, inputs by each step's own range",
        forms=("step", "window"),
        why_not=_FIXED,
        rounds="int8_layers",
    ),
    Format(
        "tflite",
        "int8-full",
        "litert",
        "model.int8-full.tflite",
        ("torch", "litert_torch", "ai_edge_quantizer", "ai_edge_litert"),
        "microcontrollers with tflite-micro, and accelerators of eight bits (Coral-like), on log-mel features",
        LIMITS["int8-full"],
        to_tflite_full,
        "inputs, outputs, states, weights and all products int8, static ranges; exponentials, the heads and what is "
        "divided float32 inside",
        forms=("step", "window"),
        why_not=_FIXED,
        waveform=_NO_FRONT_END,
    ),
    Format(
        "c",
        "int8-full",
        "micro",
        "model.h",
        ("torch", "litert_torch", "ai_edge_quantizer", "ai_edge_litert", "tflite_micro"),
        "firmware in C or C++ with tflite-micro: the same model as an array, with its constants and arena size",
        LIMITS["int8-full"],
        to_tflite_full,
        "as tflite-int8-full, run by tflite-micro's own kernels",
        forms=("step", "window"),
        why_not=_FIXED,
        waveform=_NO_FRONT_END,
        optional=True,
    ),
    Format(
        "pt2",
        "fp32",
        "torch",
        "model.pt2",
        ("torch",),
        "programs in torch of the same version, without our source code",
        LIMITS["fp32"],
        to_pt2,
    ),
    Format(
        "executorch",
        "fp32",
        "executorch",
        "model.pte",
        ("torch", "executorch"),
        "ExecuTorch's runtime on phones, with XNNPACK",
        LIMITS["fp32"],
        to_executorch,
        forms=("step", "window"),
        why_not="its memory is planned once, for inputs of one size",
        optional=True,
    ),
)


def choose_formats(text: str | Sequence[str]) -> tuple[Format, ...]:
    """Rows that a list of names means.

    Parameters
    ----------
    text : str or sequence of str
        Names (``onnx``), keys (``onnx-int8``) or precisions (``int8``), separated by commas, or ``all``.

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
    chosen = []
    for name in sorted(names):
        rows = [row for row in FORMATS if name in (row.key, row.precision) or row.key == f"{name}-fp32"]
        rows = rows or [row for row in FORMATS if row.name == name]
        if not rows:
            raise EdgeSerError(f"there is no format {name!r}; choose all or some of {_known()}")
        chosen += rows
    return tuple(row for row in FORMATS if row in chosen)


def format_for(engine: str, precision: str) -> Format:
    """The row that makes the file of an engine and a precision.

    Raises
    ------
    EdgeSerError
        There is none.
    """
    for row in FORMATS:
        if (row.engine, row.precision) == (engine, precision):
            return row
    there = ", ".join(f"{row.engine} {row.precision}" for row in FORMATS)
    raise EdgeSerError(f"nothing can be exported for {engine} in {precision}; there is {there}")


def _known() -> str:
    return ", ".join(row.key for row in FORMATS)
