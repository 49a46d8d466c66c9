"""Figures of a table of answers: by class, speaker and group, as curves, at the ends of the scales."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.corpora import ADV
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.answers import Answers
from edge_ser.evaluation.metrics import accuracy, ccc, confusion, macro_f1, mae, pcc, speaker_interval, uar

__all__ = [
    "by_class",
    "by_group",
    "details",
    "extremes",
    "learning_curve",
    "precision_recall_curve",
    "roc_curve",
    "uap",
]

Floats = NDArray[np.float64]
#: Ratings at or under, and at or over, are the ends of a scale of 0..1.
LOW, HIGH = 0.25, 0.75


def by_class(truth: NDArray[Any], said: NDArray[Any], labels: tuple[str, ...]) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each label.

    Parameters
    ----------
    truth, said : (n,) int
        Indices of labels.
    labels : tuple of str

    Returns
    -------
    list of dict
        ``label``, ``clips``, ``said`` (how often it was answered), ``recall``, ``precision``, ``f1``; None where
        there is nothing to divide by: no such clip, or no such answer.
    """
    counts = confusion(truth, said, len(labels))
    rows = []
    for i, label in enumerate(labels):
        right, there, answered = (int(x) for x in (counts[i, i], counts[i].sum(), counts[:, i].sum()))
        rows.append(
            {
                "label": label,
                "clips": there,
                "said": answered,
                "recall": right / there if there else None,
                "precision": right / answered if answered else None,
                "f1": 2 * right / (there + answered) if there else None,
            }
        )
    return rows


def uap(truth: NDArray[Any], said: NDArray[Any], labels: tuple[str, ...]) -> float:
    """Unweighted average precision over the labels that occur or are answered; one never answered counts 0."""
    rows = [row for row in by_class(truth, said, labels) if row["clips"] or row["said"]]
    return float(np.mean([row["precision"] or 0.0 for row in rows]))


def roc_curve(positive: NDArray[np.bool_], score: Floats) -> tuple[Floats, Floats, float]:
    """Receiver operating characteristic of one class against the others.

    Parameters
    ----------
    positive : (n,) bool
        Both values must occur.
    score : (n,) float
        Higher where the class is more probable; equal scores share a point.

    Returns
    -------
    false_positive_rate, true_positive_rate : (k,) float64
        From (0, 0) to (1, 1).
    area : float
        Under the curve, 0..1; 0.5 is chance.

    Raises
    ------
    EdgeSerError
        One of the two classes is empty, or a score is not finite.
    """
    true, false = _cumulated(positive, score)
    if not false[-1] or not true[-1]:
        raise EdgeSerError("a ROC curve needs clips of the class and clips of others")
    x = np.concatenate([[0.0], false / false[-1]])
    y = np.concatenate([[0.0], true / true[-1]])
    return x, y, float(np.sum(np.diff(x) * (y[1:] + y[:-1])) / 2)


def precision_recall_curve(positive: NDArray[np.bool_], score: Floats) -> tuple[Floats, Floats, float]:
    """Precision over recall of one class against the others.

    Parameters and errors as in `roc_curve`, but there need be no clip of others.

    Returns
    -------
    recall, precision : (k,) float64
        Recall rising from 0, where precision counts as 1.
    average : float
        Mean precision, each weighted by the recall that it adds, not interpolated.
    """
    true, false = _cumulated(positive, score)
    if not true[-1]:
        raise EdgeSerError("a precision-recall curve needs clips of the class")
    recall = np.concatenate([[0.0], true / true[-1]])
    precision = np.concatenate([[1.0], true / (true + false)])
    return recall, precision, float(np.sum(np.diff(recall) * precision[1:]))


def _cumulated(positive: NDArray[np.bool_], score: Floats) -> tuple[Floats, Floats]:
    """Positives and others at or above each distinct score, from the highest score down."""
    score, positive = np.asarray(score, np.float64), np.asarray(positive, bool)
    if score.shape != positive.shape or not len(score):
        raise EdgeSerError(f"a curve needs as many scores as clips, not {score.shape} and {positive.shape}")
    if not np.isfinite(score).all():
        raise EdgeSerError("a curve needs scores that are numbers; there is a NaN or an infinity")
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    true = np.cumsum(positive[order])[last].astype(np.float64)
    return true, last + 1.0 - true


def extremes(truth: Floats, said: Floats) -> dict[str, Any]:
    """Whether the ends of a scale are reached: many models answer everything with the middle.

    Parameters
    ----------
    truth, said : (n,) float
        Ratings and answers of one dimension, 0..1.

    Returns
    -------
    dict
        ``range_ratio``: the answers' 5 to 95 % range over the ratings'; for ``low`` (ratings of at most 0.25) and
        ``high`` (at least 0.75) ``clips``, ``mean_rating``, ``mean_answer`` and ``reached``, the share of answers on
        that end's side of its limit; None where there are no such clips.
    """
    spans = [float(np.subtract(*np.quantile(x, [0.95, 0.05]))) for x in (said, truth)]
    result: dict[str, Any] = {"range_ratio": spans[0] / spans[1] if spans[1] > 0 else None}
    for name, mask, reached in (("low", truth <= LOW, said <= LOW), ("high", truth >= HIGH, said >= HIGH)):
        result[name] = None if not mask.any() else {
            "clips": int(mask.sum()),
            "mean_rating": float(truth[mask].mean()),
            "mean_answer": float(said[mask].mean()),
            "reached": float(reached[mask].mean()),
        }  # fmt: skip
    return result


