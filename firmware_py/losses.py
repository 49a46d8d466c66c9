"""What a driver dropped before it called us, from its time stamps."""

from __future__ import annotations

import math
from collections import deque

__all__ = ["LossTracker"]

_BUCKET_S = 5.0
_SLACK_S = 0.005
_UNSTAMPED_S = 2.5  # a sound server may come to give everything two seconds later than it did
_STEP_S = 0.5  # less is a driver's better estimate, no step


class _Floor:
    """The least of what was seen in the last five to ten seconds."""

    def __init__(self) -> None:
        self.current = self.previous = math.inf
        self._until = -math.inf

    def add(self, value: float, now: float) -> None:
        if now >= self._until:
            self.previous, self.current = self.current, math.inf
            self._until = now + _BUCKET_S
        self.current = min(self.current, value)

    @property
    def low(self) -> float:
        return min(self.current, self.previous)

    def rebase(self, value: float) -> None:
        self.current, self.previous = value, math.inf


class LossTracker:
    """Finds samples that never came.

    A block's time stamp less the samples counted so far is an offset. What a driver drops raises it for good; a block
    that is merely late raises it for a moment, and a crystal that is a little slow raises it by far less than the
    threshold in the ten seconds that the floor looks back. So a loss is what raises the offset over the floor by more
    than `threshold_s` for `confirm` blocks in a row; where the driver itself says that it dropped something, one block
    is enough. Stamps alone are not believed: PortAudio's are of a clock that people may set, and PulseAudio's move by a
    fifth of a second while it settles. After a loss audio has also arrived late, by the system's clock.

    Parameters
    ----------
    rate : int
        Samples a second.
    threshold_s : float
        Nothing shorter is found without the driver's word; without stamps, nothing shorter than two and a half seconds.
    confirm : int
        Blocks in a row.

    Attributes
    ----------
    clock_steps : int
        Jumps of the driver's clock so far, by more than half a second.
    """

    def __init__(self, rate: int, *, threshold_s: float = 0.010, confirm: int = 12) -> None:
        self._rate, self._threshold, self._confirm = rate, threshold_s, confirm
        self._count = 0  # samples before the next block, lost ones counted
        self._stamps, self._arrivals = _Floor(), _Floor()
        self._late: deque[tuple[float, float]] = deque(maxlen=confirm)
        self._short = threshold_s
        self.clock_steps = 0
        self._first: tuple[float, int] | None = None
        self._last = (0.0, 0)

    @property
    def measured_rate(self) -> float | None:
        """Samples a second by the system's clock; None before ten seconds were heard."""
        if self._first is None or self._last[0] - self._first[0] < 10:
            return None
        return (self._last[1] - self._first[1]) / (self._last[0] - self._first[0])

    def add_known(self, samples: int) -> None:
        """Count samples that were dropped after they came (the ring was full)."""
        self._count += samples

    def push(self, samples: int, stamp: float, arrival: float, overflow: bool = False) -> int:
        """Count a block and give the samples that were dropped before it.

        Parameters
        ----------
        samples : int
            Length of the block.
        stamp : float
            The driver's time of its first sample in seconds; 0 where it has none, then `arrival` stands for it.
        arrival : float
            The system's time when its last sample was there.
        overflow : bool
            The driver says that it dropped something.
        """
        came = arrival - samples / self._rate
        # Arrivals alone tell lateness from loss much worse.
        self._short = self._threshold if stamp else max(self._threshold, _UNSTAMPED_S)
        stamp = stamp if stamp else came
        behind, late = stamp - self._count / self._rate, came - self._count / self._rate
        lost = 0
        if self._first is not None:
            lost = self._judge(behind, late, samples, overflow)
            behind, late = behind - lost / self._rate, late - lost / self._rate
        self._stamps.add(behind, arrival)
        self._arrivals.add(late, arrival)
        self._count += lost + samples
        if self._first is None:
            self._first = (arrival, self._count)
        self._last = (arrival, self._count)
        return lost

    def settle(self) -> int:
        """The stream ends here: samples that were dropped before its last blocks, where these were too few to tell."""
        if not self._late:
            return 0
        least, latest = min(b for b, _ in self._late), min(a for _, a in self._late)
        self._late.clear()
        lost = self._lost(least) if self._plausible(least - self._stamps.low, latest) else 0
        self._count += lost
        return lost

    def _judge(self, behind: float, late: float, samples: int, overflow: bool) -> int:
        excess = behind - self._stamps.low
        if excess < -self._short and not overflow:
            # An earlier floor was no floor, or the clock went back; from here on this is the floor.
            self.clock_steps += excess < -_STEP_S
            self._stamps.rebase(behind)
            self._late.clear()
            return 0
        if overflow:
            self._late.clear()
            if abs(excess) <= 0.5 / self._rate:
                return 0
            if self._plausible(excess, late):
                return self._lost(behind)
            # It has no stamps to be believed, so the system's clock has to tell.
            missing = late - self._arrivals.low
            return round(missing * self._rate) if missing > max(self._threshold, samples / self._rate) else 0
        if excess <= self._short:
            self._late.clear()
            return 0
        self._late.append((behind, late))
        if len(self._late) < self._confirm:
            return 0
        least, latest = min(b for b, _ in self._late), min(a for _, a in self._late)
        self._late.clear()
        if not self._plausible(least - self._stamps.low, latest):
            self.clock_steps += least - self._stamps.low > _STEP_S
            self._stamps.rebase(least)
            return 0
        return self._lost(least)

    def _plausible(self, excess: float, late: float) -> bool:
        """Whether audio has also arrived that late: what was lost before a sample is time that passed before it."""
        return late - self._arrivals.low >= excess - _SLACK_S

    def _lost(self, behind: float) -> int:
        return max(0, round((behind - self._stamps.low) * self._rate))
