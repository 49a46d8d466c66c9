"""Functionals: what a recording's course of a feature is summed up to."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from edge_ser.errors import EdgeSerError

__all__ = ["FUNCTIONALS", "check_functionals", "summarise"]

Doubles = npt.NDArray[np.float64]

_QUANTILE = re.compile(r"q(\d{1,2}|100)")


class _Courses:
    """Features over time in double precision, and what several functionals need of them."""

    def __init__(self, frames: Doubles, times: Doubles) -> None:
        self.values = np.ascontiguousarray(frames.T)  # (features, frames)
        self.times = times

    @cached_property
    def mean(self) -> Doubles:
        # Clipped, because the rounded mean of equal numbers may lie an ulp beside them, and would deviate.
        return np.clip(self.values.mean(axis=1), self.least, self.largest)

    @cached_property
    def least(self) -> Doubles:
        return self.values.min(axis=1)

    @cached_property
    def largest(self) -> Doubles:
        return self.values.max(axis=1)

    @cached_property
    def centred(self) -> Doubles:
        return self.values - self.mean[:, None]

    @cached_property
    def std(self) -> Doubles:
        return np.sqrt((self.centred**2).mean(axis=1))

    @cached_property
    def ordered(self) -> Doubles:
        return np.sort(self.values, axis=1)

    def quantile(self, share: float) -> Doubles:
        """Linear between the two nearest, as `numpy.quantile`."""
        at = share * (self.ordered.shape[1] - 1)
        below = int(at)
        low, high = self.ordered[:, below], self.ordered[:, min(below + 1, self.ordered.shape[1] - 1)]
        return low + (high - low) * (at - below)

    @cached_property
    def slope(self) -> Doubles:
        seconds = self.times - self.times.mean()
        spread = (seconds**2).sum()
        # Not a matrix product: BLAS adds up in another order with another number of threads.
        return (self.centred * seconds).sum(axis=1) / (spread if spread > 0 else 1.0)

    def moment(self, order: int) -> Doubles:
        """Mean of the standardised values to a power; 0 for a constant course."""
        std = np.where(self.std > 0, self.std, 1.0)
        return ((self.centred / std[:, None]) ** order).mean(axis=1)

    @cached_property
    def change(self) -> Doubles:
        if self.values.shape[1] < 2:
            return np.zeros(len(self.values))
        return (np.abs(np.diff(self.values, axis=1)) / np.diff(self.times)).mean(axis=1)


#: Name -> courses to one number each, and what it is. ``qNN``, the quantile of NN per cent, is known beside them.
FUNCTIONALS: Mapping[str, tuple[Callable[[_Courses], Doubles], str]] = {
    "mean": (lambda c: c.mean, "mean"),
    "std": (lambda c: c.std, "standard deviation (of the population)"),
    "min": (lambda c: c.least, "smallest"),
    "max": (lambda c: c.largest, "largest"),
    "range": (lambda c: c.largest - c.least, "largest less smallest"),
    "median": (lambda c: c.quantile(0.5), "median"),
    "iqr": (lambda c: c.quantile(0.75) - c.quantile(0.25), "range of the middle half"),
    "slope": (lambda c: c.slope, "slope of the straight line that fits best, per second"),
    "change": (lambda c: c.change, "mean absolute change, per second"),
    "skewness": (lambda c: c.moment(3), "skewness; 0 for a constant"),
    "kurtosis": (
        lambda c: c.moment(4) - 3.0 * (c.std > 0),
        "excess kurtosis (0 for a normal distribution, and for a constant)",
    ),
}


def check_functionals(names: Sequence[str]) -> None:
    """Refuse functionals that are not there.

    Raises
    ------
    EdgeSerError
        A name is neither in `FUNCTIONALS` nor a quantile ``q00`` to ``q100``.
    """
    unknown = [name for name in names if name not in FUNCTIONALS and not _QUANTILE.fullmatch(name)]
    if unknown:
        raise EdgeSerError(
            f"there is no functional {', '.join(map(repr, unknown))}; there are {', '.join(FUNCTIONALS)} "
            "and the quantiles q0 to q100"
        )


def summarise(frames: npt.ArrayLike, functionals: Sequence[str], times: npt.ArrayLike) -> Doubles:
    """Functionals of features over time.

    Parameters
    ----------
    frames : array_like, shape (frames, features)
        At least one frame, all finite.
    functionals : sequence of str
        Keys of `FUNCTIONALS`, or quantiles: ``"q25"`` is the quarter.
    times : array_like, shape (frames,)
        Of the frames in seconds, ascending: slopes and changes are per second.

    Returns
    -------
    (features, functionals) float64

    Raises
    ------
    EdgeSerError
        An unknown functional, no frames, times that do not ascend, or NaN or infinite values.

    Examples
    --------
    >>> summarise([[1.0], [2.0], [6.0]], ["mean", "median", "slope"], times=[0.0, 0.1, 0.2])
    array([[ 3.,  2., 25.]])
    """
    check_functionals(functionals)
    values = np.asarray(frames, dtype=np.float64)
    if values.ndim != 2 or not len(values):
        raise EdgeSerError(
            f"functionals need features over time, shape (frames, features), not {values.shape}"
        )
    seconds = np.asarray(times, dtype=np.float64)
    if seconds.shape != (len(values),):
        raise EdgeSerError(f"functionals need a time for each of {len(values)} frames, not {seconds.shape}")
    if not np.isfinite(seconds).all() or (np.diff(seconds) <= 0).any():
        raise EdgeSerError("the times of frames must be finite, each later than the one before")
    if not np.isfinite(values).all():
        raise EdgeSerError("functionals of NaN or infinite values have no meaning; replace them first")
    courses = _Courses(values, seconds)
    columns = [
        FUNCTIONALS[name][0](courses) if name in FUNCTIONALS else courses.quantile(int(name[1:]) / 100)
        for name in functionals
    ]
    return np.stack(columns, axis=1) if columns else np.zeros((values.shape[1], 0))
