"""A microphone over months: opened, heard, lost, found again, with the account of what it gave and what not."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge_ser.errors import EdgeSerError

from .blocks import Block
from .capture import Chunk
from .events import Event, Kind
from .ledger import DRIVER, INVALID, MICROPHONE, RING, DeviceAccount
from .losses import LossTracker
from .resampling import Timeline
from .stop import Stop

__all__ = ["Clock", "LiveSource", "Opening"]

_WAIT_S = 0.35  # longer than the longest block, which would else come a little after the waiting
_DEAD_AFTER_S = 2.0  # a running stream that gives nothing for so long is opened anew
_RETRY_S = (0.5, 2.0)  # between two looks for a lost microphone: at first, and after ten of them
_SILENT_AFTER_S = 10.0  # one and the same value for so long is no room: the microphone is muted or broken


def _asleep() -> float:
    """Seconds that the machine has been suspended; 0 where the system does not tell."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()


@dataclass(frozen=True, slots=True)
class Clock:
    """What a source knows of time; tests put one of their own here.

    Attributes
    ----------
    now : callable
        `time.monotonic`: it never jumps, and stands still while the machine is suspended.
    asleep : callable
        Seconds that the machine has been suspended so far.
    sleep : callable
        ``sleep(moment, stop)`` sleeps until `moment` or the end.
    """

    now: Callable[[], float] = time.monotonic
    asleep: Callable[[], float] = _asleep
    sleep: Callable[[float, Stop], None] = lambda moment, stop: stop.sleep_until(moment)


class Opening(Protocol):
    """A microphone that was opened once; when it breaks off, another one is made."""

    name: str
    rate: int
    channels: int

    def start(self) -> None:
        """Let audio come. Raises `EdgeSerError` where it does not."""

    def read(self, timeout: float) -> Chunk | None:
        """The oldest chunk, or None when none came within `timeout` seconds."""

    def stop(self) -> None:
        """Let no more come; `read` gives what is there, then the end."""

    def ended(self) -> str:
        """Why the stream ended by itself, in words that follow "it "."""

    def close(self) -> None:
        """Let go of the device; further calls do nothing."""


