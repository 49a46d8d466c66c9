"""The gate: every file runs on the device's own engine against the trained model; one over its limit is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_ser.bundle import Bundle
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.parity import Difference, compare_all, device_answers, inputs_of, torch_answers
from export.calibration import Say
from export.formats import Format
from export.source import Source

if TYPE_CHECKING:
    from edge_ser.models.base import Network

__all__ = ["Exported", "convert", "gate"]

#: Seconds from one window to the next that is asked about: each costs as much as a whole clip.
_WINDOWS_EVERY_S = 3.0


@dataclasses.dataclass(frozen=True)
class Exported:
    """What became of one format.

    Attributes
    ----------
    format : Format
    data : bytes or None
        The file; None where the converter failed.
    error : Difference or None
        From torch, the worst of all sounds.
    worst : str
        The sound with the largest error, or why there is no file.
    applies : bool
        False where a model of this kind cannot become such a file at all, as `worst` says: then its absence is no
        failure.
    """

    format: Format
    data: bytes | None
    error: Difference | None = None
    worst: str = ""
    applies: bool = True

    @property
    def ok(self) -> bool:
        """The file is there and within its limit."""
        return self.error is not None and self.error.within(self.format.limit)

    def to_dict(self) -> dict[str, Any]:
        """The row of ``edge-ser export -o json``."""
        error, limit = self.error, self.format.limit
        finite = error is not None and np.isfinite(error.largest)
        return {
            "format": self.format.name,
            "precision": self.format.precision,
            "file": self.format.file,
            "kb": None if self.data is None else round(len(self.data) / 1024, 1),
            "max_abs_error": error.largest if error is not None and finite else None,
            "limit": limit.largest,
            "mean_abs_error": error.mean if error is not None and finite else None,
            "mean_limit": limit.mean,
            "agreement": None if error is None else error.agreement,
            "agreement_limit": limit.agreement,
            "metric_drop": None,  # needs the held-out fold: edge-ser evaluate --checkpoints --precision int8
            "ok": self.ok,
            "applies": self.applies,
            "note": self.worst,
        }


def convert(row: Format, source: Source, say: Say) -> Exported:
    """Make a file; a converter that fails is the row's answer, not an error."""
    if (reason := row.refusal(source.form, source.takes)) is not None:
        say(f"not made: {reason}")
        return Exported(row, None, worst=reason, applies=False)
    say(f"{row.key}: converting")
    try:
        return Exported(row, row.function(source))
    except EdgeSerError:
        raise
    except Exception as error:  # a converter's own: of any class, and the row's answer rather than a crash
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        say(f"{row.key}: the converter failed: {reason}")
        return Exported(row, None, worst=f"the converter failed: {reason}")


def gate(
    made: Sequence[Exported], bundle: Bundle, model: Network, sounds: Mapping[str, np.ndarray], say: Say
) -> list[Exported]:
    """Run each file on the device's own engine, step by step, against the unfolded model in one pass.

    A model that hears windows is asked every three seconds, against the unfolded model on the same windows.

    So the folding, the streaming, the converter and the engine are all inside what is measured.

    Parameters
    ----------
    made : sequence of Exported
        Those without a file stay as they are.
    bundle : Bundle
        Holds the files.
    model : Network
        As trained.
    sounds : mapping of str to (n,) float32
        Audio at the bundle's sample rate.
    say : callable
        Gets a line for each file.

    Returns
    -------
    list of Exported
        With their errors.
    """
    from firmware_py.engines import open_engine

    inputs = inputs_of(bundle, sounds)
    every = max(1, round(_WINDOWS_EVERY_S * bundle.spec.frame_rate / bundle.step_frames))
    wanted = {sound: torch_answers(model, bundle, steps, every) for sound, steps in inputs.items()}
    checked: list[Exported] = []
    for row in made:
        if row.data is None:
            checked.append(row)
            continue
        engine = open_engine(bundle, row.format.engine, row.format.precision)
        answers = {sound: device_answers(engine, steps, every) for sound, steps in inputs.items()}
        error, sound = compare_all(answers, wanted, rounded=row.format.limit.rounded)
        done = dataclasses.replace(row, error=error, worst=f"largest at {sound}")
        checked.append(done)
        verdict = "ok" if done.ok else "REFUSED"
        say(f"{row.format.key}: {len(row.data) / 1024:.0f} KB, {_measured(done, sound)}: {verdict}")
    return checked


def _measured(row: Exported, sound: str) -> str:
    """Each part of a difference beside its limit, where it has one."""
    error, limit = row.error, row.format.limit
    assert error is not None
    parts = [f"largest error {error.largest:.2g} at {sound} (limit {limit.largest:g})"]
    if limit.mean is not None:
        parts.append(f"mean {error.mean:.2g} (limit {limit.mean:g})")
    if limit.agreement is not None:
        parts.append(f"same emotion {error.agreement:.1%} (at least {limit.agreement:.0%})")
    return ", ".join(parts)
