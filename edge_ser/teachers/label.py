"""Labelling: every recording is heard by a teacher once, by one process or by many, and never again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_ser.audio import load_audio
from edge_ser.errors import EdgeSerError, MissingExtraError
from edge_ser.teachers.targets import Targets, TargetStore, Teacher, content_key

__all__ = ["Labelled", "Team", "View", "label"]

Floats = npt.NDArray[np.float32]

#: From a recording (n,), its content key and the number of the view (1, 2, ...) to another sound of the same speech.
View = Callable[[Floats, str, int], Floats]

#: Seconds after which what was labelled is written, however little it is.
FLUSH_S = 60.0


@dataclass
class Labelled:
    """What became of the recordings and their views.

    Attributes
    ----------
    done : int
        Heard by the teacher now.
    present : int
        Found in the store.
    failed : list of (str, str)
        Recordings that could not be read or that the teacher refused, and why.
    """

    done: int = 0
    present: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)

    def __add__(self, other: Labelled) -> Labelled:
        return Labelled(self.done + other.done, self.present + other.present, self.failed + other.failed)


def label(
    teacher: Teacher,
    recordings: Sequence[str | Path | Floats],
    store: TargetStore,
    *,
    view: View | None = None,
    views: int = 1,
    rank: int = 0,
    world_size: int = 1,
    progress: Callable[[Sequence[Any]], Iterable[Any]] = iter,
) -> Labelled:
    """Have a teacher hear recordings, and keep what it says.

    Every `FLUSH_S` seconds, and however the run ends short of a kill, what was heard is written; a later run finds it
    and goes on. A recording that occurs twice, under whatever names, is heard once.

    Parameters
    ----------
    teacher : Teacher
    recordings : sequence of path or (n,) float32
        Sound files, or waveforms at 16 kHz.
    store : TargetStore
        Of this teacher.
    view : callable, optional
        Makes the views beyond the recording itself; see `View`. The same arguments must give the same sound.
    views : int
        Sounds of each recording: itself, and ``views - 1`` that `view` makes.
    rank, world_size : int
        This process does every `world_size`-th recording, beginning with number `rank`.
    progress : callable
        Wraps this process's recordings as they are taken, to show how far it is.

    Returns
    -------
    Labelled
        Of this process.

    Raises
    ------
    EdgeSerError
        The store is another teacher's or cannot be written, the teacher's answers do not fit it, or several views are
        asked for and none can be made. A recording that cannot be done does not stop the others: see `Labelled.failed`.
    """
    if teacher.identity != store.teacher_id:
        raise EdgeSerError(
            f"{store.folder} is the store of another teacher; give this one a folder of its own"
        )
    if views < 1 or not 0 <= rank < world_size:
        raise EdgeSerError(
            f"{views} views by process {rank} of {world_size} cannot be made; count from 1 and from 0"
        )
    if views > 1 and view is None:
        raise EdgeSerError("there is nothing that makes further views of a recording; ask for 1")
    outcome = Labelled()
    written = time.monotonic()
    try:
        for number, recording in progress(list(enumerate(recordings))[rank::world_size]):
            try:
                answers, present = _hear(teacher, recording, store, view, views)
            except MissingExtraError:  # no recording's fault
                raise
            except EdgeSerError as error:
                name = f"recording {number}" if isinstance(recording, np.ndarray) else str(recording)
                outcome.failed.append((name, str(error)))
                continue
            for key, targets in answers.items():
                store.add(key, targets)
            outcome.done += len(answers)
            outcome.present += present
            if time.monotonic() - written > FLUSH_S:
                store.flush()
                written = time.monotonic()
    finally:
        store.flush()
    return outcome


def _hear(
    teacher: Teacher, recording: str | Path | Floats, store: TargetStore, view: View | None, views: int
) -> tuple[dict[str, Targets], int]:
    """Answers to those sounds of a recording that the store lacks, by key, and how many it has."""
    wave = recording if isinstance(recording, np.ndarray) else load_audio(recording)
    content = content_key(wave)
    answers: dict[str, Targets] = {}
    for k in range(views):
        sound = wave if k == 0 or view is None else view(wave, content, k)
        key = content if k == 0 else content_key(sound)
        if key not in store and key not in answers:
            answers[key] = teacher.targets(sound)
    return answers, views - len(answers)


class Team:
    """The processes that work together: those that ``torchrun`` started, or this one alone.

    Parameters
    ----------
    rank, size : int
        Number of this process, and of all.

    Examples
    --------
    >>> with Team.from_environment() as team:     # doctest: +SKIP
    ...     every = team.gather(mine)
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @classmethod
    def from_environment(cls) -> Team:
        """As the variables RANK and WORLD_SIZE say, which ``torchrun`` sets."""
        return cls(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))

    def __enter__(self) -> Team:
        if self.size > 1:
            from datetime import timedelta

            import torch

            torch.set_num_threads(1)  # the processes share the cores
            # One may be days behind another: its recordings may be longer, or its machine slower.
            torch.distributed.init_process_group("gloo", timeout=timedelta(days=30))
        return self

    def __exit__(self, *error: object) -> None:
        if self.size > 1:
            import torch

            torch.distributed.destroy_process_group()

    def gather(self, mine: Any) -> list[Any]:
        """What each process gives, in order of rank; waits for all, so that none ends a run that others are in."""
        if self.size == 1:
            return [mine]
        import torch

        every: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(every, mine)
        return every
