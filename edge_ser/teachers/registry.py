"""The kinds of teachers that ``edge-ser label`` knows, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from edge_ser.errors import EdgeSerError
from edge_ser.teachers.targets import Teacher

__all__ = ["DAWN", "ODYSSEY", "TEACHERS", "Kind", "load_teacher"]


class Kind(NamedTuple):
    """One row of the table.

    Parameters
    ----------
    load : callable
        From the sources that were named (folders, files or names on the hub) to a teacher. It imports what it needs
        itself, so that the table can be listed without torch.
    help : str
        One line for ``edge-ser label --help``.
    sources : tuple of str
        What is taken where none is named.
    most : int
        How many may be named.
    """

    load: Callable[[Sequence[str]], Teacher]
    help: str
    sources: tuple[str, ...] = ()
    most: int = 1


def _dawn(sources: Sequence[str]) -> Teacher:
    from edge_ser.teachers.published import Dawn

    return Dawn.load(sources[0])


def _odyssey(sources: Sequence[str]) -> Teacher:
    from edge_ser.teachers.published import Odyssey

    return Odyssey.load(sources[0])


def _mean(sources: Sequence[str]) -> Teacher:
    from edge_ser.teachers.published import MeanTeacher, load_published

    return MeanTeacher([load_published(source) for source in sources])


def _linear(sources: Sequence[str]) -> Teacher:
    from edge_ser.teachers.linear import LinearTeacher

    if len(sources) != 2:
        raise EdgeSerError("a linear teacher is two things: --teacher HEADS.safetensors --teacher ENCODER")
    return LinearTeacher.load(*sources)


def _attentive(sources: Sequence[str]) -> Teacher:
    from edge_ser.teachers.attentive import AttentiveTeacher

    if len(sources) != 2:
        raise EdgeSerError(
            "an attentive teacher is two things: --teacher MEMBERS.safetensors --teacher ENCODER"
        )
    return AttentiveTeacher.load(*sources)


#: Names on the hub. Dawn is under CC BY-NC-SA 4.0, Odyssey under the MIT licence.
DAWN = "audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim"
ODYSSEY = "3loi/SER-Odyssey-Baseline-WavLM-Multi-Attributes"

TEACHERS: dict[str, Kind] = {
    "dawn": Kind(_dawn, f"wav2vec 2.0 of audEERING; {DAWN}", (DAWN,)),
    "odyssey": Kind(_odyssey, f"WavLM of the Odyssey 2024 challenge; {ODYSSEY}", (ODYSSEY,)),
    "mean": Kind(
        _mean, "the mean of several such, by default of these two: Wav2Small's teacher", (DAWN, ODYSSEY), 99
    ),
    "linear": Kind(_linear, "heads of edge-ser teach (one that is not centred), and their encoder", most=2),
    "attentive": Kind(_attentive, "the same of a recipe with [attentive], and their encoder", most=2),
}


def load_teacher(kind: str, sources: Sequence[str] = ()) -> Teacher:
    """Load a teacher.

    Parameters
    ----------
    kind : str
        A name in `TEACHERS`.
    sources : sequence of str
        Folders, files or names on the hub; the kind's own where none are given.

    Raises
    ------
    EdgeSerError
        No such kind, a wrong number of sources, or nothing of the kind lies there.
    """
    if kind not in TEACHERS:
        raise EdgeSerError(f"there is no kind of teacher {kind!r}; there are {', '.join(TEACHERS)}")
    row = TEACHERS[kind]
    chosen = tuple(sources) or row.sources
    if not chosen:
        raise EdgeSerError(f"a teacher of the kind {kind!r} has to be named; give it with --teacher")
    if len(chosen) > row.most:
        raise EdgeSerError(
            f"a teacher of the kind {kind!r} has at most {row.most} --teacher, not {len(chosen)}"
        )
    return row.load(chosen)
