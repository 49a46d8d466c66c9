"""Figures of merit, in NumPy: recall, F1 and confusion of classes, agreement of ratings, and how sure they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ser.errors import EdgeSerError

__all__ = [
    "FEW",
    "FEWEST_SPEAKERS",
    "absent_classes",
    "accuracy",
    "bootstrap_ci",
    "ccc",
    "confusion",
    "macro_f1",
    "mae",
    "pcc",
    "recalls",
    "speaker_interval",
    "uar",
]

#: What stands in the place of an interval where there are fewer speakers than that.
FEW = "fewer than five speakers"
#: With fewer, an interval over speakers is little more than the range of their figures, and covers less than it says.
FEWEST_SPEAKERS = 5


def confusion(truth: ArrayLike, predicted: ArrayLike, n_classes: int) -> NDArray[np.int64]:
    """Count what was taken for what.

    Parameters
    ----------
    truth, predicted : array_like of int, shape (n,)
        Class indices, 0..n_classes - 1.
    n_classes : int
        Number of classes, also of those that do not occur.

    Returns
    -------
    ndarray, shape (n_classes, n_classes)
        Row: the true class, column: the predicted one.

    Raises
    ------
    EdgeSerError
        Empty, of unequal lengths, not whole numbers, or an index out of range.
    """
    true, said = _classes(truth, predicted)
    if true.dtype.kind not in "iu" or said.dtype.kind not in "iu":
        raise EdgeSerError("a confusion matrix needs class indices, not names")
    worst = int(max(true.max(), said.max()))
    if worst >= n_classes:
        raise EdgeSerError(f"there is a class {worst}, but only {n_classes} classes (0..{n_classes - 1})")
    counts = np.bincount(true.astype(np.int64) * n_classes + said.astype(np.int64), minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes).astype(np.int64)


def recalls(truth: ArrayLike, predicted: ArrayLike, n_classes: int) -> NDArray[np.float64]:
    """Recall of each class, 0..1, shape (n_classes,); NaN for a class that never occurs in `truth`."""
    counts = confusion(truth, predicted, n_classes)
    total = counts.sum(1)
    return np.divide(counts.diagonal(), total, out=np.full(n_classes, np.nan), where=total > 0)


def accuracy(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Share of right answers, 0..1. Classes are indices or names; errors as in `uar`."""
    true, said = _classes(truth, predicted)
    return float(np.mean(true == said))


