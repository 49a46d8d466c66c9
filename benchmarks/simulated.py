"""A microphone, its driver and the time they live in, without hardware and without waiting.

`World` stands for the package sounddevice and for the clock. Whoever waits for audio lets the world's time go on; so a
day passes in minutes, and what the device took, what its driver dropped and when is known to the sample.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from firmware_py.capture import Capture, Chunk
from firmware_py.live import Clock
from firmware_py.stop import Stop

__all__ = ["World"]


class World:
    """Time, one microphone and its driver.

    Parameters
    ----------
    rate : int
        The device's samples a second; it is opened with no other.
    sound : (n,) int16
        What it hears, over and over.
    drift : float
        How much faster its crystal is than the clock (1e-4: 100 ppm).
    jitter_s : float
        Callbacks come late by up to this.
    buffer_s : float
        What the driver keeps while nobody takes it.
    """

    class PortAudioError(Exception):
        pass

    def __init__(
        self,
        rate: int = 16_000,
        sound: np.ndarray | None = None,
        *,
        drift: float = 0.0,
        jitter_s: float = 0.0,
        buffer_s: float = 0.25,
        seed: int = 0,
    ) -> None:
        self.rate, self.rng = rate, np.random.default_rng(seed)
        self.sound = sound if sound is not None else self.rng.integers(-9000, 9000, 30_011).astype(np.int16)
        self.true_rate = rate * (1 + drift)
        self.jitter_s, self.buffer_s = jitter_s, buffer_s
        self.time = 100.0
        self.slept = 0.0
        self.agenda: list[tuple[float, Callable[[], None]]] = []  # (time, what happens then), the next first
        self.stamp_offset = 0.0
        self.heard = 0  # samples of the device since it was started first
        self.started_at: float | None = None
        self.stream: _Stream | None = None
        self.ring: _Ring
        self.plugged = True  # there is such a device
        self.stale = False  # PortAudio has to be started anew
        self.hangs_until = -1.0  # streams run and give nothing
        self.late_s = 0.0  # every callback comes so much later
        self.muted = False
        self.odd_blocks = False
        self.invalid = 0  # samples of the next block that are NaN
        self.dropped = (0, False)  # before the next block: how many, and whether the driver says so
        self.truth: Counter[str] = Counter()  # delivered, and lost by place
        self.hash = hashlib.sha256()
        self.default = SimpleNamespace(device=[0, 0])
        self.clock = Clock(now=lambda: self.time, asleep=lambda: self.slept, sleep=self._sleep)

    # --- the package sounddevice

    def query_devices(self) -> list[dict[str, Any]]:
        if self.stale or not self.plugged:
            return []
        entry = {"name": "simulated", "hostapi": 0, "max_input_channels": 1, "default_samplerate": self.rate}
        return [entry]

    def query_hostapis(self) -> list[dict[str, Any]]:
        return [{"name": "Simulated"}]

    def _terminate(self) -> None:
        self.stale = False

    def _initialize(self) -> None:
        pass

    def RawInputStream(
        self,
        *,
        samplerate: int,
        blocksize: int,
        callback: Callable[..., None],
        finished_callback: Callable[[], None],
        dtype: str,
        **_: Any,
    ) -> _Stream:
        if samplerate != self.rate:
            raise self.PortAudioError("Invalid sample rate", -9997)
        if not self.plugged:
            raise self.PortAudioError("Device unavailable", -9985)
        return _Stream(self, blocksize, callback, finished_callback, dtype)

    # --- time

    def capture(self, capacity: int, channels: int, dtype: Any) -> _Ring:
        return _Ring(self, capacity, channels, dtype)

    def _sleep(self, moment: float, stop: Stop) -> None:
        while self.time < moment and not stop.requested:
            self.step(moment)

    def at(self, samples: float) -> float:
        """When the device has taken so many."""
        assert self.started_at is not None
        return self.started_at + samples / self.true_rate

    def step(self, limit: float) -> None:
        """Go on to the driver's next block, to what is on the agenda, or to `limit`."""
        if self.agenda and self.agenda[0][0] <= self.time:
            self.agenda.pop(0)[1]()
            return
        if self.agenda:
            limit = min(limit, self.agenda[0][0])
        stream = self.stream
        if stream is None or not stream.running or not self.plugged:
            self.time = max(self.time, limit)
            return
        count = int(self.rng.integers(0, 2 * stream.block)) if self.odd_blocks else stream.block
        lost, flagged = self.dropped
        first = self.heard + lost
        if self.hangs_until > self.time:
            self.time = min(limit, self.hangs_until)
            return
        if self.hangs_until > 0:  # what it heard meanwhile is gone but for the driver's buffer
            self.hangs_until = -1.0
            self._fall_behind()
            return
        due = self.at(first + count) + self.late_s
        if self.jitter_s:
            due += self.rng.uniform(0, self.jitter_s)
        if due > limit:
            self.time = max(self.time, limit)
            return
        self.time = max(self.time, due)
        self.dropped = (0, False)
        self.deliver(stream, first, count, lost, flagged)

    def _fall_behind(self) -> None:
        assert self.started_at is not None and self.stream is not None
        now = int((self.time - self.started_at) * self.true_rate)
        if not self.stream.delivered:  # opened while it hung: it starts when the hanging ends
            missed = max(0, now + 1 - self.heard)
            self.truth["microphone"] += missed
            self.heard += missed
            return
        kept = round(self.buffer_s * self.rate)
        lost = max(0, now - kept - self.heard - self.dropped[0])
        self.dropped = (self.dropped[0] + lost, self.dropped[1] or lost > 0)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Have something happen at its time, whoever is busy with what."""
        self.agenda.append((self.time + seconds, call))
        self.agenda.sort(key=lambda item: item[0])

    def freeze(self, seconds: float) -> None:
        """Stop the whole process for so long, as SIGSTOP does: the driver goes on, its buffer runs over."""
        self.time += seconds
        if self.stream is not None and self.stream.running and self.plugged:
            self._fall_behind()

    def run(self, seconds: float) -> None:
        """Let time go on while the worker is busy elsewhere: callbacks come, nobody reads."""
        until = self.time + seconds
        while self.time < until:
            self.step(until)

    def suspend(self, seconds: float) -> None:
        """The machine sleeps: no clock of ours goes on, and the device does not either."""
        self.slept += seconds

    def unplug(self, *, silently: bool = False) -> None:
        self.plugged = False
        if self.stream is not None and not silently:
            self.stream.finish()

    def plug(self) -> None:
        self.plugged = True

    def deliver(self, stream: _Stream, first: int, count: int, lost: int, flagged: bool) -> None:
        self.truth["driver"] += lost
        self.heard = first + count
        indices = np.arange(first, first + count) % len(self.sound)
        samples = np.zeros(count, np.int16) if self.muted else self.sound[indices]
        data = samples if stream.dtype == "int16" else samples.astype(np.float32) / 32768
        bad = min(self.invalid, count)
        self.invalid -= bad
        if bad:
            data[:bad] = np.nan
        self.truth["invalid"] += bad
        room = stream.ring._ring.shape[0] - stream.ring.filled
        if count > room:
            self.truth["ring"] += count
            self.truth["invalid"] -= bad
        else:
            self.truth["read"] += count - bad
            self.hash.update(samples[bad:].tobytes())
        stream.delivered += 1
        stamp = self.at(first) + self.stamp_offset
        stream.callback(
            memoryview(data.tobytes()), count, SimpleNamespace(inputBufferAdcTime=stamp),
            SimpleNamespace(input_overflow=flagged),
        )  # fmt: skip


class _Ring(Capture):
    """The ring, where waiting lets the world's time go on."""

    def __init__(self, world: World, *shape: Any) -> None:
        super().__init__(*shape)
        self._world = world
        world.ring = self

    def read(self, timeout: float) -> Chunk | None:
        deadline = self._world.time + timeout
        while (chunk := super().read(0)) is None and self._world.time < deadline:
            self._world.step(deadline)
        return chunk


class _Stream:
    def __init__(
        self,
        world: World,
        block: int,
        callback: Callable[..., None],
        finished: Callable[[], None],
        dtype: str,
    ) -> None:
        self.world, self.block, self.callback, self.dtype = world, block, callback, dtype
        self._finished = finished
        self.ring = world.ring
        self.running = False
        self.delivered = 0

    def start(self) -> None:
        world = self.world
        if world.started_at is None:
            world.started_at = world.time
        elif not self.running:
            # The device is heard from here on; what it would have given since the last sample is lost.
            first = -int(-(world.time - world.started_at) * world.true_rate // 1)
            missed = max(0, first - world.heard - world.dropped[0])
            world.truth["microphone"] += missed + world.dropped[0]
            world.heard += missed + world.dropped[0]
            world.dropped = (0, False)
        world.stream, self.running = self, True

    def finish(self) -> None:
        if self.running:
            self.running = False
            self._finished()

    def stop(self) -> None:
        self.finish()

    def close(self, ignore_errors: bool = True) -> None:
        self.running = False
        if self.world.stream is self:
            self.world.stream = None
