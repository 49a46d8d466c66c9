"""Answers of any classifier to clips with classes, of speech or not, and what they are worth."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.metrics import accuracy, bootstrap_ci, confusion, macro_f1, recalls, uar

__all__ = ["METRICS", "ClassAnswers", "Figure", "macro_precision"]


def macro_precision(truth: NDArray[np.int64], said: NDArray[np.int64]) -> float:
    """Mean over classes of the share of right answers among those that name it, 0..1; of none it is 0.

    The classes are those that occur in `truth` or in `said`, as in `edge_ser.evaluation.metrics.macro_f1`.
    """
    classes = np.union1d(truth, said)
    right = np.array([np.sum((truth == c) & (said == c)) for c in classes])
    named = np.array([np.sum(said == c) for c in classes])
    return float(np.mean(right / np.maximum(named, 1)))


#: Name of a figure of merit to its function of true and answered classes.
METRICS = {
    "accuracy": accuracy,
    "uar": uar,
    "recall": uar,
    "precision": macro_precision,
    "f1": macro_f1,
}


def _function(metric: str) -> Callable[[Any, Any], float]:
    if metric not in METRICS:
        raise EdgeSerError(f"there is no figure {metric!r}; there are {', '.join(METRICS)}")
    return METRICS[metric]


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure and how sure it is.

    Attributes
    ----------
    value : float
        Mean over seeds.
    ci95 : (float, float) or None
        95 % interval over speakers, or over whatever the groups are; None where there is one group or no such
        interval.
    spread : float or None
        Standard deviation over seeds; None with one seed.
    n : int or None
        Clips that it stands on.
    """

    value: float
    ci95: tuple[float, float] | None = None
    spread: float | None = None
    n: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self) | {"ci95": list(self.ci95) if self.ci95 else None}


@dataclasses.dataclass(frozen=True)
class ClassAnswers:
    """Answers to clips among classes, from one or several folds and seeds.

    Attributes
    ----------
    labels : tuple of str
        The classes that were chosen among.
    truth : (n,) int64
        Index of each clip's class.
    scores : (n, labels) float64
        Higher where a class is more probable; probabilities, wherever the classifier has them.
    groups : (n,) str
        Speaker of each clip, or what else binds clips together (the recording that they were cut from).
    folds, seeds : (n,) int64
        Of the model that gave each answer.

    Raises
    ------
    EdgeSerError
        No answer, lengths that differ, a class that is no label, or a score that is no number.
    """

    labels: tuple[str, ...]
    truth: NDArray[np.int64]
    scores: NDArray[np.float64]
    groups: NDArray[np.str_]
    folds: NDArray[np.int64]
    seeds: NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.truth)
        if not n:
            raise EdgeSerError("there are no answers to make figures of")
        shapes = {x.shape for x in (self.truth, self.groups, self.folds, self.seeds)}
        if shapes != {(n,)} or self.scores.shape != (n, len(self.labels)):
            raise EdgeSerError(f"{n} clips, and answers of the shapes {sorted(shapes)}, {self.scores.shape}")
        if self.truth.min() < 0 or self.truth.max() >= len(self.labels):
            raise EdgeSerError(f"the classes of answered clips must be 0 to {len(self.labels) - 1}")
        if not np.isfinite(self.scores).all():
            raise EdgeSerError("a classifier's scores are not numbers; look for NaN in its weights or inputs")

    @classmethod
    def of(
        cls,
        labels: Sequence[str],
        truth: NDArray[np.int64],
        scores: NDArray[np.floating[Any]],
        groups: Sequence[str],
        *,
        fold: int = 0,
        seed: int = 0,
    ) -> ClassAnswers:
        """From one model."""
        n = len(truth)
        return cls(
            tuple(labels),
            np.asarray(truth, np.int64),
            np.asarray(scores, np.float64).reshape(n, len(labels)),
            np.asarray(groups, dtype=str),
            np.full(n, fold, np.int64),
            np.full(n, seed, np.int64),
        )

    @classmethod
    def joined(cls, parts: Sequence[ClassAnswers]) -> ClassAnswers:
        """Of several folds and seeds, one after the other."""
        if not parts:
            raise EdgeSerError("there are no answers to make figures of")
        if len({part.labels for part in parts}) > 1:
            raise EdgeSerError("answers among other classes cannot be joined")
        names = [field.name for field in dataclasses.fields(cls) if field.name != "labels"]
        return cls(parts[0].labels, *(np.concatenate([getattr(p, name) for p in parts]) for name in names))

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def said(self) -> NDArray[np.int64]:
        """(n,) int64: the class of the highest score."""
        return np.argmax(self.scores, axis=1).astype(np.int64)

    def confusion(self) -> NDArray[np.int64]:
        """As `edge_ser.evaluation.metrics.confusion`, over all folds and seeds."""
        return confusion(self.truth, self.said, len(self.labels))

    def recalls(self) -> dict[str, float | None]:
        """Recall of each label; None for one that no clip has."""
        values = recalls(self.truth, self.said, len(self.labels))
        return {k: None if np.isnan(v) else float(v) for k, v in zip(self.labels, values, strict=True)}

    def by_seed(self, metric: str = "accuracy") -> list[float]:
        """A figure of merit of each seed's models alone, in the order of seeds; errors as of `figure`."""
        function = _function(metric)
        chosen = [self.seeds == seed for seed in np.unique(self.seeds)]
        return [float(function(self.truth[rows], self.said[rows])) for rows in chosen]

    def figure(self, metric: str = "accuracy", *, interval: bool = True) -> Figure:
        """A figure of merit over all clips of all folds, the mean over seeds.

        Parameters
        ----------
        metric : str
            Of `METRICS`.
        interval : bool
            Give the bootstrap's interval over groups. It says nothing where groups stand on both sides of the split.

        Raises
        ------
        EdgeSerError
            An unknown metric.
        """
        said, function = self.said, _function(metric)
        seeds = np.unique(self.seeds)

        def value(rows: NDArray[np.int64]) -> float:
            chosen = [rows[self.seeds[rows] == seed] for seed in seeds]
            return float(np.mean([function(self.truth[part], said[part]) for part in chosen if len(part)]))

        each = self.by_seed(metric)
        grouped = interval and len(set(self.groups.tolist())) > 1
        return Figure(
            value=float(np.mean(each)),
            ci95=bootstrap_ci(value, self.groups.tolist(), rounds=1000) if grouped else None,
            spread=float(np.std(each, ddof=1)) if len(each) > 1 else None,
            n=len(self) // len(seeds),
        )

    def to_part(self) -> dict[str, Any]:
        """As a part of a study keeps it: arrays, and the labels."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)} | {
            "labels": list(self.labels)
        }

    @classmethod
    def of_part(cls, part: Mapping[str, Any]) -> ClassAnswers:
        """What `to_part` gave; other entries are passed over."""
        values = {field.name: part[field.name] for field in dataclasses.fields(cls)}
        return cls(**values | {"labels": tuple(part["labels"])})
