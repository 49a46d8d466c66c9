"""Turns: after a pause the model begins anew, so that what was said before it is not mixed in."""

from __future__ import annotations

__all__ = ["LEAD_STEPS", "PAUSE_STEPS", "Turns"]

#: A turn ends when the gate was closed for so many steps; the gate itself waits a little before it closes.
PAUSE_STEPS = 2
#: Of the pause, so many steps before the gate opened belong to the new turn: its onset is in them.
LEAD_STEPS = 2


class Turns:
    """Knows when a turn begins."""

    def __init__(self) -> None:
        self._closed = PAUSE_STEPS  # whatever was before the first step, it is no turn

    def pause(self) -> None:
        """The gate is closed in a step."""
        self._closed += 1

    def speak(self) -> bool:
        """The gate is open in a step: whether a new turn begins, or the old one goes on."""
        new = self._closed >= PAUSE_STEPS
        self._closed = 0
        return new
