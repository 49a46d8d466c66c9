"""Listening for long: is memory flat, is any sample lost, are descriptors and threads constant?

    python -m benchmarks.soak --hours 24                 a day of audio, faster than real time
    python -m benchmarks.soak --hours 1 --realtime       an hour at the pace of speech
    make soak HOURS=24; make soak HOURS=1 ARGS=--realtime

At the pace of speech, Ctrl-C (or SIGTERM) ends it, and the file then holds the hours that were heard. It cannot be
taken up again: that the memory of one process stays flat, only one process can show.

The whole runtime: a microphone of 48 kHz that is unplugged now and then (simulated, `benchmarks.simulated`; in real
time the same with the real clock is a file at its own pace through the whole command), ring, loss tracker, resampler,
front end, gate, model, smoothing, three sinks behind queues (JSON lines to nowhere, CSV that is rotated, a command).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.running import length, place, run_main
from benchmarks.simulated import World
from edge_ser.audio import SAMPLE_RATE, AudioBlocks
from edge_ser.bundle import load_bundle
from edge_ser.errors import EdgeSerError
from edge_ser.files import write_json
from firmware_py.engines import ENGINES, open_engine
from firmware_py.listener import Listener
from firmware_py.machine import describe_machine
from firmware_py.meter import rss_mb
from firmware_py.microphone import open_microphone
from firmware_py.pipeline import Pipeline
from firmware_py.sinks import Descriptor, ExecSink, JsonlSink, QueuedSink, open_log
from firmware_py.stop import Stop

ROOT = Path(__file__).parents[1]
WARM_UP_S = 600.0
#: Below, there are no two marks of a settled process to set against each other.
LEAST_HOURS = {False: 0.5, True: 0.05}


def figures(before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Memory in MiB, open descriptors, threads of this process.

    Starting a command takes a few descriptors for a moment, which is long where the cores are busy. So of some looks
    the one with the fewest counts, and where that is more than at the mark `before`, there are looks for two seconds:
    a leak stays.
    """
    wanted = before["descriptors"] if before else 0
    give_up = time.monotonic() + 2
    looks: list[int] = []
    while len(looks) < 5 or (min(looks) > wanted > 0 and time.monotonic() < give_up):
        looks.append(len(os.listdir("/proc/self/fd")))
        time.sleep(0.01)
    return {
        "rss_mb": round(rss_mb(), 3),
        "descriptors": min(looks),
        "threads": len(os.listdir("/proc/self/task")),
    }


def sound(rate: int) -> np.ndarray:
    """Half a minute of speech and half a minute of a quiet room, 16-bit at `rate`."""
    [path] = (ROOT / "edge_ser" / "samples").glob("demo.*")
    with AudioBlocks(path) as blocks:
        speech = np.concatenate(list(blocks))
    room = np.random.default_rng(0).normal(0, 2e-4, len(speech)).astype(np.float32)
    both = np.concatenate([speech, room])
    if rate != SAMPLE_RATE:
        import soxr

        both = soxr.resample(both, SAMPLE_RATE, rate)
    return np.clip(np.rint(both * 32767), -32768, 32767).astype(np.int16)


def accelerated(
    hours: float,
    *,
    engine: str = "numpy",
    rate: int = 48_000,
    doze: bool = True,
    unplug_every_s: float = 3600.0,
) -> dict[str, Any]:
    """Hear `hours` of audio as fast as it goes; see the module."""
    world = World(rate, sound(rate), jitter_s=0.003, drift=3e-5)
    bundle = load_bundle("stream72k")
    stop = Stop()
    marks: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as null:
        source = open_microphone("", backend=world, clock=world.clock, capture=world.capture, rate=rate)
        pipeline = Pipeline(bundle, open_engine(bundle, engine), doze=doze)
        sinks = [
            QueuedSink(JsonlSink(Descriptor(null.fileno())), "lines"),
            QueuedSink(open_log(f"{folder}/log.csv", limit=2_000_000, keep=2), "log"),
            QueuedSink(ExecSink("true", sys.stderr), "command"),
        ]
        begin, next_mark, next_fault = world.time, 0.0, unplug_every_s
        unplugged = 0

        def beat(_heard: int) -> None:
            nonlocal next_mark, next_fault, unplugged
            now = world.time - begin
            if now >= next_fault:
                next_fault += unplug_every_s
                unplugged += 1
                world.unplug()
                world.later(1.0, world.plug)
            if now >= next_mark:
                next_mark += max(WARM_UP_S, hours * 3600 / 48)
                marks.append({"audio_s": round(now), **figures(marks[-1] if marks else None)})
                print(
                    f"\r{now / 3600:6.2f} h  {marks[-1]['rss_mb']:.1f} MB",
                    end="",
                    file=sys.stderr,
                    flush=True,
                )
            if now >= hours * 3600:
                stop.request("duration")
            while any(sink._queue.qsize() > 20 for sink in sinks):
                time.sleep(1e-4)

        began = time.monotonic()
        summary = Listener(source, pipeline, sinks, heartbeat=beat).run(stop)
        for sink in sinks:
            sink.close()
        source.close()
    marks.append({"audio_s": round(world.time - begin), **figures()})
    print(file=sys.stderr)
    settled = [mark for mark in marks if mark["audio_s"] >= WARM_UP_S]
    account, truth = summary.run.ledger.devices[0], world.truth
    # The threads of sinks have ended at the last mark, and the command may run at any of them.
    during = settled[:-1]
    growth = max(mark["rss_mb"] for mark in settled) - settled[0]["rss_mb"]
    checks = {
        "memory grows by less than 1 MB": growth < 1.0,
        "threads constant": len({mark["threads"] for mark in during}) == 1,
        "descriptors constant": len({mark["descriptors"] for mark in during}) == 1,
        "read = delivered": account.read == truth["read"],
        "nothing lost but while unplugged": set(account.lost) <= {"microphone"},
        "every answer written": all(
            sink.account.dropped == 0 and sink.account.written == summary.predictions for sink in sinks
        ),
    }
    return {
        "hours": hours, "seconds_here": round(time.monotonic() - began), "engine": engine, "rate": rate,
        "predictions": summary.predictions, "unplugged": unplugged, "growth_mb": round(growth, 3),
        "samples": summary.run.ledger.to_json(), "marks": marks, "checks": checks, "ok": all(checks.values()),
    }  # fmt: skip