class LiveSource:
    """A source over openings of one microphone.

    It ends only when it is stopped: a microphone that is unplugged, a sound server that dies, a driver that hangs are
    told as events, the time until there is audio again is booked as lost, and the microphone is looked for twice a
    second.

    Parameters
    ----------
    opener : callable
        Opens the microphone, each time from nothing. It raises `EdgeSerError` where that fails; the first time that
        is the caller's to see.
    channel : int or "mix"
        Which channel is heard, from 1; or the mean of all.
    clock : Clock, optional
        The system's when left out.
    """

    live = True

    def __init__(
        self, opener: Callable[[], Opening], *, channel: int | str = 1, clock: Clock | None = None
    ) -> None:
        self._opener, self._channel = opener, channel
        self._clock = clock if clock is not None else Clock()
        self._opening: Opening | None = opener()
        self.name = self._opening.name
        self.devices: list[DeviceAccount] = []
        self._position = 0  # samples of 16 kHz given or lost
        self._events: list[Event] = []
        self._heard_upto: float | None = None  # when the last sample of all was there
        self._away = False  # the microphone was lost, and nothing has come since
        self._looks = 0  # how often it was looked for
        self._asleep = self._clock.asleep()
        self._value: float | None = None  # the last sample
        self._same = 0  # samples since it was another
        self._open(self._opening)

    def _open(self, opening: Opening) -> None:
        if self._channel != "mix" and not 1 <= int(self._channel) <= opening.channels:
            raise EdgeSerError(
                f"{opening.name} has {opening.channels} channel{'s' if opening.channels > 1 else ''}, "
                f"no channel {self._channel}; see `edge-ser devices`"
            )
        self._tracker = LossTracker(opening.rate)
        if not self.devices or self.devices[-1].rate != opening.rate:
            self.devices.append(DeviceAccount(opening.rate))
            self._timeline = Timeline(opening.rate)

    def blocks(self, stop: Stop) -> Iterator[Block]:
        """See `Source.blocks`; what is in the ring when the end is asked for is still given."""
        opening = self._opening
        if opening is None:
            raise ValueError("this source was closed")
        opening.start()
        while True:
            reason = yield from self._hear(opening, stop)
            yield self._block(self._timeline.flush(), self._clock.now())
            yield from self._gap({DRIVER: self._tracker.settle()}, self._clock.now())
            if reason is None:
                if self._away:  # found, and stopped before its first audio
                    yield from self._missed(self._clock.now())
                return
            if self._heard_upto is None:  # it never worked: that is the caller's to mend, not time's
                raise EdgeSerError(
                    f"{self.name} {reason}; see `edge-ser devices`, and `edge-ser mic` for its health"
                )
            if not self._away:
                self._event("microphone-lost", f"{self.name} {reason}; looking for it")
                self._away, self._looks = True, 0
            self.close()
            found = yield from self._find(stop)
            if found is None:
                yield from self._missed(self._clock.now())
                return
            opening = found

    def close(self) -> None:
        """Let go of the microphone."""
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.close()

    def _hear(self, opening: Opening, stop: Stop) -> Generator[Block, None, str | None]:
        """Blocks until the end; why it broke off, or None where it was stopped."""
        now = self._clock.now
        heard_at = now()
        stopping = False
        while True:
            if stop.requested and not stopping:
                stopping = True
                opening.stop()
            chunk = opening.read(_WAIT_S)
            self._look_for_sleep()
            if chunk is None:
                if stopping:
                    return None
                if now() - heard_at > _DEAD_AFTER_S:
                    return f"has given nothing for {_DEAD_AFTER_S:g} s (it hangs, or its sound server does)"
                yield self._block(_NOTHING, now())
                continue
            heard_at = now()
            yield from self._take(chunk)
            if chunk.end:
                return None if stopping else opening.ended()

    def _find(self, stop: Stop) -> Generator[Block, None, Opening | None]:
        """Wait for the microphone; the opening that runs again, or None where it was stopped first."""
        while not stop.requested:
            yield self._block(_NOTHING, self._clock.now())
            # As it passes: who listens for so many seconds is told when they are over.
            yield from self._missed(self._clock.now())
            if self._looks:  # the first look is at once
                self._clock.sleep(self._clock.now() + _RETRY_S[self._looks > 10], stop)
            self._looks += 1
            try:
                opening = self._opener()
                try:
                    opening.start()
                    self._open(opening)  # after it: what does not start has no account
                except EdgeSerError:
                    opening.close()
                    raise
            except EdgeSerError:  # that it is lost was told; that it is found, its first audio tells
                continue
            self._opening = opening
            return opening
        return None

    def _take(self, chunk: Chunk) -> Iterator[Block]:
        samples = self._one_channel(chunk.samples)
        lost: dict[str, int] = {}
        if self._away and len(samples):
            yield from self._missed(chunk.arrival - len(samples) / self._timeline.rate)
            self._event("microphone-found", f"{self.name} is heard again")  # behind the gap
            self._away = False
        if chunk.dropped:
            lost[RING] = chunk.dropped
            self._tracker.add_known(chunk.dropped)
            if self._heard_upto is not None:
                self._heard_upto += chunk.dropped / self._timeline.rate
        if len(samples):
            steps = self._tracker.clock_steps
            lost[DRIVER] = self._tracker.push(len(samples), chunk.stamp, chunk.arrival, chunk.overflow)
            if self._tracker.clock_steps > steps:
                self._event("clock", f"the clock of {self.name}'s driver jumped; that alone loses nothing")
            self._heard_upto = chunk.arrival
            self.devices[-1].measured_rate = self._tracker.measured_rate
        yield from self._gap(lost, chunk.arrival)
        for piece, valid in _pieces(samples):
            if valid:
                self.devices[-1].read += len(piece)
                self._watch(piece)
                yield self._block(self._timeline.push(piece), chunk.arrival)
            else:
                yield from self._gap({INVALID: len(piece)}, chunk.arrival)

    def _gap(self, lost: Mapping[str, int], arrival: float) -> Iterator[Block]:
        """Samples of the device that are lost here."""
        lost = {place: samples for place, samples in lost.items() if samples}
        if not lost:
            return
        rest = self._timeline.flush()
        if len(rest):
            yield self._block(rest, arrival)
        account = self.devices[-1].lost
        for place, samples in lost.items():
            account[place] = account.get(place, 0) + samples
        yield self._block(_NOTHING, arrival, self._timeline.skip(lost))

    def _missed(self, upto: float) -> Iterator[Block]:
        """What would have come between the last sample, or what was booked since, and `upto`."""
        if self._heard_upto is None:
            return
        rate = self._timeline.rate
        samples = max(0, round((upto - self._heard_upto) * rate))
        self._heard_upto += samples / rate  # and not `upto`, so that rounding never adds up
        yield from self._gap({MICROPHONE: samples}, upto)

    def _one_channel(self, samples: np.ndarray) -> np.ndarray:
        if samples.shape[1] == 1:
            return samples[:, 0]
        if self._channel == "mix":
            return samples.mean(axis=1, dtype=np.float32) * (
                np.float32(1 / 32768) if samples.dtype == np.int16 else np.float32(1)
            )
        return samples[:, int(self._channel) - 1]

    def _watch(self, samples: np.ndarray) -> None:
        """Whether anything but one and the same value comes."""
        value = float(samples[0])
        if value != self._value or not (samples == samples[0]).all():
            if self._same >= _SILENT_AFTER_S * self._timeline.rate:
                self._event("heard", f"{self.name} gives sound again")
            self._same, self._value = 0, float(samples[-1])
            return
        before, self._same = self._same, self._same + len(samples)
        limit = _SILENT_AFTER_S * self._timeline.rate
        if before < limit <= self._same:
            self._event(
                "silent",
                f"{self.name} has given nothing but the value {value:g} for {_SILENT_AFTER_S:g} s; "
                "is it muted, or its plug loose?",
            )

    def _look_for_sleep(self) -> None:
        asleep = self._clock.asleep()
        if asleep - self._asleep > 0.5:
            self._event("suspended", f"the machine slept for {asleep - self._asleep:.0f} s")
        self._asleep = asleep

    def _event(self, kind: Kind, text: str) -> None:
        self._events.append(Event(kind, text, self._position))

    def _block(self, samples: np.ndarray, arrival: float, lost: Mapping[str, int] | None = None) -> Block:
        events, self._events = tuple(self._events), []
        lost = lost if lost is not None else {}
        self._position += len(samples) + sum(lost.values())
        return Block(samples, arrival, lost, events)


_NOTHING = np.empty(0, np.float32)
_LARGEST = 16.0  # twenty-four decibels over full scale: what is beyond is no sound


def _pieces(samples: np.ndarray) -> Iterator[tuple[np.ndarray, bool]]:
    """Runs of samples that are numbers a microphone gives, and of those that are not."""
    if not len(samples):
        return
    if samples.dtype == np.int16:
        yield samples, True
        return
    valid = np.abs(samples) <= _LARGEST  # so written because a comparison with NaN is false
    if valid.all():
        yield samples, True
        return
    edges = np.flatnonzero(np.diff(valid)) + 1
    at = 0
    for piece in np.split(samples, edges):
        yield piece, bool(valid[at])
        at += len(piece)
