"""What happens to a source while it is heard: told in every output, counted nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Event", "Kind"]

Kind = Literal[
    "microphone-lost", "microphone-found", "silent", "heard", "suspended", "clock", "recording", "sink"
]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a person who looks at the output later has to know.

    Attributes
    ----------
    kind : str
        ``microphone-lost`` and ``microphone-found``; ``silent``, a microphone that gives one and the same value, and
        ``heard``, when that is over; ``suspended``, the machine slept; ``clock``, the driver's clock jumped;
        ``recording`` and ``sink``, one that failed.
    text : str
        What happened, in words, with the reason where it is known.
    at : int
        Samples from the start of the stream, lost ones counted.
    """

    kind: Kind
    text: str
    at: int

    def to_json(self, sample_rate: int) -> dict[str, Any]:
        """A line of type ``event``."""
        return {"type": "event", "event": self.kind, "at": self.at / sample_rate, "text": self.text}
