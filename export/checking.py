"""The files of an export on trial: how many layers int8 may have, then the gate, from bundles aside."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edge_ser.bundle import Bundle
from export.calibration import Say
from export.formats import Format
from export.gate import Exam, Exported, gate
from export.sensitivity import Mixed, sweep
from export.source import Source
from export.validation import ValidationSet

if TYPE_CHECKING:
    from edge_ser.models.base import Network

__all__ = ["Checks", "checked"]

#: A bundle of some rows' files, written to a folder that is not there yet.
Write = Callable[[Path, Sequence[Exported]], Bundle]
#: What a converter made, as it goes into a bundle.
Finish = Callable[[Format, bytes], bytes]


class Checks(NamedTuple):
    """What files are checked on, and how far layers are tried; see `export.exporter.export_checkpoint`."""

    sounds: Mapping[str, np.ndarray]
    validation: ValidationSet | None = None
    mixed: Mixed | None = None
    sensitivity: bool = False


def checked(
    made: Sequence[Exported],
    model: Network,
    source: Source,
    checks: Checks,
    *,
    finish: Finish,
    write: Write,
    say: Say,
) -> list[Exported]:
    """What the gate says of files that were made.

    Parameters
    ----------
    made : sequence of Exported
        Those without a file stay as they are.
    model : Network
        As trained.
    source : Source
        What they were made from.
    checks : Checks
    finish, write : callable
        How a file becomes what a bundle holds, and how files become a bundle.
    say : callable
        Gets a line of progress.
    """
    there = [row for row in made if row.data is not None]
    if not there:
        return list(made)
    with tempfile.TemporaryDirectory() as folder:
        exam = Exam(write(Path(folder) / "asked", there[:1]), model, checks.sounds, checks.validation)
        if checks.mixed is not None or checks.sensitivity:
            run = functools.partial(_tried, exam, finish, write)
            made = [_swept(row, source, exam, checks, finish, run, say) for row in made]
        return gate(made, write(Path(folder) / "bundle", made), exam, say)


def _swept(
    row: Exported,
    source: Source,
    exam: Exam,
    checks: Checks,
    finish: Finish,
    run: Callable[[Format, Source], tuple[int, Mapping[str, np.ndarray]]],
    say: Say,
) -> Exported:
    """A file in int8 with what its layers cost, and as many of them in float32 as is asked for."""
    form = row.format
    if row.data is None or not form.rounds:
        return row
    mixed = checks.mixed
    goal = None if mixed is None or mixed.count is not None else mixed.limit(form.limit)
    found = sweep(
        source,
        tuple(getattr(source, form.rounds)),
        functools.partial(run, form),
        exam.wanted,
        limit=None if checks.sensitivity else goal,
        count=None if checks.sensitivity or mixed is None else mixed.count,
        say=lambda text: say(f"{form.key}: {text}"),
    )
    if mixed is None:
        return dataclasses.replace(row, sweep=found)
    if mixed.count is not None:
        chosen = next(trial for trial in found.trials if len(trial.kept) == mixed.count)
    else:  # the last, with all layers float32, where none is within
        assert goal is not None
        chosen = next((trial for trial in found.trials if trial.error.within(goal)), found.trials[-1])
    data = finish(form, form.function(source.keeping(chosen.kept)))
    return dataclasses.replace(row, data=data, sweep=found, kept=chosen.kept)


def _tried(
    exam: Exam, finish: Finish, write: Write, row: Format, source: Source
) -> tuple[int, Mapping[str, np.ndarray]]:
    """Size of the file that a format makes of a source, and its answers."""
    from firmware_py.engines import open_engine

    data = finish(row, row.function(source))
    with tempfile.TemporaryDirectory() as folder:
        bundle = write(Path(folder) / "tried", [Exported(row, data)])
        return len(data), exam.answers(open_engine(bundle, row.engine, row.precision))
