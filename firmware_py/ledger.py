"""The account of every sample: what came in, what was processed, what was lost and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["DRIVER", "INVALID", "MICROPHONE", "RING", "DeviceAccount", "Ledger"]

#: Places where samples are lost: our ring was full; the driver dropped them before it called us; no microphone was
#: there to take them; the driver gave something that is no number.
RING, DRIVER, MICROPHONE, INVALID = "ring", "driver", "microphone", "invalid"


@dataclass
class DeviceAccount:
    """Counts at the microphone's own rate, one sample for all channels; ``taken = read + lost`` at any time.

    Attributes
    ----------
    rate : int
        Samples a second that the device was opened with.
    read : int
        Samples that were taken from it and went on to the resampler.
    lost : dict of str to int
        Lost samples by place.
    measured_rate : float or None
        Samples a second by the system's clock, None before ten seconds were heard.
    """

    rate: int
    read: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    measured_rate: float | None = None

    @property
    def taken(self) -> int:
        """All samples of the stream, lost ones included."""
        return self.read + sum(self.lost.values())

    def to_json(self) -> dict[str, Any]:
        """For the summary: ``in = read + lost (all places)``."""
        measured = None if self.measured_rate is None else round(self.measured_rate, 2)
        return {
            "rate": self.rate,
            "in": self.taken,
            "read": self.read,
            "lost": dict(self.lost),
            "measured_rate": measured,
        }


@dataclass
class Ledger:
    """Counts in samples of 16 kHz; ``taken = processed + lost + tail`` at any time.

    Attributes
    ----------
    heard : int
        Samples that reached the pipeline.
    lost : dict of str to int
        Lost samples by place.
    tail : int
        Heard, but not (yet) enough for a step.
    dozed : int
        Of the processed ones, those that the gate heard and the model did not.
    devices : list of DeviceAccount
        The same at a microphone's own rate; one entry for each rate that was used.
    """

    heard: int = 0
    lost: dict[str, int] = field(default_factory=lambda: {RING: 0, DRIVER: 0})
    tail: int = 0
    dozed: int = 0
    devices: list[DeviceAccount] = field(default_factory=list)

    @property
    def processed(self) -> int:
        """Samples that went through the gate and, where it was open, the model."""
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
        account: dict[str, Any] = {
            "in": self.taken, "processed": self.processed, "lost": dict(self.lost), "tail": self.tail,
        }  # fmt: skip
        if self.dozed:
            account["dozed"] = self.dozed
        if self.devices:
            account["devices"] = [device.to_json() for device in self.devices]
        return account
