"""A model file that somebody else made, as a bundle: what a short TOML says of it, checked by running it."""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_ser.audio import SAMPLE_RATE
from edge_ser.bundle import Bundle, check_target, write_bundle
from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError, require
from edge_ser.evaluation.parity import device_answers, hard_sounds, inputs_of
from edge_ser.files import parse_toml
from edge_ser.interface import ADV_ORDER, SCORES, Interface
from edge_ser.manifest import NORMALISATIONS, PRECISIONS
from export.card import with_card
from export.description import describe, model_name
from export.inspection import ModelFile, Tensor, inspect
from export.trial import check_runs

__all__ = ["import_model"]

_ENGINES = {".onnx": "onnx", ".tflite": "litert"}
_HOP_S = 0.25
# Of sounds that are tried: enough for a window that is full and one that is not.
_TRIED_S = 4.0
_MOST_DIMENSIONS = 6

_TOP = {
    "file",
    "name",
    "labels",
    "licence",
    "description",
    "precision",
    "window_s",
    "hop_s",
    "macs_per_second",
}
_TABLES = {
    "input": {"kind", "name", "normalise", "transposed"},
    "outputs": {*SCORES, "adv", "adv_order", "adv_range"},
    "mel": {field.name for field in dataclasses.fields(MelSpec)},
}


class _Table:
    """A table of the TOML, asked by field and kind; a wrong one is named in the error."""

    def __init__(self, values: Any, path: Path, where: str, known: set[str]) -> None:
        self._path, self._where = path, where
        if not isinstance(values, dict):
            raise self.wrong(f"[{where}] must be a table")
        self.values = values
        if unknown := sorted(set(values) - known):
            raise self.wrong(f"unknown fields {', '.join(unknown)}; there are {', '.join(sorted(known))}")

    def wrong(self, what: str) -> EdgeSerError:
        return EdgeSerError(f"{self._path}: {f'[{self._where}] ' if self._where else ''}{what}")

    def text(self, name: str, default: str | None = None, among: Sequence[str] = ()) -> str:
        value = self.values.get(name, default)
        if value is None:
            raise self.wrong(f"lacks {name}" + (f", one of {', '.join(among)}" if among else ""))
        if not isinstance(value, str) or not (value.strip() or value == default):
            raise self.wrong(f"{name} must be text, not {value!r}")
        if among and value not in among:
            raise self.wrong(f"{name} must be one of {', '.join(among)}, not {value!r}")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        value = self.values.get(name, default)
        if value is None:
            raise self.wrong(f"lacks {name}, a number above 0")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e12:
            raise self.wrong(f"{name} must be a number above 0, not {value!r}")
        return float(value)

    def texts(self, name: str) -> list[str]:
        value = self.values.get(name)
        if value is None:
            raise self.wrong(f'lacks {name}, a list such as ["angry", "happy"]')
        if (
            not isinstance(value, list)
            or not value
            or not all(isinstance(v, str) and v.strip() for v in value)
        ):
            raise self.wrong(f"{name} must be a list of texts, not {value!r}")
        if len(set(value)) != len(value):
            raise self.wrong(f"{name} names one twice")
        return value


def import_model(description: str | Path, out: str | Path, *, overwrite: bool = False) -> Bundle:
    """Make a bundle of a file that somebody else made, after running it.

    Parameters
    ----------
    description : path
        A TOML file; docs/export.md lists its fields. The model file is named relative to it.
    out : path
        The bundle's folder.
    overwrite : bool
        Replace a bundle that is there.

    Returns
    -------
    Bundle

    Raises
    ------
    EdgeSerError
        A field is missing or wrong, the file's tensors are not what the TOML says, or its answers are no answers.
    MissingExtraError
        The file's runtime, or onnx, is not installed.
    """
    path = Path(description)
    fields = parse_toml(path)
    top = _Table({k: v for k, v in fields.items() if k not in _TABLES}, path, "", _TOP)
    tables = {name: _Table(fields.get(name, {}), path, name, known) for name, known in _TABLES.items()}
    target = check_target(out, overwrite=overwrite)
    file = path.parent / top.text("file")
    if file.suffix.lower() not in _ENGINES:
        raise top.wrong(f"file must be an .onnx or .tflite file, not {file.name!r}")
    if not file.is_file():
        raise top.wrong(f"there is no file {file}")
    called = model_name(top.text("name", target.name), target)
    found = inspect(file)
    manifest = _manifest(top, tables, found, called)
    name = f"model{file.suffix.lower()}"
    engine = _ENGINES[file.suffix.lower()]
    precision = top.text("precision", "fp32", PRECISIONS)
    manifest["training"] = {"imported": file.name, "description": top.text("description", "")}
    manifest["files"] = [
        {"path": name, "engine": engine, "precision": precision, "form": "window"},
    ]
    if engine == "onnx":  # of LiteRT it is known since `inspect`
        require("onnxruntime", extra="export", purpose="importing an ONNX file")
        check_runs(file)
    manifest, files = with_card(manifest, {name: file.read_bytes()})
    with tempfile.TemporaryDirectory() as folder:
        _try(write_bundle(Path(folder) / "bundle", manifest, files), engine, precision, top)
    return write_bundle(target, manifest, files, overwrite=overwrite)


