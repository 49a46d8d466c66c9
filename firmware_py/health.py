"""Is the microphone healthy? What ten seconds of it say, in figures and in words."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edge_ser.audio import SAMPLE_RATE

from .blocks import Block
from .gate import FLOOR_DB, level_db
from .ledger import DeviceAccount

__all__ = ["Checkup"]

_FRAME = 320  # 20 ms
_CLIPPED = 32767 / 32768


@dataclass
class Checkup:
    """Takes blocks, gives figures and a verdict.

    The verdict's limits: fewer than one clipped sample in ten thousand; direct current under 1 % of full scale; a
    noise floor under -40 dBFS (a voice at a metre is some -30); something louder than -50 dBFS, or else it is far
    away or turned down; a rate within 0.2 % of the nominal one; nothing lost.
    """

    heard: int = 0
    lost: int = 0
    clipped: int = 0
    total: float = 0.0
    peak: float = 0.0
    same: bool = True
    events: list[str] = field(default_factory=list)
    _first: float | None = None
    _began: float | None = None
    _last: tuple[float, int] = (0.0, 0)
    _after_first: int = 0
    _levels: list[np.ndarray] = field(default_factory=list)
    _rest: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))

    def add(self, block: Block) -> None:
        """Take the next block."""
        self.events += [event.text for event in block.events]
        self.lost += sum(block.lost.values())
        samples = block.samples
        if not len(samples):
            return
        if self._first is None:
            self._first = float(samples[0])
        self.same &= bool((samples == self._first).all())
        self.heard += len(samples)
        self.total += float(samples.sum(dtype=np.float64))
        size = np.abs(samples)
        self.peak = max(self.peak, float(size.max()))
        self.clipped += int((size >= _CLIPPED).sum())
        # The first block's arrival is when counting begins; its own samples came before.
        if self._began is None:
            self._began = block.arrival
        else:
            self._after_first += len(samples) + sum(block.lost.values())
            self._last = (block.arrival, self._after_first)
        frames = np.concatenate([self._rest, samples])
        whole = len(frames) - len(frames) % _FRAME
        self._rest = frames[whole:]
        if whole:
            self._levels.append(level_db(frames[:whole].reshape(-1, _FRAME) - self.mean))

    @property
    def mean(self) -> float:
        """Direct current, of full scale."""
        return self.total / self.heard if self.heard else 0.0

    @property
    def level(self) -> float:
        """The last level in dBFS."""
        return float(self._levels[-1][-1]) if self._levels else FLOOR_DB

    def rate(self, devices: list[DeviceAccount]) -> float | None:
        """Samples a second that the device gave by the system's clock; None before five seconds."""
        moment, samples = self._last
        if self._began is None or moment - self._began < 5:
            return None
        nominal = devices[-1].rate if devices else SAMPLE_RATE
        return samples / (moment - self._began) * nominal / SAMPLE_RATE

    def to_json(self, devices: list[DeviceAccount]) -> dict[str, Any]:
        """The figures, and the verdict: ``ok`` and ``problems`` in words."""
        levels = np.concatenate(self._levels) if self._levels else np.array([FLOOR_DB])
        floor, loud = (float(np.percentile(levels, share)) for share in (10, 95))
        rate = self.rate(devices)
        figures: dict[str, Any] = {
            "seconds": round(self.heard / SAMPLE_RATE, 2),
            "floor_db": round(floor, 1),
            "loud_db": round(loud, 1),
            "peak_db": round(20 * math.log10(self.peak), 1) if self.peak else FLOOR_DB,
            "clipped": self.clipped,
            "dc": round(self.mean, 5),
            "nominal_rate": devices[-1].rate if devices else SAMPLE_RATE,
            "rate": None if rate is None else round(rate, 1),
            "lost_samples": self.lost,
            "events": self.events,
        }
        problems = self._problems(figures)
        return figures | {"ok": not problems, "problems": problems}

    def _problems(self, figures: dict[str, Any]) -> list[str]:
        if not self.heard:
            return ["it gave nothing at all: is it plugged in, and not in use by another program?"]
        if self.same:
            return [
                "it gave one and the same value throughout: it is muted, or its capsule or plug is broken"
            ]
        problems = []
        if self.clipped > self.heard / 10_000:
            problems.append(
                f"{self.clipped} samples are clipped: turn its gain down (alsamixer, F4), or move away from it"
            )
        if abs(figures["dc"]) > 0.01:
            problems.append(
                f"direct current of {figures['dc']:.1%} of full scale: a cheap or broken sound card"
            )
        if figures["floor_db"] > -40:
            problems.append(
                f"the room is never quieter than {figures['floor_db']:.0f} dBFS: noise, hum or too much gain hides "
                "voices"
            )
        if figures["loud_db"] < -50:
            problems.append(
                f"nothing was louder than {figures['loud_db']:.0f} dBFS: say something; if you did, turn its gain up "
                "or move closer"
            )
        rate, nominal = figures["rate"], figures["nominal_rate"]
        if rate is not None and abs(rate / nominal - 1) > 0.002:
            problems.append(
                f"it gives {rate:.0f} samples a second and says {nominal}: try another --rate or port"
            )
        if self.lost:
            problems.append(
                f"{self.lost} samples were lost: is the system overloaded, or the hub underpowered?"
            )
        return problems
