"""The one protocol of everything that predictions go to."""

from __future__ import annotations

from typing import Protocol

from ..events import Event
from ..prediction import Prediction
from ..summary import Run, Summary

__all__ = ["Sink"]


class Sink(Protocol):
    """Where predictions go. `start` comes first, `summary` and `close` last, all from one thread."""

    def start(self, run: Run) -> None:
        """Listening begins."""

    def prediction(self, prediction: Prediction) -> None:
        """Write one answer; it must be out when this returns, since the latency is taken then."""

    def event(self, event: Event) -> None:
        """Something happened to the source, or to another sink."""

    def summary(self, summary: Summary) -> None:
        """Listening has ended, well or not; not called when nothing could be heard."""

    def close(self) -> None:
        """Let go of everything; always called, also when `start` failed."""
