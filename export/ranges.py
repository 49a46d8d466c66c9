"""Ranges of activations: what values eight bits have to stand for, from how often each occurs.

A wide range holds the rare loud value and rounds all others coarsely; a narrow one cuts the loud one off. Which is
better is a question of the network and of what it hears, so there are three answers (Wu et al. 2020, arXiv 2004.09602,
compares them): all that was met, all but a share of it, and the least squared error.
"""

from __future__ import annotations

import numpy as np

__all__ = ["METHODS", "PERCENTILE", "Histogram", "default_method"]

#: Ways to choose a range, and what they do.
METHODS = {
    "minmax": "from the least to the greatest value met",
    "percentile": "all but the least and the greatest hundredth of a per cent of the values",
    "mse": "the range whose 256 steps are nearest to the values, in the mean of squares",
}
#: Per cent of the values that lie below the upper end of the range, and above its lower end.
PERCENTILE = 99.99
_BINS = 4096
_LEVELS = 255
_SHRUNK = np.linspace(1.0, 0.2, 81)  # shares of an end that are tried


def default_method(*, streams: bool) -> str:
    """How ranges are chosen where nobody says.

    A network that streams hears one odd sound after another, of which none is to be cut off. In one of many layers that
    hears windows a sound like none of speech stretches every range after the first: there the outermost values are left
    out.
    """
    return "minmax" if streams else "percentile"


class Histogram:
    """How often values occurred between two limits.

    Parameters
    ----------
    low, high : float
        Of all that will be added.
    """

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = float(low), float(high)
        self.counts = np.zeros(_BINS, np.int64)

    def add(self, values: np.ndarray) -> None:
        """Count values of any shape."""
        if self.high > self.low:
            # In float32 the bins of a narrow range, or of a subnormal one, would have no width.
            self.counts += np.histogram(values.astype(np.float64), _BINS, (self.low, self.high))[0]

    def range(self, method: str) -> tuple[float, float]:
        """The range to give eight bits, within the limits.

        Parameters
        ----------
        method : str
            Of `METHODS`.

        Raises
        ------
        ValueError
            No such method.
        """
        if method not in METHODS:
            raise ValueError(f"no method {method!r}; there are {', '.join(METHODS)}")
        if method == "minmax" or not self.counts.any():
            return self.low, self.high
        return self._percentile() if method == "percentile" else self._least_error()

    def _percentile(self) -> tuple[float, float]:
        share = np.cumsum(self.counts) / self.counts.sum()
        edges = np.linspace(self.low, self.high, _BINS + 1)
        below = int(np.searchsorted(share, 1 - PERCENTILE / 100, side="right"))
        above = int(np.searchsorted(share, PERCENTILE / 100))
        return float(edges[min(below, _BINS - 1)]), float(edges[above + 1])

    def _least_error(self) -> tuple[float, float]:
        """First the end that reaches further from zero is tried at lesser lengths, then the other."""
        ends = np.array([self.low, self.high])
        for side in sorted((0, 1), key=lambda side: -abs(ends[side])):
            tried = np.tile(ends, (len(_SHRUNK), 1))
            tried[:, side] *= _SHRUNK
            ends = tried[int(np.argmin([self._error(*pair) for pair in tried]))]
        return float(ends[0]), float(ends[1])

    def _error(self, low: float, high: float) -> float:
        """Mean squared error of the bins' centres when a range's steps stand for them; zero is always one of them."""
        low, high = min(low, 0.0), max(high, 0.0)
        step = max((high - low) / _LEVELS, float(np.finfo(np.float32).tiny))
        centres = self.low + (np.arange(_BINS) + 0.5) * (self.high - self.low) / _BINS
        zero = np.rint(-low / step)
        rounded = (np.clip(np.rint(centres / step) + zero, 0, _LEVELS) - zero) * step
        return float(np.average((rounded - centres) ** 2, weights=self.counts))
