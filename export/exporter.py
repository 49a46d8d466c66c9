"""From a checkpoint to a bundle: convert, hold every file to the trained model, and only then write."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_ser.bundle import Bundle, check_target, write_bundle
from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError, require
from edge_ser.evaluation.parity import engine_answers, features_of, largest_error, one_pass_answers
from edge_ser.files import parse_json_object
from export.card import card_text
from export.description import describe
from export.formats import Format

if TYPE_CHECKING:
    from edge_ser.models.stream72k import Stream72k

__all__ = ["Exported", "Say", "export_checkpoint", "read_figures"]

Say = Callable[[str], None]

_CARD = {"path": "MODEL_CARD.md", "engine": None, "precision": None}
_KEPT = ("corpus", "protocol", "model", "params", "seeds", "folds", "uar", "baseline_uar", "adv")


@dataclasses.dataclass(frozen=True)
class Exported:
    """What became of one format.

    Attributes
    ----------
    format : Format
    data : bytes or None
        The file; None where the converter failed.
    error : float or None
        Largest absolute error of any output against torch.
    worst : str
        The sound at which it occurs, or why the converter failed.
    """

    format: Format
    data: bytes | None
    error: float | None = None
    worst: str = ""

    @property
    def ok(self) -> bool:
        """The file is there and within its limit."""
        return self.error is not None and self.error <= self.format.limit

    def to_dict(self) -> dict[str, Any]:
        """The row of ``edge-ser export -o json``."""
        finite = self.error is not None and np.isfinite(self.error)
        return {
            "format": self.format.name,
            "precision": self.format.precision,
            "file": self.format.file,
            "kb": None if self.data is None else round(len(self.data) / 1024, 1),
            "max_abs_error": self.error if finite else None,
            "limit": self.format.limit,
            "metric_drop": None,  # fp32 within its limit has none to speak of; quantised rows will measure it
            "ok": self.ok,
            "note": self.worst,
        }


def export_checkpoint(
    checkpoint: str | Path,
    out: str | Path,
    formats: Sequence[Format],
    sounds: Mapping[str, np.ndarray],
    *,
    name: str | None = None,
    licence: str | None = None,
    figures: Sequence[Mapping[str, Any]] = (),
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
    overwrite : bool
        Replace a bundle that is at `out`.
    say : callable
        Gets a line of progress.

    Returns
    -------
    rows : list of Exported
        One a format.
    bundle : Bundle or None
        None when a row is not ok: then nothing was written.

    Raises
    ------
    EdgeSerError
        Bad checkpoint, target or name, or a package that a format needs is missing.
    """
    require("torch", extra="export", purpose="exporting")
    for row in formats:
        for package in row.needs:
            if package != "litert_torch":  # imported where its noise is held back
                require(package, extra="export", purpose=f"exporting to {row.key}")
    from edge_ser.models.checkpoint import load_checkpoint
    from edge_ser.models.stream72k import Stream72k

    target = check_target(out, overwrite=overwrite)
    model, meta = load_checkpoint(checkpoint)
    if not isinstance(model, Stream72k) or not isinstance(meta.get("spec"), dict):
        raise EdgeSerError(
            f"{checkpoint} holds no streaming model with its front end; train one with edge-ser train"
        )
    spec = MelSpec.from_dict(meta["spec"])
    folded = model.fold()
    made = [_convert(row, folded, say) for row in formats]
    description = _describe(name or target.name, folded, meta, spec, licence, figures)
    rows = [*_gate(made, description, model, features_of(sounds, spec, folded.config.step_frames), say)]
    if not all(row.ok for row in rows):
        return rows, None
    return rows, _write(target, rows, description, overwrite=overwrite)


def read_figures(path: str | Path) -> dict[str, Any]:
    """A result of ``edge-ser train`` or ``evaluate`` as a bundle keeps it: without the confusion matrix and the recipe.

    Raises
    ------
    EdgeSerError
        No such file, or it names no protocol.
    """
    source = Path(path)
    if not source.is_file():
        raise EdgeSerError(f"{source} is not a file; name the JSON that edge-ser train or evaluate wrote")
    document = parse_json_object(source.read_bytes(), str(source))
    if not isinstance(document.get("protocol"), str):
        raise EdgeSerError(f"{source} says no protocol; name the JSON that edge-ser train or evaluate wrote")
    return {key: document[key] for key in _KEPT if key in document}