def realtime(hours: float, engine: str = "numpy") -> dict[str, Any]:
    """The command itself, from a named pipe that somebody fills at the pace of speech."""
    with tempfile.TemporaryDirectory() as folder:
        pipe = Path(folder) / "pipe"
        os.mkfifo(pipe)
        command = [
            sys.executable,
            "-m",
            "edge_ser",
            "listen",
            str(pipe),
            "--engine",
            engine,
            "-o",
            "jsonl",
            "--doze",
        ]
        # A session of its own: Ctrl-C is for us, and the listener ends with its audio.
        listener = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True)
        pcm = sound(SAMPLE_RATE).astype("<i2")
        marks: list[dict[str, Any]] = []
        lines: list[bytes] = []
        sent = 0
        begin = time.monotonic()
        import threading

        def read() -> None:
            assert listener.stdout is not None
            for line in listener.stdout:
                lines[:] = [*lines[-3:], line]

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        process = Path("/proc") / str(listener.pid)
        cut = Stop()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: cut.request("signal"))
        with pipe.open("wb", buffering=0) as out:
            while sent < hours * 3600 * SAMPLE_RATE and not cut.requested:
                at = sent % len(pcm)
                piece = pcm[at : at + 1000]
                out.write(piece.tobytes())
                sent += len(piece)
                time.sleep(max(0.0, begin + sent / SAMPLE_RATE - time.monotonic()))
                if time.monotonic() - begin > (len(marks) + 1) * 60:
                    rss = int((process / "status").read_text().split("VmRSS:")[1].split()[0]) / 1024
                    marks.append({
                        "audio_s": round(sent / SAMPLE_RATE), "rss_mb": round(rss, 3),
                        "descriptors": len(os.listdir(process / "fd")), "threads": len(os.listdir(process / "task")),
                    })  # fmt: skip
        listener.wait(30)
        reader.join(10)
    summary = json.loads(lines[-1])
    if len(marks) < 2:
        raise SystemExit("cut short before two minutes: nothing can be said of that")
    growth = max(mark["rss_mb"] for mark in marks) - marks[0]["rss_mb"]
    checks = {
        "memory grows by less than 1 MB": growth < 1.0,
        "threads constant": len({mark["threads"] for mark in marks}) == 1,
        "descriptors constant": len({mark["descriptors"] for mark in marks}) == 1,
        "every sample heard": summary["samples"]["in"] == sent and summary["lost_samples"] == 0,
    }
    hours = round(sent / SAMPLE_RATE / 3600, 3)
    return {"hours": hours, "growth_mb": round(growth, 3), "marks": marks, "summary": summary, "checks": checks,
            "ok": all(checks.values())}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=length, default=24)
    parser.add_argument("--realtime", action="store_true")
    parser.add_argument("--engine", default="numpy", choices=[*ENGINES])
    parser.add_argument("--out", type=place)
    args = parser.parse_args()
    if args.hours < (least := LEAST_HOURS[args.realtime]):
        raise EdgeSerError(f"--hours must be at least {least:g}: memory that stays flat takes time to show")
    result = (realtime if args.realtime else accelerated)(args.hours, engine=args.engine)
    out = args.out or ROOT / "results" / f"soak{'-realtime' if args.realtime else ''}.json"
    write_json(out, {"machine": describe_machine(), **result})
    for name, holds in result["checks"].items():
        print(f"{'ok  ' if holds else 'NOT '}{name}", file=sys.stderr)
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    run_main(main)
