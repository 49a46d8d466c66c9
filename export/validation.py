"""What a file loses in figures: UAR and CCC on speakers that the model was not trained on, against torch."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edge_ser.audio import load_audio
from edge_ser.corpora import ADV, Clip, load_corpus
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.folds import check_unheard
from edge_ser.evaluation.metrics import ccc, uar
from edge_ser.evaluation.score import best_label

__all__ = ["CCC_DROP", "UAR_DROP", "Drop", "ValidationSet", "choose_validation"]

#: Most that a file may lose against torch; of UAR at least what one clip of the rarest class is worth.
UAR_DROP, CCC_DROP = 0.005, 0.01


@dataclasses.dataclass(frozen=True)
class Drop:
    """Figures of a file beside torch's; None where the clips have no emotions or no ratings.

    Attributes
    ----------
    corpus : str
    clips, speakers : int
        That were answered.
    uar, torch_uar, uar_limit : float or None
    ccc, torch_ccc : tuple of float or None
        Of arousal, dominance and valence.
    same_label : float or None
        Share of the clips that both call the same.
    """

    corpus: str
    clips: int
    speakers: int
    uar: float | None
    torch_uar: float | None
    uar_limit: float | None
    ccc: tuple[float, ...] | None
    torch_ccc: tuple[float, ...] | None
    same_label: float | None

    @property
    def uar_drop(self) -> float | None:
        """Above zero where the file is worse."""
        return None if self.uar is None or self.torch_uar is None else self.torch_uar - self.uar

    @property
    def ccc_drop(self) -> tuple[float, ...] | None:
        """As `uar_drop`, of each dimension."""
        if self.ccc is None or self.torch_ccc is None:
            return None
        return tuple(was - now for was, now in zip(self.torch_ccc, self.ccc, strict=True))

    @property
    def ok(self) -> bool:
        """Neither is over its limit."""
        lost, ratings = self.uar_drop, self.ccc_drop
        return (lost is None or self.uar_limit is None or lost <= self.uar_limit) and (
            ratings is None or max(ratings) <= CCC_DROP
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        named = {"ccc": self.ccc, "torch_ccc": self.torch_ccc, "ccc_drop": self.ccc_drop}
        return {
            **dataclasses.asdict(self),
            **{key: value and dict(zip(ADV, value, strict=True)) for key, value in named.items()},
            "uar_drop": self.uar_drop,
            "ccc_limit": None if self.ccc is None else CCC_DROP,
            "ok": self.ok,
        }


@dataclasses.dataclass(frozen=True)
class ValidationSet:
    """Clips that were not trained on.

    Attributes
    ----------
    name : str
        The corpus, and the fold where it is one.
    clips : tuple of Clip
        Each with an emotion that the model knows, or ratings.
    labels : tuple of str
        Emotions that are chosen among: those that corpus and model know.
    indices : tuple of int
        Of `labels` among the model's.
    """

    name: str
    clips: tuple[Clip, ...]
    labels: tuple[str, ...]
    indices: tuple[int, ...]

    def waves(self, least: int) -> list[tuple[Clip, np.ndarray]]:
        """Clips that can be read and have at least so many samples, with their audio.

        Raises
        ------
        EdgeSerError
            There is none.
        """
        found = []
        for clip in self.clips:
            try:
                wave = load_audio(clip.path)
            except EdgeSerError:
                continue  # `Drop.clips` says how many were answered
            if len(wave) >= least:
                found.append((clip, wave))
        if not found:
            raise EdgeSerError(f"none of the {len(self.clips)} clips of {self.name} can be validated on")
        return found

    def drop(self, clips: Sequence[Clip], answers: np.ndarray, reference: np.ndarray) -> Drop:
        """Figures of the answers (clips, 3 + labels) beside those of a reference."""
        rated = np.array([i for i, clip in enumerate(clips) if clip.adv is not None], dtype=int)
        named = [i for i, clip in enumerate(clips) if clip.emotion is not None]
        truth = [clips[i].emotion or "" for i in named]
        mine, theirs = (self._said(values[named]) for values in (answers, reference))
        ratings = np.array([clips[i].adv for i in rated], dtype=np.float64)

        def agreement(values: np.ndarray) -> tuple[float, ...] | None:
            return tuple(ccc(ratings[:, k], values[rated, k]) for k in range(3)) if len(rated) > 1 else None

        rarest = min(Counter(truth).values(), default=1)
        return Drop(
            corpus=self.name,
            clips=len(clips),
            speakers=len({clip.speaker for clip in clips}),
            uar=uar(truth, mine) if named else None,
            torch_uar=uar(truth, theirs) if named else None,
            # a hair more, so that rounding does not decide
            uar_limit=max(UAR_DROP, 1.0001 / rarest / len(set(truth))) if named else None,
            ccc=agreement(answers),
            torch_ccc=agreement(reference),
            same_label=float(np.mean([a == b for a, b in zip(mine, theirs, strict=True)])) if named else None,
        )

    def _said(self, answers: np.ndarray) -> list[str]:
        return [best_label(row[3:][list(self.indices)], self.labels) for row in answers]


def choose_validation(text: str, training: Mapping[str, Any], labels: Sequence[str]) -> ValidationSet:
    """A validation set of speakers that the training did not hear.

    Parameters
    ----------
    text : str
        A corpus as `load_corpus` takes it; after a colon a fold of it.
    training : mapping
        The checkpoint's record of its training.
    labels : sequence of str
        The model's.

    Raises
    ------
    EdgeSerError
        No such corpus or fold, one whose speakers were trained on, or one that the model cannot answer.
    """
    name, colon, tail = text.rpartition(":")
    fold = int(tail) if colon and tail.isdigit() else None
    if fold is None:
        name = text
    corpus = load_corpus(name)
    data = (training.get("recipe") or {}).get("data") or {}
    trained = {*(training.get("clips") or {}), *(data.get("corpora") or ())}
    if corpus.name in trained or name in trained:
        held_out = training.get("held_out_fold")
        if held_out is None:
            raise EdgeSerError(
                f"the checkpoint was trained on all speakers of {corpus.name}, and says nothing about new ones there; "
                "validate on another corpus"
            )
        if fold not in (None, held_out) and fold in corpus.folds():
            raise EdgeSerError(
                f"the checkpoint was trained on fold {fold} of {corpus.name}; it held out {held_out}"
            )
        fold = held_out if fold is None else fold
        check_unheard("the checkpoint", training, (clip for clip in corpus.clips if clip.fold == fold))
    clips = [clip for clip in corpus.clips if fold is None or clip.fold == fold]
    if not clips:
        raise EdgeSerError(f"{corpus.name} has no clips of fold {fold}; it has {sorted(corpus.folds())}")
    known = tuple(label for label in corpus.labels if label in labels)
    usable = tuple(clip for clip in clips if clip.emotion in known or clip.adv is not None)
    if not usable:
        raise EdgeSerError(
            f"the model knows {', '.join(labels)}; {corpus.name} has none of them and no ratings"
        )
    usable = tuple(c if c.emotion in known else dataclasses.replace(c, emotion=None) for c in usable)
    place = f"{corpus.name}, fold {fold}" if fold is not None else corpus.name
    return ValidationSet(place, usable, known, tuple(list(labels).index(label) for label in known))