def _manifest(top: _Table, tables: Mapping[str, _Table], found: ModelFile, name: str) -> dict[str, Any]:
    """bundle.json but for its files and its training."""
    labels = top.texts("labels")
    taken = _input(tables["input"], found)
    kind = tables["input"].text("kind", None, ("features", "waveform"))
    spec = _spec(tables["mel"], kind)
    window_s = top.number("window_s")
    samples = round(window_s * spec.sample_rate)
    step_frames = max(1, round(top.number("hop_s", _HOP_S) * spec.frame_rate))
    if samples < step_frames * spec.hop_length:
        raise top.wrong(f"a window of {window_s:g} s is shorter than hop_s")
    inner = (samples,) if kind == "waveform" else (spec.frames(samples), spec.n_mels)
    shape, transposed = _fit(tables["input"], taken, inner, f"{window_s:g} s")
    interface = _interface(tables["outputs"], found, taken.name, shape, labels, transposed=transposed)
    manifest = describe(
        name=name,
        architecture="imported",
        config={"labels": labels},
        spec=spec,
        states={},
        parameters=found.parameters,
        macs_per_second=round(top.number("macs_per_second")) if "macs_per_second" in top.values else 0,
        training={},
        licence=top.text("licence"),
        adv_source="the imported file, as its maker says"
        if interface.adv is not None
        else "none: the imported file gives no ratings",
        rated=interface.adv is not None,
        figures=(),
        calibration={"temperature": 1.0, "unsure_below": 0.0},
        files=(),
        window={
            "input": kind,
            "shape": (1, *inner),
            "samples": samples,
            "normalise": tables["input"].text("normalise", "none", NORMALISATIONS),
            "step_frames": step_frames,
        },
    )
    return manifest | {"interface": interface.to_dict()}


