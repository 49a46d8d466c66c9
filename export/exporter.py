"""From a checkpoint to a bundle: convert, hold every file to the trained model, and only then write."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edge_ser.bundle import Bundle, check_target
from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError, require
from edge_ser.evaluation.parity import features_of
from edge_ser.manifest import is_model_name
from export.calibration import CalibrationSet, Say, choose_calibration
from export.checking import Checks, checked
from export.description import describe, model_name
from export.folding import check_folding
from export.formats import Format
from export.gate import Exported, convert
from export.licences import terms
from export.metadata import about, with_metadata
from export.quantise import float_layers, integer_layers
from export.ranges import default_method
from export.sensitivity import Mixed
from export.source import Source
from export.validation import choose_validation
from export.writing import write_files

if TYPE_CHECKING:
    from edge_ser.models.base import Network
    from export.window import WindowPlan

__all__ = [
    "Exported",
    "Say",
    "export_checkpoint",
    "temporary_bundle",
    "unchecked_bundle",
    "without_folders",
]

Calibrate = Callable[[Mapping[str, Any], MelSpec, int], CalibrationSet]


def export_checkpoint(
    checkpoint: str | Path,
    out: str | Path,
    formats: Sequence[Format],
    sounds: Mapping[str, np.ndarray],
    *,
    name: str | None = None,
    licence: str | None = None,
    figures: Sequence[Mapping[str, Any]] = (),
    calibrate: str | None = None,
    calibration: Mapping[str, Any] | None = None,
    mixed: Mixed | None = None,
    sensitivity: bool = False,
    validate: str | None = None,
    feeding: Mapping[str, Any] | None = None,
    accept_drop: bool = False,
    overwrite: bool = False,
    say: Say = lambda text: None,
) -> tuple[list[Exported], Bundle | None]:
    """Convert a checkpoint, check each file, and write a bundle when all pass.

    Parameters
    ----------
    checkpoint : path
        Written by ``edge-ser train``.
    out : path
        The bundle's folder.
    formats : sequence of Format
        At least one.
    sounds : mapping of str to (n,) float32
        What the files are checked on, 16 kHz mono.
    name : str, optional
        The model's name; the folder's name when left out.
    licence : str, optional
        What the bundle says of its use; follows from the training data when left out.
    figures : sequence of mapping
        Each with its ``protocol``; they join those of the checkpoint.
    calibrate : str, optional
        What int8 learns its ranges from, see `choose_calibration`.
    calibration : mapping, optional
        How: ``method`` (of `export.ranges.METHODS`; left out, `export.ranges.default_method`), ``count`` and ``seed``
        (of `choose_calibration`).
    mixed : Mixed, optional
        How many of the most sensitive layers stay float32 in int8 files; left out, none.
    sensitivity : bool
        Measure what each layer costs, and files that keep more and more of them.
    validate : str, optional
        Clips of speakers that were not trained on, to see what figures lose; see `choose_validation`.
    feeding : mapping, optional
        Of a network that does not stream: what `export.window.plan_window` takes by name.
    accept_drop : bool
        Write files that are over their limits as well, marked so in bundle.json and on the card. One whose answers
        are no numbers is never written.
    overwrite : bool
        Replace a bundle that is at `out`.
    say : callable
        Gets a line of progress.

    Returns
    -------
    rows : list of Exported
        One a format.
    bundle : Bundle or None
        None when a row that applies to the model is not ok, or none does: then nothing was written.

    Raises
    ------
    EdgeSerError
        Bad checkpoint, target or name, or a package that a format needs is missing.
    """
    _require(formats)
    target = check_target(out, overwrite=overwrite)
    called = model_name(name, target)
    how = dict(calibration or {})
    method = how.pop("method", None)
    choose = functools.partial(choose_calibration, which=calibrate, say=say, **how)
    loaded = _load(
        checkpoint,
        formats,
        choose,
        called,
        licence=licence,
        figures=figures,
        feeding=feeding,
        method=method,
    )
    validation = None
    if validate is not None:
        labels = loaded.model.config.labels
        validation = choose_validation(validate, loaded.description["training"], labels)
    made = [_made(row, loaded, say) for row in formats]
    rows = checked(
        made,
        loaded.model,
        loaded.source,
        Checks(sounds, validation, mixed, sensitivity),
        finish=functools.partial(_finished, loaded),
        write=lambda folder, rows: _write(folder, rows, loaded),
        say=say,
    )
    refused = [row for row in rows if row.applies and not row.ok]
    bearable = accept_drop and all(
        row.error is not None and np.isfinite(row.error.largest) for row in refused
    )
    if (refused and not bearable) or all(row.data is None for row in rows):
        return rows, None
    return rows, _write(target, rows, loaded, overwrite=overwrite)


@contextlib.contextmanager
def temporary_bundle(
    checkpoint: str | Path, row: Format, calibrate: Calibrate, *, method: str | None = None
) -> Iterator[Bundle]:
    """A checkpoint in one format, as a bundle that goes with the block; for measuring, so no gate is before it.

    Parameters
    ----------
    checkpoint : path
        Written by ``edge-ser train``.
    row : Format
    calibrate : callable
        Gives the calibration set from the record of the training, the front end and the frames of a step;
        called where the format needs one.
    method : str, optional
        How ranges follow from it; of `export.ranges.METHODS`, left out `export.ranges.default_method`.

    Raises
    ------
    EdgeSerError
        Bad checkpoint, a converter that fails, or a package that the format needs is missing.
    """
    with tempfile.TemporaryDirectory() as folder:
        yield unchecked_bundle(checkpoint, Path(folder) / "bundle", [row], calibrate, method=method)


def unchecked_bundle(
    checkpoint: str | Path,
    out: Path,
    rows: Sequence[Format],
    calibrate: Calibrate,
    *,
    name: str | None = None,
    feeding: Mapping[str, Any] | None = None,
    method: str | None = None,
) -> Bundle:
    """A checkpoint in some formats, as a bundle at `out`; for measuring, so no gate is before it.

    See `temporary_bundle`; `name` is the model's, the checkpoint's when left out, and `feeding` is as in
    `export_checkpoint`.
    """
    _require(rows)
    stem = Path(checkpoint).stem
    called = name or (stem if is_model_name(stem) else "model")  # a file may be called what no bundle can be
    loaded = _load(checkpoint, rows, calibrate, called, feeding=feeding, method=method)
    made = [_made(row, loaded, lambda text: None) for row in rows]
    for one in made:
        if one.data is None:
            raise EdgeSerError(f"{checkpoint} cannot be exported to {one.format.key}: {one.worst}")
    return _write(out, made, loaded)


def _require(formats: Sequence[Format]) -> None:
    require("torch", extra="export", purpose="exporting")
    loud = ("litert_torch", "ai_edge_quantizer")  # imported where their noise is held back
    for row in formats:
        for package in row.needs:
            if package not in loud and not row.optional:
                require(package, extra="export", purpose=f"exporting to {row.key}")


class _Loaded(NamedTuple):
    model: Network  # as trained, its batch normalisation not folded
    source: Source
    spec: MelSpec
    description: dict[str, Any]  # of the bundle, without its files


def _load(
    checkpoint: str | Path,
    formats: Sequence[Format],
    calibrate: Calibrate,
    name: str,
    *,
    licence: str | None = None,
    figures: Sequence[Mapping[str, Any]] = (),
    feeding: Mapping[str, Any] | None = None,
    method: str | None = None,
) -> _Loaded:
    from edge_ser.models.base import ClipNetwork
    from edge_ser.models.checkpoint import load_checkpoint
    from edge_ser.models.stream72k import Stream72k
    from export.window import OPTIONS, plan_window

    model, meta = load_checkpoint(checkpoint)
    if not isinstance(model, Stream72k | ClipNetwork) or not isinstance(meta.get("spec"), dict):
        raise EdgeSerError(f"{checkpoint} holds no model with its front end; train one with edge-ser train")
    if not model.config.labels:
        raise EdgeSerError(
            f"{checkpoint} was trained without emotions, and a bundle names them; train it with some"
        )
    spec = MelSpec.from_dict(meta["spec"])
    plan = None
    if isinstance(model, ClipNetwork):
        plan = plan_window(model, spec, **(feeding or {}))
        step_frames = plan.step_frames
    else:
        step_frames = model.config.step_frames
    if plan is None and feeding:
        options = " and ".join(OPTIONS[name] for name in feeding)
        raise EdgeSerError(
            f"{meta['architecture']} streams: its step and its window were trained; leave out {options}"
        )
    folded = model.fold()
    calibration = None
    how = ("step", "features") if plan is None else (plan.form, plan.takes)
    rounded = [row for row in formats if row.calibrated and row.refusal(*how) is None]
    if rounded:
        calibration = calibrate(meta.get("training") or {}, spec, step_frames)
        method = method or default_method(streams=plan is None)
        record = {**calibration.record, "method": method}
        calibration = dataclasses.replace(calibration, method=method, record=record)
        if plan is not None:
            given = tuple(_given(model, spec, step_frames, plan, wave) for wave in calibration.waves)
            calibration = dataclasses.replace(calibration, features=given)
    source = Source(folded, calibration, plan)
    check_folding(model, folded, functools.partial(_given, model, spec, step_frames, plan))
    description = _describe(name, folded, meta, spec, plan, licence, figures)
    if calibration is not None:
        description["quantisation"] = {
            "calibration": dict(calibration.record),
            "float_layers": list(float_layers(source.model)),
            "integer_layers": list(integer_layers(source.model)),
            "methods": {row.key: row.method for row in rounded},
        }
    return _Loaded(model, source, spec, description)


def _given(
    model: Network, spec: MelSpec, step_frames: int, plan: WindowPlan | None, wave: np.ndarray
) -> np.ndarray:
    """What a network hears of a recording, as `export.quantise.observe` takes it."""
    if plan is None:
        return features_of({"": wave}, spec, step_frames)[""]
    from edge_ser.models.base import ClipNetwork

    assert isinstance(model, ClipNetwork)
    return plan.given(model, wave)


def _made(row: Format, loaded: _Loaded, say: Say) -> Exported:
    """A format's file, which says of itself what its bundle says of it."""
    made = convert(row, loaded.source, say)
    if made.data is None:
        return made
    return dataclasses.replace(made, data=_finished(loaded, row, made.data))