def by_group(answers: Answers, key: Callable[[Any], str | None]) -> list[dict[str, Any]]:
    """Figures of groups of clips.

    Parameters
    ----------
    answers : Answers
    key : callable
        Clip to the name of its group, or None for one that is in none.

    Returns
    -------
    list of dict
        By name: ``group``, ``clips``; ``uar``, ``uap``, ``macro_f1``, ``accuracy`` and the number of ``classes``
        where clips have emotions; ``ccc`` by dimension where at least two have ratings.
    """
    names = np.array([key(clip) or "" for clip in answers.clips])
    rows = []
    for name in sorted(set(names) - {""}):
        part = answers.take(names == name)
        row: dict[str, Any] = {"group": str(name), "clips": part.recordings}
        known = part.truth >= 0
        if known.any():
            truth, said = part.truth[known], part.said[known]
            row |= {"uar": uar(truth, said), "uap": uap(truth, said, part.labels)}
            row |= {"macro_f1": macro_f1(truth, said), "accuracy": accuracy(truth, said)}
            row["classes"] = len(set(truth.tolist()))
        rated = np.isfinite(part.ratings).all(1)
        if rated.sum() > 1:
            row["ccc"] = {d: ccc(part.ratings[rated, k], part.adv[rated, k]) for k, d in enumerate(ADV)}
        rows.append(row)
    return rows


def learning_curve(uar_of: Mapping[int, list[float]]) -> list[dict[str, Any]]:
    """Rows of a learning curve from the UARs of models by their number of training speakers.

    Returns
    -------
    list of dict
        By number: ``speakers``, ``uar`` (mean), ``lowest``, ``highest``, ``runs``.
    """
    return [
        {"speakers": n, "uar": float(np.mean(v)), "lowest": min(v), "highest": max(v), "runs": len(v)}
        for n, v in sorted(uar_of.items())
    ]


def details(answers: Answers) -> dict[str, Any]:
    """All figures of a report beside those of `edge_ser.evaluation.score.summarise`.

    Returns
    -------
    dict
        ``clips`` (a clip that models of several seeds answered is one), ``accuracy``, ``macro_f1``, ``classes``
        (`by_class`), ``curves`` (areas of each class), ``absent`` labels,
        ``speakers``, ``sex``, ``language``, ``intensity`` (`by_group`, those with two groups or more), ``adv``
        with interval over speakers and ``extremes``, ``states``, ``excluded``.
    """
    result: dict[str, Any] = {"clips": answers.recordings, "absent": answers.absent()}
    known = answers.truth >= 0
    if known.any():
        part = answers.take(known)
        truth, said = part.truth, part.said
        result |= {"accuracy": accuracy(truth, said), "macro_f1": macro_f1(truth, said)}
        result["uap"] = uap(truth, said, answers.labels)
        result["classes"] = [
            row | {"clips": part.take(truth == i).recordings if row["clips"] else 0}
            for i, row in enumerate(by_class(truth, said, answers.labels))
        ]
        result["curves"] = {
            label: {
                "roc_auc": roc_curve(truth == i, part.scores[:, i])[2],
                "average_precision": precision_recall_curve(truth == i, part.scores[:, i])[2],
            }
            for i, label in enumerate(answers.labels)
            if 0 < np.sum(truth == i) < len(part)
        }
    for name in ("speaker", "sex", "language", "intensity", "corpus"):
        groups = by_group(answers, lambda clip, name=name: getattr(clip, name))  # type: ignore[misc]
        if len(groups) > 1:
            result[name if name != "speaker" else "speakers"] = groups
    rated = np.isfinite(answers.ratings).all(1)
    if rated.sum() > 1:
        part = answers.take(rated)
        result["adv"] = {d: _dimension(part, k) for k, d in enumerate(ADV)}
    if any(answers.states):
        states = [state for state in answers.states if state]
        result["states"] = {name: states.count(name) / len(states) for name in sorted(set(states))}
    result["excluded"] = [{"file": one.file, "reason": one.reason} for one in answers.excluded]
    return result


def _dimension(part: Answers, k: int) -> dict[str, Any]:
    truth, said = part.ratings[:, k], part.adv[:, k]
    interval = speaker_interval(lambda rows: ccc(truth[rows], said[rows]), part.speakers.tolist(), rounds=500)
    return {
        "ccc": ccc(truth, said),
        "ccc_ci95": interval,
        "pcc": pcc(truth, said),
        "mae": mae(truth, said),
        "trivial_mae": mae(truth, np.full_like(truth, truth.mean())),
        "extremes": extremes(truth, said),
    }
