"""The account of every sample: what came in, what was processed, what was lost and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["DRIVER", "RING", "Ledger"]

#: Places where samples are lost: our ring was full; the driver dropped them before it called us.
RING, DRIVER = "ring", "driver"


@dataclass
class Ledger:
    """Counts in samples; ``taken = processed + lost + tail`` at any time.

    Attributes
    ----------
    heard : int
        Samples that reached the pipeline.
    lost : dict of str to int
        Lost samples by place.
    tail : int
        Heard, but not (yet) enough for a step.
    """

    heard: int = 0
    lost: dict[str, int] = field(default_factory=lambda: {RING: 0, DRIVER: 0})
    tail: int = 0

    @property
    def processed(self) -> int:
        """Samples that went through the model."""
        return self.heard - self.tail

    @property
    def lost_samples(self) -> int:
        """Samples lost anywhere."""
        return sum(self.lost.values())

    @property
    def taken(self) -> int:
        """All samples of the stream, lost ones included."""
        return self.heard + self.lost_samples

    def add_lost(self, lost: Mapping[str, int]) -> int:
        """Book losses by place and return their sum."""
        for place, samples in lost.items():
            self.lost[place] = self.lost.get(place, 0) + samples
        return sum(lost.values())

    def to_json(self) -> dict[str, Any]:
        """For the summary: ``in = processed + lost (all places) + tail``."""
        return {"in": self.taken, "processed": self.processed, "lost": dict(self.lost), "tail": self.tail}