def _finished(loaded: _Loaded, row: Format, data: bytes) -> bytes:
    return with_metadata(data, row.engine, about(loaded.description))


def _write(folder: Path, rows: Sequence[Exported], loaded: _Loaded, *, overwrite: bool = False) -> Bundle:
    return write_files(folder, rows, loaded.description, loaded.source.form, overwrite=overwrite)


def _describe(
    name: str,
    folded: Network,
    meta: Mapping[str, Any],
    spec: MelSpec,
    plan: WindowPlan | None,
    licence: str | None,
    figures: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    training = without_folders(meta.get("training") or {})
    # for the folds' figures; speakers' names are no business of who gets the bundle
    for key in ("heard", "told"):
        training.pop(key, None)
    from edge_ser.models.stream72k import Stream72k

    states = {}
    if isinstance(folded, Stream72k):
        states = dict(zip(folded.state_names, folded.initial_state(1), strict=True))
    macs = folded.macs_per_second(spec)
    if plan is not None:  # the whole window at each step
        macs *= round(plan.samples / (plan.step_frames * spec.hop_length))
    return describe(
        name=name,
        architecture=meta["architecture"],
        config=json.loads(json.dumps(meta["config"])),
        spec=spec,
        states={state: tuple(tensor.shape) for state, tensor in states.items()},
        parameters=folded.count_parameters(),
        macs_per_second=macs,
        training=training,
        licence=licence or terms(training),
        adv_source=training.get("adv_source") or "none: trained without ratings",
        rated=bool(training.get("adv_source")),
        figures=[*(meta.get("figures") or ()), *figures],
        calibration=meta.get("calibration") or {"temperature": 1.0, "unsure_below": 0.0},
        files=(),
        window=None
        if plan is None
        else {
            "input": plan.takes,
            "shape": plan.shape,
            "samples": plan.samples,
            "normalise": plan.normalise,
            "step_frames": plan.step_frames,
        },
    )


def without_folders(value: Any) -> Any:
    """The same with absolute paths cut to their last part: a bundle names nothing of the machine that made it."""
    if isinstance(value, Mapping):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(item) for item in value]
    if isinstance(value, str):
        for kind in (PurePosixPath, PureWindowsPath):
            if kind(value).is_absolute():
                return kind(value).name
    return value
