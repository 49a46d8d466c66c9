"""Faults made on purpose: does the account stay exact to the sample, and does listening go on?

    python -m benchmarks.faults                    200 faults of all kinds at each rate, results/faults.json
    python -m benchmarks.faults --seed 7 --faults 50

The whole runtime runs (ring, resampler, loss tracker, watchdog, pipeline, gate, engine, queued sinks); the microphone,
its driver and the clock are simulated (`benchmarks.simulated`), so that the truth is known to the sample.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.running import count, place, run_main
from benchmarks.simulated import World
from edge_ser.audio import float_to_pcm16
from edge_ser.bundle import Bundle, load_bundle
from edge_ser.files import write_json
from firmware_py.engines import open_engine
from firmware_py.events import Event
from firmware_py.listener import Listener
from firmware_py.microphone import open_microphone
from firmware_py.pipeline import Pipeline
from firmware_py.prediction import Prediction
from firmware_py.recorder import Recorder
from firmware_py.sinks import QueuedSink
from firmware_py.stop import Stop
from firmware_py.summary import Run, Summary

RECOVERY_S = 3.0
#: How long a fault lasts, in the world's seconds; at once where nothing comes.
Lasting = Iterator[float]
RESULTS = Path(__file__).parents[1] / "results" / "faults.json"


class Ear:
    """Stands where a recorder does: what reached the pipeline, and when it came again after a fault."""

    def __init__(self, world: World) -> None:
        self.world, self.hash, self.count = world, hashlib.sha256(), 0
        self.fault = ""
        self.cause_ended: float | None = None
        self.recoveries: list[tuple[str, float]] = []

    def write(self, samples: np.ndarray, lost: Mapping[str, int]) -> np.ndarray:
        if len(samples):
            self.hash.update(float_to_pcm16(samples))
            self.count += len(samples)
            if self.cause_ended is not None and self.world.time >= self.cause_ended:
                self.recoveries.append((self.fault, self.world.time - self.cause_ended))
                self.cause_ended = None
        return samples

    def watch(self, fault: str, ended: float) -> None:
        self.fault, self.cause_ended = fault, ended

    def answer(self, prediction: Prediction) -> None:
        pass


class Output:
    """A sink that can be made slow, stuck or full."""

    def __init__(self) -> None:
        self.free, self.full, self.written = threading.Event(), False, 0
        self.free.set()
        self.last: Summary | None = None

    def start(self, run: Run) -> None:
        pass

    def prediction(self, prediction: Prediction) -> None:
        self.free.wait()
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        json.dumps(prediction.to_json())
        self.written += 1

    def event(self, event: Event) -> None:
        pass

    def summary(self, summary: Summary) -> None:
        self.last = summary

    def close(self) -> None:
        pass


class Faults:
    """Makes a fault every few seconds of the world's time.

    Each kind is a generator: it begins the fault, yields how long (in the world's seconds) it lasts, and ends it.
    """

    def __init__(self, world: World, output: Output, ear: Ear, *, count: int, seed: int) -> None:
        self.world, self.output, self.ear = world, output, ear
        self.rng = np.random.default_rng(seed)
        kinds: list[Callable[[], Lasting]] = [
            getattr(self, name) for name in sorted(dir(type(self))) if name.startswith("fault_")
        ]
        if world.rate == 16_000:  # 16-bit samples are always numbers
            kinds = [kind for kind in kinds if kind != self.fault_not_a_number]
        self.plan = [kinds[i % len(kinds)] for i in range(count)]
        self.rng.shuffle(self.plan)
        self.made: dict[str, int] = {}
        self._running, self._next = False, world.time + 3

    def __call__(self) -> None:
        """Called by the listener at each block: the heartbeat. A fault begins here, and ends by the world's clock."""
        if self._running or self.world.time < self._next or not self.plan:
            return
        kind = self.plan.pop()
        name = kind.__name__.removeprefix("fault_")
        self.made[name] = self.made.get(name, 0) + 1
        running = kind()
        seconds = next(running, None)
        self._running = True

        def end() -> None:
            next(running, None)
            self.ear.watch(name, self.world.time)
            self._running = False
            self._next = self.world.time + self.rng.uniform(1.5, 5)

        if seconds is None:
            end()
        else:
            self.world.later(seconds, end)

    @property
    def over(self) -> bool:
        return not self.plan and not self._running and self.world.time >= self._next

    def _seconds(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def fault_unplugged(self) -> Lasting:
        self.world.unplug()
        yield self._seconds(0.3, 8)
        self.world.plug()

    def fault_unplugged_without_a_word(self) -> Lasting:
        self.world.unplug(silently=True)
        yield self._seconds(2.6, 8)
        self.world.plug()

    def fault_sound_server_killed(self) -> Lasting:
        self.world.stale = True
        self.world.unplug()
        yield self._seconds(0.3, 8)
        self.world.plug()

    def fault_driver_hangs_5_s(self) -> Lasting:
        self.world.hangs_until = self.world.time + 5
        yield 5

    def fault_driver_hangs_briefly(self) -> Lasting:
        self.world.hangs_until = self.world.time + self._seconds(0.1, 1.5)
        yield 1.6

    def fault_overrun_that_is_told(self) -> Lasting:
        self.world.dropped = (int(self.rng.integers(1, 20_000)), True)
        return
        yield

    def fault_overrun_that_is_not_told(self) -> Lasting:
        self.world.dropped = (int(self.rng.integers(round(0.02 * self.world.rate), 20_000)), False)
        yield 1.0

    def fault_worker_busy(self) -> Lasting:
        self.world.run(self._seconds(6, 14))
        return
        yield

    def fault_sigstop_sigcont(self) -> Lasting:
        self.world.freeze(self._seconds(0.05, 6))
        return
        yield

    def fault_driver_clock_steps(self) -> Lasting:
        self.world.stamp_offset += float(self.rng.choice([-1, 1])) * self._seconds(0.6, 3600)
        yield 1.0

    def fault_suspended(self) -> Lasting:
        self.world.suspend(self._seconds(1, 9999))
        return
        yield

    def fault_odd_block_sizes(self) -> Lasting:
        self.world.odd_blocks = True
        yield self._seconds(0.5, 3)
        self.world.odd_blocks = False

    def fault_not_a_number(self) -> Lasting:
        self.world.invalid = int(self.rng.integers(1, 5_000))
        yield 1.0

    def fault_memory_pressure(self) -> Lasting:
        self.world.late_s = self._seconds(0.05, 0.8)
        yield self._seconds(0.5, 3)
        self.world.late_s = 0.0

    def fault_muted(self) -> Lasting:
        self.world.muted = True
        yield self._seconds(1, 15)
        self.world.muted = False

    def fault_sink_stuck(self) -> Lasting:
        self.output.free.clear()
        yield self._seconds(1, 90)
        self.output.free.set()

    def fault_full_disk(self) -> Lasting:
        self.output.full = True
        yield self._seconds(0.5, 5)
        self.output.full = False


def run(
    bundle: Bundle,
    *,
    faults: int = 200,
    seed: int = 0,
    rate: int = 16_000,
    engine: str = "numpy",
    doze: bool = False,
) -> dict[str, Any]:
    """Listen through faults and compare the account with the truth.

    Returns
    -------
    dict
        ``faults`` by kind, ``checks`` (name and whether it holds), ``recovery_s`` (largest by kind),
        ``ledger``, ``ok``.
    """
    world = World(rate, seed=seed)
    output = Output()
    queued = QueuedSink(output, "output", capacity=40)
    source = open_microphone("", backend=world, clock=world.clock, capture=world.capture, rate=rate)
    pipeline = Pipeline(bundle, open_engine(bundle, engine), doze=doze)
    ear = Ear(world)
    makes = Faults(world, output, ear, count=faults, seed=seed + 1)
    stop = Stop()

    def beat(_heard: int) -> None:
        if not makes.over:
            makes()
        elif not stop.requested:
            stop.request("signal")
        give_up = time.monotonic() + 5
        # As at real pace, where a sink that works has a quarter of a second for each answer.
        while output.free.is_set() and queued._queue.qsize() and time.monotonic() < give_up:
            time.sleep(1e-4)

    summary = Listener(source, pipeline, [queued], recorder=cast(Recorder, ear), heartbeat=beat).run(stop)
    output.free.set()
    queued.close()
    source.close()
    account, ledger, truth = source.devices[0].to_json(), summary.run.ledger, world.truth
    checks = {
        f"{place}: {account['lost'].get(place, 0)} as the driver knows": account["lost"].get(place, 0)
        == truth[place]
        for place in ("driver", "ring", "microphone", "invalid")
    }
    checks |= {
        "read as delivered": account["read"] == truth["read"],
        "in = read + lost, at the device's rate": account["in"] == world.heard,
        "in = processed + lost + tail, at 16 kHz": ledger.taken
        == ledger.processed + ledger.lost_samples + ledger.tail,
        "16 kHz stands where the device does": ledger.taken
        == (2 * account["in"] * 16_000 + rate) // (2 * rate),
        "heard as counted": ear.count == ledger.heard,
        "answers = steps": summary.predictions == ledger.processed // pipeline.step_samples,
        "given = written + dropped": queued.account.given
        == queued.account.written + queued.account.dropped
        == summary.predictions
        and queued.account.written == output.written,
        f"recovery within {RECOVERY_S:g} s": all(seconds <= RECOVERY_S for _, seconds in ear.recoveries),
    }
    if rate == 16_000:
        checks["the samples are the device's"] = ear.hash.digest() == world.hash.digest()
    slowest: dict[str, float] = {}
    for fault, seconds in ear.recoveries:
        slowest[fault] = max(slowest.get(fault, 0.0), round(seconds, 3))
    return {
        "rate": rate,
        "seed": seed,
        "faults": dict(sorted(makes.made.items())),
        "checks": checks,
        "recovery_s": dict(sorted(slowest.items())),
        "ledger": ledger.to_json(),
        "truth": dict(truth),
        "events": summary.events,
        "outputs": queued.account.to_json(),
        "ok": all(checks.values()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=count, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=place, default=RESULTS)
    args = parser.parse_args()
    bundle = load_bundle("stream72k")
    runs = []
    for rate in (16_000, 44_100, 48_000):
        began = time.monotonic()
        result = run(bundle, faults=args.faults, seed=args.seed, rate=rate)
        runs.append(result)
        bad = [name for name, holds in result["checks"].items() if not holds]
        print(
            f"{rate} Hz: {sum(result['faults'].values())} faults of {len(result['faults'])} kinds in "
            f"{result['ledger']['in'] / 16_000:.0f} s of audio ({time.monotonic() - began:.0f} s here): "
            + ("exact" if result["ok"] else f"NOT: {', '.join(bad)}"),
            file=sys.stderr,
        )
    write_json(args.out, {"runs": runs, "ok": all(run["ok"] for run in runs)})
    return 0 if all(run["ok"] for run in runs) else 1


if __name__ == "__main__":
    run_main(main)