def _convert(row: Format, folded: Stream72k, say: Say) -> Exported:
    say(f"{row.key}: converting")
    try:
        return Exported(row, row.function(folded))
    except EdgeSerError:
        raise
    except Exception as error:  # a converter's own: of any class, and the row's answer rather than a crash
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        say(f"{row.key}: the converter failed: {reason}")
        return Exported(row, None, worst=f"the converter failed: {reason}")


def _gate(
    made: Sequence[Exported],
    description: Mapping[str, Any],
    model: Stream72k,
    features: Mapping[str, np.ndarray],
    say: Say,
) -> list[Exported]:
    """Run each file on the device's own engine, step by step, against the unfolded model in one pass.

    So the folding, the streaming, the converter and the engine are all inside what is measured.
    """
    from firmware_py.engines import open_engine

    whole = [row for row in made if row.data is not None]
    if not whole:
        return list(made)
    wanted = {sound: one_pass_answers(model, steps) for sound, steps in features.items()}
    checked: list[Exported] = []
    with tempfile.TemporaryDirectory() as folder:
        bundle = _write(Path(folder) / "bundle", whole, description)
        for row in made:
            if row.data is None:
                checked.append(row)
                continue
            engine = open_engine(bundle, row.format.engine, row.format.precision)
            errors = {
                s: largest_error(engine_answers(engine, steps), wanted[s]) for s, steps in features.items()
            }
            worst = max(errors, key=lambda sound: errors[sound])
            done = dataclasses.replace(row, error=errors[worst], worst=f"largest at {worst}")
            checked.append(done)
            verdict = "ok" if done.ok else "REFUSED"
            say(
                f"{row.format.key}: {len(row.data) / 1024:.0f} KB, largest error {errors[worst]:.2g} at {worst} "
                f"(limit {row.format.limit:g}): {verdict}"
            )
    return checked


def _write(
    folder: Path, rows: Sequence[Exported], description: Mapping[str, Any], *, overwrite: bool = False
) -> Bundle:
    files = {row.format.file: row.data for row in rows if row.data is not None}
    entries = [
        {
            "path": row.format.file,
            "engine": row.format.engine,
            "precision": row.format.precision,
            "form": row.format.form,
        }
        for row in rows
        if row.data is not None
    ]
    manifest = {**description, "files": [*entries, _CARD]}
    files["MODEL_CARD.md"] = card_text(manifest).encode("utf-8")
    return write_bundle(folder, manifest, files, overwrite=overwrite)


def _describe(
    name: str,
    folded: Stream72k,
    meta: Mapping[str, Any],
    spec: MelSpec,
    licence: str | None,
    figures: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    training = _without_folders(meta.get("training") or {})
    data = training.get("licence") or "licences not recorded"
    states = zip(folded.state_names, folded.initial_state(1), strict=True)
    return describe(
        name=name,
        architecture=meta["architecture"],
        config=json.loads(json.dumps(meta["config"])),
        spec=spec,
        states={state: tuple(tensor.shape) for state, tensor in states},
        parameters=folded.count_parameters(),
        macs_per_second=folded.macs_per_second(spec),
        training=training,
        licence=licence or f"non-commercial use, as the training data's ({data})",
        adv_source=training.get("adv_source") or "none: trained without ratings, so these three mean nothing",
        figures=[*(meta.get("figures") or ()), *figures],
        calibration=meta.get("calibration") or {"temperature": 1.0, "unsure_below": 0.0},
        files=(),
    )


def _without_folders(value: Any) -> Any:
    """The same with absolute paths cut to their last part: a bundle names nothing of the machine that made it."""
    if isinstance(value, Mapping):
        return {key: _without_folders(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_folders(item) for item in value]
    if isinstance(value, str):
        for kind in (PurePosixPath, PureWindowsPath):
            if kind(value).is_absolute():
                return kind(value).name
    return value