def _spec(table: _Table, kind: str) -> MelSpec:
    if kind == "waveform":
        if table.values:
            raise table.wrong("is for files that take log-mel features; leave it out")
        return MelSpec(sample_rate=SAMPLE_RATE, hop_length=SAMPLE_RATE // 100)
    try:
        spec = MelSpec.from_dict(table.values)
    except EdgeSerError as error:
        raise table.wrong(str(error)) from error
    if spec.sample_rate != SAMPLE_RATE:
        raise table.wrong(
            f"sample_rate must be {SAMPLE_RATE}, which is what edge-ser hears; convert the model"
        )
    return spec


def _input(table: _Table, found: ModelFile) -> Tensor:
    if len(found.inputs) != 1:
        raise table.wrong(f"the file takes {_listed(found.inputs)}; a window needs exactly one input")
    [taken] = found.inputs
    if table.text("name", taken.name) != taken.name:
        raise table.wrong(f"name is {table.values['name']!r}, and the file takes {_listed([taken])}")
    _float(taken, table)
    return taken


def _fit(table: _Table, taken: Tensor, inner: tuple[int, ...], window: str) -> tuple[tuple[int, ...], bool]:
    """The shape that the file is given, and whether bands come before frames."""
    chosen = table.values.get("transposed")
    if chosen is not None and not isinstance(chosen, bool):
        raise table.wrong(f"transposed must be true or false, not {chosen!r}")
    if chosen and len(inner) == 1:
        raise table.wrong("transposed is for files that take log-mel features; leave it out")
    orders = [False, True] if chosen is None and len(inner) == 2 else [bool(chosen)]
    fitting = [
        (shape, order) for order in orders if (shape := _filled(taken.shape, inner[::-1] if order else inner))
    ]
    if not fitting:
        what = f"{inner[0]} samples" if len(inner) == 1 else f"{inner[0]} frames of {inner[1]} bands"
        raise table.wrong(
            f"{_listed([taken])} does not fit {what}, which {window} are; mend window_s or the front end"
        )
    if len(fitting) == 2:
        raise table.wrong(
            f"{_listed([taken])} may be frames by bands or bands by frames; say transposed = true or false"
        )
    return fitting[0]


def _filled(shape: tuple[int | None, ...], inner: tuple[int, ...]) -> tuple[int, ...] | None:
    """A file's shape with its open sizes filled in so that it holds `inner` and ones, or None where it cannot."""
    wanted = [size for size in inner if size != 1]
    choices = [(1, *inner) if size is None else (size,) for size in shape[:_MOST_DIMENSIONS]]
    for sizes in itertools.product(*choices):  # an open batch comes first and becomes 1
        if [size for size in sizes if size != 1] == wanted and len(sizes) == len(shape):
            return sizes
    return None


def _interface(
    table: _Table,
    found: ModelFile,
    taken: str,
    shape: tuple[int, ...],
    labels: Sequence[str],
    *,
    transposed: bool,
) -> Interface:
    kinds = [kind for kind in SCORES if kind in table.values]
    if len(kinds) != 1:
        raise table.wrong(
            f"must say which output holds the emotions, as logits = NAME or probabilities = NAME; the file gives "
            f"{_listed(found.outputs)}"
        )
    scores = _output(table, kinds[0], found, len(labels), f"{len(labels)} labels")
    interface = Interface(taken, shape, transposed, scores, kinds[0])
    if "adv" not in table.values:
        if extra := sorted({"adv_order", "adv_range"} & set(table.values)):
            raise table.wrong(f"{extra[0]} needs adv, the name of the output")
        return interface
    order = table.texts("adv_order")
    if sorted(order) != sorted(ADV_ORDER):
        raise table.wrong(f"adv_order must be {', '.join(ADV_ORDER)} in the file's order, not {order}")
    ends = table.values.get("adv_range")
    if not (
        isinstance(ends, list)
        and len(ends) == 2
        and all(isinstance(v, int | float) and not isinstance(v, bool) for v in ends)
        and ends[0] < ends[1]
    ):
        raise table.wrong(f"adv_range must be the two ends of the scale, such as [0, 1], not {ends!r}")
    return dataclasses.replace(
        interface,
        adv=_output(table, "adv", found, 3, "arousal, dominance and valence"),
        order=tuple(order),
        range=(float(ends[0]), float(ends[1])),
    )


def _output(table: _Table, field: str, found: ModelFile, count: int, what: str) -> str:
    name = table.text(field)
    tensors = {tensor.name: tensor for tensor in found.outputs}
    if name not in tensors:
        raise table.wrong(f"{field} is {name!r}, and the file gives {_listed(found.outputs)}")
    tensor = tensors[name]
    _float(tensor, table)
    sizes = [size for size in tensor.shape if size not in (None, 1)]
    if (sizes or [1]) != [count] and not (None in tensor.shape[1:] and not sizes):
        raise table.wrong(f"{_listed([tensor])} does not hold {what}")
    return name


def _float(tensor: Tensor, table: _Table) -> None:
    if tensor.dtype != "float":
        raise table.wrong(
            f"{tensor.name} is of the type {tensor.dtype}; inputs and outputs must be float32, so convert the model"
        )


def _listed(tensors: Sequence[Tensor]) -> str:
    return ", ".join(
        f"{t.name!r} of shape ({', '.join('?' if size is None else str(size) for size in t.shape)})"
        for t in tensors
    )


def _try(bundle: Bundle, engine: str, precision: str, top: _Table) -> None:
    """Run it on sounds; what it says must be what it was said to say."""
    from firmware_py.engines import open_engine

    assert bundle.interface is not None
    opened = open_engine(bundle, engine, precision)
    every = max(1, round(bundle.spec.frame_rate / bundle.step_frames))
    seconds = max(_TRIED_S, bundle.step_s)
    try:
        inputs = inputs_of(bundle, hard_sounds(seconds, bundle.spec.sample_rate))
        rows = np.concatenate([device_answers(opened, steps, every) for steps in inputs.values()])
    except EdgeSerError:
        raise
    except Exception as error:  # a runtime's own, of any class
        raise top.wrong(f"the file cannot be run: {' '.join(str(error).split())}") from error
    if rows.shape[1] != 3 + len(bundle.labels):
        raise top.wrong(f"the file gives {rows.shape[1] - 3} numbers for {len(bundle.labels)} labels")
    if not np.isfinite(rows).all():
        raise top.wrong(
            "the file answers with numbers that are NaN or infinite to one of the sounds that were tried"
        )
    scores = rows[:, 3:]
    shares = np.exp(scores) if bundle.interface.kind == "probabilities" else scores
    like = bool(((shares >= -1e-4) & (shares <= 1 + 1e-4)).all() and (np.abs(shares.sum(1) - 1) < 1e-2).all())
    if bundle.interface.kind == "probabilities" and not like:
        raise top.wrong(
            f"{bundle.interface.scores!r} does not sum to 1 and so holds no probabilities; say logits"
        )
    if bundle.interface.kind == "logits" and like and len(bundle.labels) > 1:
        raise top.wrong(
            f"{bundle.interface.scores!r} always sums to 1 and so holds no logits; say probabilities"
        )
