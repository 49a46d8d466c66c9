"""Every answer of an evaluation in one table: checked once, written and read whole, for figures to be made of."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_ser.corpora import ADV, Clip
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.score import Scored
from edge_ser.files import parse_json_object

__all__ = ["Answers", "Exclusion"]

_KEPT = ("speaker", "corpus", "emotion", "intensity", "sex", "language", *ADV)


@dataclasses.dataclass(frozen=True)
class Exclusion:
    """A clip that has no part in the figures, and why."""

    file: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Answers:
    """Answers to clips, in their order.

    Attributes
    ----------
    about : mapping
        ``corpus``, ``protocol``, ``model``, ``params`` and what else the evaluation says of itself.
    labels : tuple of str
        The classes that were chosen among.
    clips : tuple of Clip
    scores : (n, labels) float64
        Probabilities, rows of sum 1; (n, 0) where there are no classes.
    adv : (n, 3) float64
        Arousal, dominance, valence, 0..1.
    folds, seeds : (n,) int64
        Of the model that gave each.
    states : tuple of str or None
        What the device makes of each clip, see `firmware_py.decision.heard_as`.
    excluded : tuple of Exclusion
        Clips without a part in the figures.

    Raises
    ------
    EdgeSerError
        No answer, lengths that differ, a score or a rating that is not finite, or an emotion that is no label.
    """

    about: Mapping[str, Any]
    labels: tuple[str, ...]
    clips: tuple[Clip, ...]
    scores: np.ndarray
    adv: np.ndarray
    folds: np.ndarray
    seeds: np.ndarray
    states: tuple[str | None, ...]
    excluded: tuple[Exclusion, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.clips)
        if not n:
            raise EdgeSerError("there are no answers to make figures of; every clip was left out")
        lengths = {len(self.scores), len(self.adv), len(self.folds), len(self.seeds), len(self.states)}
        if lengths != {n} or self.scores.shape != (n, len(self.labels)) or self.adv.shape != (n, 3):
            raise EdgeSerError(f"{n} clips, and answers of other lengths: {sorted(lengths)}")
        unsaid = np.isnan(self.adv).all()  # as of a model that learnt emotions alone
        bad = np.flatnonzero(~(np.isfinite(self.scores).all(1) & (np.isfinite(self.adv).all(1) | unsaid)))
        if len(bad):
            raise EdgeSerError(
                f"the model's answer to {self.clips[bad[0]].path} is not a number ({len(bad)} of {n} clips); "
                "look for NaN in its weights or its input"
            )
        unknown = sorted({c.emotion for c in self.clips if c.emotion} - set(self.labels))
        if unknown:
            raise EdgeSerError(f"clips of {', '.join(unknown)} were answered among {', '.join(self.labels)}")

    @classmethod
    def of(cls, result: Mapping[str, Any], scored: Sequence[Scored], labels: Sequence[str]) -> Answers:
        """From what `evaluate_checkpoints` and `evaluate_bundle` give and collect.

        A clip that was answered for its ratings, of an emotion that is no label, keeps no emotion; how many there
        are stands in ``not_scored``.
        """
        if scored and labels and not scored[0].scores:
            raise EdgeSerError("the answers hold no scores; they cannot be drawn or calibrated")
        about = {k: v for k, v in result.items() if k not in ("confusion", "excluded")}
        clips = tuple(
            one.clip if one.clip.emotion in labels else dataclasses.replace(one.clip, emotion=None)
            for one in scored
        )
        return cls(
            about=about,
            labels=tuple(labels),
            clips=clips,
            scores=np.array([one.scores for one in scored], dtype=np.float64).reshape(
                len(clips), len(labels)
            ),
            adv=np.array([one.adv for one in scored], dtype=np.float64).reshape(len(clips), 3),
            folds=np.array([one.fold for one in scored], dtype=np.int64),
            seeds=np.array([one.seed for one in scored], dtype=np.int64),
            states=tuple(one.state for one in scored),
            excluded=tuple(Exclusion(one["file"], one["reason"]) for one in result.get("excluded", ())),
        )

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def recordings(self) -> int:
        """How many clips there are; models of several seeds answer each of them."""
        return len({(clip.corpus, clip.path) for clip in self.clips})

    @property
    def truth(self) -> np.ndarray:
        """(n,) int64: index of each clip's emotion, -1 where it has none."""
        index = {label: i for i, label in enumerate(self.labels)}
        return np.array([index[c.emotion] if c.emotion else -1 for c in self.clips], dtype=np.int64)

    @property
    def said(self) -> np.ndarray:
        """(n,) int64: index of the most probable label; -1 where there are no labels."""
        if not self.labels:
            return np.full(len(self), -1)
        return np.argmax(self.scores, axis=1).astype(np.int64)

    @property
    def confidence(self) -> np.ndarray:
        """(n,) float64: probability of the most probable label."""
        return self.scores.max(1) if self.labels else np.zeros(len(self))

    @property
    def speakers(self) -> np.ndarray:
        """(n,) str."""
        return np.array([clip.speaker for clip in self.clips])

    @property
    def ratings(self) -> np.ndarray:
        """(n, 3) float64, NaN where a clip has none, or the model gave none to compare them with."""
        ratings = np.array([clip.adv or (math.nan,) * 3 for clip in self.clips])
        return np.where(np.isfinite(self.adv), ratings, np.nan)

    def take(self, rows: np.ndarray) -> Answers:
        """Some of the clips: indices or a mask."""
        rows = np.arange(len(self))[rows]
        return dataclasses.replace(
            self,
            clips=tuple(self.clips[i] for i in rows),
            scores=self.scores[rows],
            adv=self.adv[rows],
            folds=self.folds[rows],
            seeds=self.seeds[rows],
            states=tuple(self.states[i] for i in rows),
        )

    def absent(self) -> list[str]:
        """Labels that no clip has: averages over classes do not cover them."""
        there = Counter(clip.emotion for clip in self.clips)
        return [label for label in self.labels if not there[label]]

    def to_dict(self) -> dict[str, Any]:
        """Every answer as plain values for JSON; numbers are rounded to six digits."""
        rows = []
        for i, clip in enumerate(self.clips):
            row: dict[str, Any] = {"file": clip.path.as_posix()}
            row |= {key: value for key in _KEPT if (value := getattr(clip, key)) is not None}
            row |= {"fold": int(self.folds[i]), "seed": int(self.seeds[i]), "state": self.states[i]}
            row["scores"] = [round(float(x), 6) for x in self.scores[i]]
            row["adv"] = [round(float(x), 6) if np.isfinite(x) else None for x in self.adv[i]]
            rows.append(row)
        excluded = [dataclasses.asdict(one) for one in self.excluded]
        return {"about": dict(self.about), "labels": list(self.labels), "excluded": excluded, "answers": rows}

    @classmethod
    def read(cls, path: str | Path) -> Answers:
        """What `to_dict` gave, from a ``predictions.json`` or the folder of a report.

        Raises
        ------
        EdgeSerError
            It is not there, or not one of ours.
        """
        source = Path(path)
        source = source / "predictions.json" if source.is_dir() else source
        if not source.is_file():
            raise EdgeSerError(
                f"there are no predictions {source}; make some with edge-ser evaluate --report DIR"
            )
        document = parse_json_object(source.read_bytes(), str(source))
        try:
            rows = document["answers"]
            clips = tuple(
                Clip(path=Path(row["file"]), fold=row["fold"], **{k: row[k] for k in _KEPT if k in row})
                for row in rows
            )
            return cls(
                about=document["about"],
                labels=tuple(document["labels"]),
                clips=clips,
                scores=np.array([r["scores"] for r in rows], np.float64).reshape(
                    len(rows), len(document["labels"])
                ),
                adv=np.array([row["adv"] for row in rows], np.float64).reshape(len(rows), 3),
                folds=np.array([row["fold"] for row in rows], np.int64),
                seeds=np.array([row["seed"] for row in rows], np.int64),
                states=tuple(row["state"] for row in rows),
                excluded=tuple(Exclusion(one["file"], one["reason"]) for one in document["excluded"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise EdgeSerError(f"{source} holds no predictions of edge-ser evaluate ({error!r})") from error
