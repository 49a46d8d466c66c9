"""Turns: after a pause the model begins anew, so that what was said before it is not mixed in."""

from __future__ import annotations

from collections import deque

import numpy as np

__all__ = ["LEAD_STEPS", "PAUSE_STEPS", "Turns"]

#: A turn ends when the gate was closed for so many steps; the gate itself waits a little before it closes.
PAUSE_STEPS = 2
#: Of the pause, so many steps before the gate opened belong to the new turn: its onset is in them.
LEAD_STEPS = 2


class Turns:
    """Knows when a turn begins, and how its first steps sound."""

    def __init__(self) -> None:
        self._lead: deque[np.ndarray] = deque(maxlen=LEAD_STEPS)
        self._closed = PAUSE_STEPS  # whatever was before the first step, it is no turn

    def pause(self, features: np.ndarray) -> None:
        """Take the features of a step while the gate is closed."""
        self._lead.append(features)
        self._closed += 1

    def speak(self) -> list[np.ndarray] | None:
        """The gate is open: the steps with which a new turn begins, or None where the old one goes on."""
        lead, new = list(self._lead), self._closed >= PAUSE_STEPS
        self._lead.clear()
        self._closed = 0
        return lead if new else None
