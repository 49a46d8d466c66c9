"""One label for people who want one: there soon, and slow to change its mind."""

from __future__ import annotations

from .prediction import Prediction

__all__ = ["Steady"]


class Steady:
    """A label of what predictions say that does not flicker.

    The label changes when another one is ahead of it by `margin`, begins anew with each turn, and goes when nobody
    spoke for `hold_s`. Nothing is smoothed: the model's answer is already about all that it heard of a turn, and to
    smooth that once more costs answers that are right (docs/evaluation.md, "In a stream", has the figures).

    Parameters
    ----------
    margin : float
        Of probability, 0..1.
    settle_s : float
        How much must be heard of a turn before there is a label of it; until then that of the turn before stands.
    hold_s : float
        How long the label stays without speech, what was lost included.
    """

    def __init__(self, *, margin: float = 0.1, settle_s: float = 0.5, hold_s: float = 3.0) -> None:
        self._margin, self._settle_s, self._hold_s = margin, settle_s, hold_s
        self._last_end = self._turn = 0
        self._heard_s = self._quiet_s = 0.0
        self._settled = False
        self.label: str | None = None

    def label_after(self, prediction: Prediction) -> str | None:
        """Take the next prediction; the label from there on."""
        p = prediction
        lost = p.lost_samples / p.sample_rate
        took = (p.end - self._last_end) / p.sample_rate - lost
        self._last_end = p.end
        if p.turn != self._turn:
            self._turn, self._heard_s, self._settled = p.turn, 0.0, False
        speaks = p.state in ("speech", "unsure") and not p.dozed
        self._quiet_s += lost if speaks else lost + took
        if self._quiet_s >= self._hold_s:
            self.label = None
        if not speaks:
            return self.label
        self._quiet_s = 0.0
        self._heard_s += took
        if self._heard_s >= self._settle_s:
            held = self.label if self._settled else None
            if held is None or p.confidence - p.emotion[held] > self._margin:
                self.label = p.label
            self._settled = True
        return self.label
