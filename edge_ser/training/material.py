"""What teachers are made of: truths of clips, what an encoder heard in their views, and teachers of parts of them."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edge_ser.corpora import Clip
from edge_ser.teachers.encoders import Encoder
from edge_ser.teachers.linear import HeadPart, LinearHeads, LinearTeacher

__all__ = ["Answers", "Known", "LinearMaterial", "Material", "Truths"]

#: From a corpus's name to the labels that it knows.
Known = dict[str, tuple[str, ...]]
#: Logits (N, L), A/D/V (N, 3) and hints (N, K) of N clips.
Answers = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]


class Truths(NamedTuple):
    """What is known of N clips."""

    fold: npt.NDArray[np.int64]  # (N,), -1 for none
    classes: npt.NDArray[np.int64]  # (N,) index into the labels, -1 where unknown
    allowed: npt.NDArray[np.bool_]  # (N, L) labels of the clip's corpus
    adv: npt.NDArray[np.float32]  # (N, 3), NaN where unknown

    @classmethod
    def of(cls, clips: Sequence[Clip], labels: Sequence[str], known: Known) -> Truths:
        """Of clips whose corpora know, of all labels, those of `known`."""
        index = {label: i for i, label in enumerate(labels)}
        return cls(
            np.array([-1 if clip.fold is None else clip.fold for clip in clips]),
            np.array([index.get(clip.emotion or "", -1) for clip in clips]),
            np.array([[label in known[clip.corpus] for label in labels] for clip in clips], bool),
            np.array([clip.adv or (np.nan,) * 3 for clip in clips], np.float32),
        )


class Material(abc.ABC):
    """Truths of clips; a subclass knows what was heard of them and makes teachers.

    Parameters
    ----------
    clips : sequence of Clip
    labels : tuple of str
        All classes.
    known : mapping
        From a corpus's name to its own.
    """

    #: Start of a sentence on what the teacher is.
    what: str
    #: Length of the hints.
    hint_size: int

    def __init__(self, clips: Sequence[Clip], labels: tuple[str, ...], known: Known) -> None:
        self.clips, self.labels, self.known = clips, labels, known
        self.fold, self.classes, self.allowed, self.adv = Truths.of(clips, labels, known)
        self._made: dict[frozenset[int], Any] = {}

    def heads(self, *without: int | None) -> Any:
        """Fitted on every view of every clip that has a fold, some folds left out; None is no fold."""
        out = frozenset(fold for fold in without if fold is not None)
        if out not in self._made:
            self._made[out] = self.fit(self.part(*(set(self.fold.tolist()) - {-1, *out})), out)
        return self._made[out]

    def answering(self, fold: int | None, other: int | None) -> Any:
        """Heads whose answers to the clips of `other` the students of `fold` hear: they heard neither."""
        return self.heads(fold, other)

    def part(self, *folds: int | None) -> npt.NDArray[np.int64]:
        """Clips of some folds, in their order; None stands for the clips without one."""
        return np.flatnonzero(np.isin(self.fold, [-1 if fold is None else fold for fold in folds]))

    @abc.abstractmethod
    def fit(self, part: npt.NDArray[np.int64], out: frozenset[int]) -> Any:
        """Heads fitted on some of the clips, those that are in none of the folds `out`."""

    @abc.abstractmethod
    def answers(self, heads: Any, part: npt.NDArray[np.int64], view: int) -> Answers:
        """Logits, A/D/V and hints of some clips."""

    @abc.abstractmethod
    def teacher(self, heads: Any, identity: str) -> Any:
        """A `edge_ser.teachers.targets.Teacher` with ``params`` and ``save``."""


class LinearMaterial(Material):
    """Of statistics of a frozen encoder; see `edge_ser.teachers.linear`.

    Parameters
    ----------
    clips, labels, known
        As of `Material`.
    rows : (V, N, D) float16
        Statistics of each view of each clip.
    encoder : Encoder
    how : HeadPart
    centred : str
    """

    what = "linear heads"

    def __init__(
        self,
        clips: Sequence[Clip],
        labels: tuple[str, ...],
        known: Known,
        rows: npt.NDArray[np.float16],
        encoder: Encoder,
        how: HeadPart,
        centred: str,
    ) -> None:
        super().__init__(clips, labels, known)
        self.rows, self.encoder, self.how, self.centred = rows, encoder, how, centred
        self.hint_size = how.hint

    def fit(self, part: npt.NDArray[np.int64], out: frozenset[int]) -> LinearHeads:
        """As `Material.fit`."""
        views = len(self.rows)
        return LinearHeads.fit(
            self.rows[:, part].reshape(-1, self.rows.shape[2]).astype(np.float32),
            np.tile(self.classes[part], views),
            np.tile(self.allowed[part], (views, 1)),
            np.tile(self.adv[part], (views, 1)),
            self.labels,
            self.how,
        )

    def answers(self, heads: LinearHeads, part: npt.NDArray[np.int64], view: int) -> Answers:
        """As `Material.answers`."""
        return heads.answer(self.rows[view, part].astype(np.float32))

    def teacher(self, heads: LinearHeads, identity: str) -> LinearTeacher:
        """As `Material.teacher`."""
        return LinearTeacher(self.encoder, heads, self.centred, identity)
