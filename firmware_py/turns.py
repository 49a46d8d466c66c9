"""Turns: after a pause the model begins anew, so that what was said before it is not mixed in."""

from __future__ import annotations

__all__ = ["LEAD_STEPS", "PAUSE_STEPS", "Turns"]

#: A turn ends when the gate was closed for so many steps; the gate itself waits a little before it closes.
PAUSE_STEPS = 2
#: Of the pause, so many steps before the gate opened belong to the new turn: its onset is in them.
LEAD_STEPS = 2


class Turns:
    """Knows when a turn begins, from what the gate says of each step.

    Attributes
    ----------
    number : int
        Of the turn, from 1; a pause behind it still belongs to it. 0 before the first.
    """

    def __init__(self) -> None:
        self.number = 0
        self._closed = PAUSE_STEPS  # whatever was before the first step, it is no turn

    def begins(self, is_open: bool) -> bool:
        """Whether a turn begins with the next step; a breath, where the gate is closed for less, begins none."""
        begins = is_open and self._closed >= PAUSE_STEPS
        self._closed = 0 if is_open else self._closed + 1
        self.number += begins
        return begins

    def interrupt(self) -> None:
        """As much was lost as a pause is long: who speaks behind it begins a turn."""
        self._closed = PAUSE_STEPS
