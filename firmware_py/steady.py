"""One label for people who want one: smoothed over time, and slow to change its mind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .prediction import Prediction

__all__ = ["Steady"]


class Steady:
    """Puts a label on predictions that does not flicker; the raw values stay as they are.

    Probabilities of what was heard are smoothed exponentially. The label changes when another one is ahead of it by
    `margin`, and goes when nobody was heard for `hold_s`. The first comes after `settle_s` of speech.

    Parameters
    ----------
    smooth_s : float
        Time constant of the smoothing.
    margin : float
        Of probability, 0..1.
    hold_s : float
        How long the label stays in silence.
    settle_s : float
        How much must be heard before there is one.
    """

    def __init__(
        self, *, smooth_s: float = 1.5, margin: float = 0.1, hold_s: float = 3.0, settle_s: float = 1.0
    ) -> None:
        self._smooth_s, self._margin, self._hold_s, self._settle_s = smooth_s, margin, hold_s, settle_s
        self._last_end: int | None = None
        self._forget()

    def _forget(self) -> None:
        self._shares: np.ndarray | None = None
        self._heard_s = self._quiet_s = 0.0
        self.label: str | None = None

    def push(self, prediction: Prediction) -> Prediction:
        """The same prediction with `steady` filled in."""
        return replace(prediction, steady=self.label_after(prediction))

    def label_after(self, prediction: Prediction) -> str | None:
        """Take the next prediction; the label from there on."""
        p = prediction
        took = (p.end - (self._last_end if self._last_end is not None else 0)) / p.sample_rate
        self._last_end = p.end
        if p.state == "silence" or p.dozed:
            self._quiet_s += took
            if self._quiet_s >= self._hold_s:
                self._forget()
            return self.label
        self._quiet_s = 0.0
        self._heard_s += took
        new = np.fromiter(p.emotion.values(), np.float64, len(p.emotion))
        if self._shares is None:
            self._shares = new
        else:
            self._shares = self._shares + (1 - np.exp(-took / self._smooth_s)) * (new - self._shares)
        labels = list(p.emotion)
        best = int(self._shares.argmax())
        if self.label is None:
            if self._heard_s >= self._settle_s:
                self.label = labels[best]
        elif self._shares[best] - self._shares[labels.index(self.label)] > self._margin:
            self.label = labels[best]
        return self.label
