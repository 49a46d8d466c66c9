"""How well sources were told apart: the scale-invariant signal-to-noise ratio (Le Roux 2019, arXiv 1811.02508)."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ser.errors import EdgeSerError

__all__ = ["MOST_SOURCES", "si_snr", "si_snr_of_sources"]

#: All orders of more sources are too many to try.
MOST_SOURCES = 8


def si_snr(estimate: ArrayLike, target: ArrayLike) -> float:
    r"""Scale-invariant signal-to-noise ratio, of signals less their means.

    The estimate `x` is taken apart into a multiple of the target `s`, ``a s`` with ``a = <x, s> / <s, s>``, and the
    rest; the figure is ``10 log10(|a s|^2 / |x - a s|^2)``. Neither the level nor the sign of the estimate matters, nor
    does an offset.

    Parameters
    ----------
    estimate, target : array_like of float, shape (n,)
        Computed in float64.

    Returns
    -------
    float
        dB. Infinite for a multiple of the target (in practice some 300 dB, as far as rounding goes); minus infinity
        for an estimate that is silent, or that has nothing of the target.

    Raises
    ------
    EdgeSerError
        Shapes that differ, no samples, a sample that is not finite, or a target that is silent or constant: there is
        nothing in it to be found.
    """
    x, s = (_centred(values, what) for values, what in ((estimate, "estimate"), (target, "target")))
    if x.shape != s.shape:
        raise EdgeSerError(f"an estimate of {len(x)} samples cannot be compared with a target of {len(s)}")
    if not s.any():
        raise EdgeSerError("the target is silent, so there is no signal to compare with; leave it out")
    found = (x @ s) / (s @ s) * s
    rest = x - found
    signal, noise = float(found @ found), float(rest @ rest)
    if signal == 0:
        return -np.inf
    return np.inf if noise == 0 else float(10 * np.log10(signal / noise))


def si_snr_of_sources(
    estimates: ArrayLike, targets: ArrayLike
) -> tuple[NDArray[np.float64], tuple[int, ...]]:
    """`si_snr` of each source under the order of the estimates in which their sum is largest.

    Parameters
    ----------
    estimates, targets : array_like of float, shape (sources, n)
        In any order; at most `MOST_SOURCES`.

    Returns
    -------
    values : ndarray, shape (sources,)
        dB, of each target.
    order : tuple of int
        The estimate that is each target's.

    Raises
    ------
    EdgeSerError
        As `si_snr`, or shapes that are not (sources, n).
    """
    x, s = np.asarray(estimates, np.float64), np.asarray(targets, np.float64)
    if x.ndim != 2 or x.shape != s.shape or not 1 <= len(x) <= MOST_SOURCES:
        raise EdgeSerError(
            f"estimates and targets must be of one shape (sources, samples) with 1 to {MOST_SOURCES} sources, "
            f"not {x.shape} and {s.shape}"
        )
    table = np.array([[si_snr(one, target) for one in x] for target in s])
    # infinite values would make sums that cannot be compared
    finite = np.clip(table, -1000, 1000)
    rows = range(len(s))
    order = max(
        itertools.permutations(rows), key=lambda p: sum(finite[i, k] for i, k in zip(rows, p, strict=True))
    )
    return table[rows, order], order


def _centred(values: ArrayLike, what: str) -> NDArray[np.float64]:
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or not len(x):
        raise EdgeSerError(f"the {what} must be one channel of samples, not of the shape {x.shape}")
    if not np.isfinite(x).all():
        raise EdgeSerError(f"the {what} holds {int((~np.isfinite(x)).sum())} samples that are not finite")
    if np.ptp(x) == 0:
        return np.zeros_like(x)  # the mean of equal numbers may round, and what is left would be noise
    return x - x.mean()