def uar(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Unweighted average recall (macro recall, balanced accuracy).

    Parameters
    ----------
    truth, predicted : array_like, shape (n,)
        Class indices from 0, or names.

    Returns
    -------
    float
        0..1, the mean over the classes that occur in `truth`; a class that does not has no recall
        (`absent_classes` names them, so that a report can).

    Raises
    ------
    EdgeSerError
        Empty, of unequal lengths, NaN, or a negative index (no known class).
    """
    true, said = _classes(truth, predicted)
    _, index, size = np.unique(true, return_inverse=True, return_counts=True)
    return float(np.mean(np.bincount(index, weights=true == said) / size))


def macro_f1(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Mean over classes of the harmonic mean of precision and recall, 0..1.

    The classes are those that occur in `truth` or in `predicted`; one that is only predicted counts 0.
    Parameters and errors as in `uar`.
    """
    true, said = _classes(truth, predicted)
    classes = np.union1d(true, said)
    right = np.array([np.sum((true == c) & (said == c)) for c in classes])
    both = np.array([np.sum(true == c) + np.sum(said == c) for c in classes])
    return float(np.mean(2 * right / both))


def absent_classes(truth: ArrayLike, labels: Sequence[str]) -> tuple[str, ...]:
    """The labels that no true class index stands for; an average over classes does not cover them."""
    present = set(np.asarray(truth).tolist())
    return tuple(label for index, label in enumerate(labels) if index not in present)


def ccc(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Lin's concordance correlation: 2 cov(x, y) / (var x + var y + (mean x - mean y)^2).

    Parameters
    ----------
    truth, predicted : array_like of float, shape (n,)
        Ratings of one dimension over the whole test set.

    Returns
    -------
    float
        -1..1; variances and covariance are those of the population (divided by n). 0 where either is constant:
        without variation there is no concordance to show, also where both are the same constant.

    Raises
    ------
    EdgeSerError
        Empty, of unequal lengths, or a value that is not finite.
    """
    x, y = _ratings(truth, predicted)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    difference = x.mean() - y.mean()
    dx, dy = x - x.mean(), y - y.mean()
    return float(2 * np.mean(dx * dy) / (np.mean(dx * dx) + np.mean(dy * dy) + difference**2))


def pcc(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Pearson's correlation, -1..1; 0 where either is constant. Parameters and errors as in `ccc`."""
    x, y = _ratings(truth, predicted)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    # scaled first, so that squares of very small differences do not vanish
    dx, dy = (x - x.mean()) / np.ptp(x), (y - y.mean()) / np.ptp(y)
    r = np.sum(dx * dy) / np.sqrt(np.sum(dx * dx) * np.sum(dy * dy))
    return float(np.clip(r, -1.0, 1.0))


def mae(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Mean absolute error, in the unit of the ratings. Parameters and errors as in `ccc`."""
    x, y = _ratings(truth, predicted)
    return float(np.mean(np.abs(x - y)))


def bootstrap_ci(
    statistic: Callable[[NDArray[np.int64]], float],
    speakers: Sequence[str],
    *,
    within: Sequence[str] | None = None,
    level: float = 0.95,
    rounds: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of a figure when other speakers had been recorded.

    Whole speakers are drawn with replacement, as clips of one speaker are not independent: an interval over clips
    would be far too narrow.

    Parameters
    ----------
    statistic : callable
        Takes indices of clips, shape (m,), with repeats, and returns the figure: ``lambda i: uar(truth[i], said[i])``.
    speakers : sequence of str, length n
        Who speaks in each clip.
    within : sequence of str, length n, optional
        A group of each speaker, such as the sex: as many are drawn of each as there are, so that a comparison of
        groups never lacks one.
    level : float
        Coverage, between 0 and 1.
    rounds : int
        Number of draws.
    seed : int
        The same seed gives the same interval.

    Returns
    -------
    low, high : float

    Raises
    ------
    EdgeSerError
        Fewer than two speakers, one in several groups, a level or a number of rounds out of range, or a statistic that
        is not finite.
    """
    names, owner = np.unique(np.asarray(speakers, dtype=object).astype(str), return_inverse=True)
    if len(names) < 2:
        raise EdgeSerError(f"an interval over speakers needs at least two of them, not {len(names)}")
    if not 0 < level < 1:
        raise EdgeSerError(f"the level of an interval lies between 0 and 1, not at {level:g}")
    if rounds < 1:
        raise EdgeSerError(f"a bootstrap takes at least one round, not {rounds}")
    clips = [np.flatnonzero(owner == k) for k in range(len(names))]
    strata = [np.arange(len(names))]
    if within is not None:
        groups = np.asarray(within, dtype=object).astype(str)
        of = [groups[mine[0]] for mine in clips]
        for name, mine, one in zip(names, clips, of, strict=True):
            if (groups[mine] != one).any():
                raise EdgeSerError(f"{name} stands in several groups: each speaker belongs to one")
        strata = [np.flatnonzero(np.array(of) == group) for group in sorted(set(of))]
    rng = np.random.default_rng(seed)
    figures = np.array(
        [
            statistic(
                np.concatenate(
                    [clips[k] for one in strata for k in one[rng.integers(len(one), size=len(one))]]
                )
            )
            for _ in range(rounds)
        ]
    )
    if not np.isfinite(figures).all():
        raise EdgeSerError("the figure is not a number for some draw of speakers, so it has no interval")
    tail = (1 - level) / 2
    low, high = np.quantile(figures, [tail, 1 - tail])
    return float(low), float(high)


def speaker_interval(
    statistic: Callable[[NDArray[np.int64]], float], speakers: Sequence[str], **options: Any
) -> list[float] | None:
    """`bootstrap_ci` for a report: from and to, or None where there are fewer than five speakers.

    Percentile intervals of few are narrow still: of 95 % ones, about 87 % cover the truth at five speakers.
    """
    if len(set(speakers)) < FEWEST_SPEAKERS:
        return None
    return list(bootstrap_ci(statistic, speakers, **options))


def _classes(truth: ArrayLike, predicted: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    true, said = np.asarray(truth), np.asarray(predicted)
    _same_length(true, said)
    for values, what in ((true, "true"), (said, "predicted")):
        if values.dtype.kind == "f":
            nan = np.flatnonzero(np.isnan(values))
            reason = f"number {nan[0]} is NaN" if len(nan) else "they are fractions"
            raise EdgeSerError(f"the {what} classes must be whole numbers or names; {reason}")
        if values.dtype.kind not in "iuUO":
            raise EdgeSerError(f"the {what} classes must be whole numbers or names, not {values.dtype}")
        if values.dtype.kind == "i" and values.min() < 0:
            raise EdgeSerError(
                f"the {what} classes hold {values.min()}; leave clips without a known class out first"
            )
    return true, said


def _ratings(truth: ArrayLike, predicted: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    _same_length(x, y)
    for values, what in ((x, "true"), (y, "predicted")):
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise EdgeSerError(
                f"{len(bad)} of the {what} ratings are not finite, the first is number {bad[0]}"
            )
    return x, y


def _same_length(truth: np.ndarray, predicted: np.ndarray) -> None:
    if truth.ndim != 1 or truth.shape != predicted.shape:
        raise EdgeSerError(
            f"truth and predictions must be two lists of one length, not of shapes {truth.shape} and {predicted.shape}"
        )
    if not len(truth):
        raise EdgeSerError("there are no clips to score")
