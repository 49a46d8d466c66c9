"""What the listening process costs: memory, start, duty cycle, latency, as a person runs it.

    python -m benchmarks.listening                results/listening.json, in five minutes; needs PulseAudio
    python -m benchmarks.listening --starts       the starts anew; what the file holds of the runs stays

Each way is `edge-ser listen` in a process of its own that hears a virtual microphone at the pace of speech, its
standard output a pipe that somebody reads. Memory is the peak of the process and, with arecord, of its child; start is
from the start of the process to the first answer, a quarter of a second of which is the first step's own audio; duty
cycle is processor time by audio time, children's counted; latency is from the arrival of a step's last sample to its
answer written. One other core is kept busy meanwhile (not for the starts; `--idle`: nor for the runs). What else the
machine did stands beside each run as the cores that were busy in all, that one and the sound server's part included:
much over one and no latency of that run says anything of ours. Where cgroups allow it, one run is held to 64 MB.
"""

from __future__ import annotations

import benchmarks.one_thread  # noqa: F401  isort: skip - one core is kept busy, not two
import argparse
import json
import multiprocessing
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from benchmarks.running import earlier, length, place, run_main
from benchmarks.soak import sound
from benchmarks.virtual_microphone import VirtualMicrophone
from edge_ser.audio import SAMPLE_RATE, write_wav
from edge_ser.errors import EdgeSerError
from edge_ser.files import parse_json_object, write_json
from firmware_py.machine import describe_machine

ROOT = Path(__file__).parents[1]
#: source, engine, may doze, memory limit in MB, hears a quiet room, ALSA lists the server alone
RUNS = (
    ("arecord", "numpy", False, None, False, False),
    ("arecord", "numpy", True, None, True, False),
    ("arecord", "numpy", True, 64, False, False),
    ("mic", "litert", False, None, False, False),
    ("mic", "litert", True, None, True, False),
    ("mic", "litert", False, None, False, True),
    ("mic", "numpy", False, None, False, True),
)


class Sound(VirtualMicrophone):
    """A virtual microphone, and the least of ALSA that hears it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        # ALSA with the server alone. What Debian lists beside it, PortAudio asks in turn, and the a52 encoder of
        # libasound2-plugins brings libavcodec with all its friends.
        (folder / "alsa.conf").write_text("pcm.default {type pulse}\nctl.default {type pulse}\n")
        self.lean = self.env | {"ALSA_CONFIG_PATH": str(folder / "alsa.conf")}


def listen(
    source: str,
    engine: str,
    seconds: float,
    env: Mapping[str, str],
    *,
    doze: bool = False,
    limit_mb: int | None = None,
) -> dict[str, Any]:
    """One run; its figures."""
    command = [sys.executable, "-m", "edge_ser", "listen", source, "--engine", engine, "-o", "jsonl"]
    command += [
        "--rate",
        "16000",
    ]  # the server's; without its name in ALSA's list the hardware's would be taken
    command += ["--duration", str(seconds), *(["--doze"] if doze else [])]
    group = cgroup(limit_mb) if limit_mb else None

    def enter() -> None:
        if group is not None:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    worked, began = machine_s(), time.monotonic()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=env,
        preexec_fn=enter,  # noqa: PLW1509
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    answered = time.monotonic() - began
    before = os.times()
    rest, words = process.communicate()
    after = os.times()
    busy = (machine_s() - worked) / (time.monotonic() - began)
    if group is not None:
        group.rmdir()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: {words.decode().splitlines()[-1:]}")
    lines = [json.loads(line) for line in [first, *rest.splitlines()]]
    summary, answers = lines[-1], [line for line in lines if line["type"] == "prediction"]
    memory = summary["rss_mb"]
    return {
        "source": source, "engine": engine, "doze": doze, "limit_mb": limit_mb,
        "first_answer_s": round(answered, 3),
        "peak_mb": memory["peak"], "children_mb": memory.get("children", 0.0),
        "total_mb": round(memory["peak"] + memory.get("children", 0.0), 1),
        "duty_cycle": summary["duty_cycle"],
        # All that the process and its child took from start to end, start-up too.
        "whole_cpu_s": round(sum(after[2:4]) - sum(before[2:4]), 3),
        "latency_ms": summary["latency_ms"], "cores_busy": round(busy, 2),
        "answers": len(answers), "silent": sum(line["state"] == "silence" for line in answers),
        "samples": summary["samples"],
    }  # fmt: skip


def machine_s() -> float:
    """Processor time that the whole machine has worked, in seconds."""
    user, nice, system, _, _, irq, soft = map(int, Path("/proc/stat").read_text().split(None, 8)[1:8])
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


def start(engine: str) -> float:
    """From the start of the process to the first answer, with PCM that comes from the first moment on."""
    command = [sys.executable, "-m", "edge_ser", "listen", "-", "--engine", engine, "-o", "jsonl"]
    began = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, bufsize=0)
    assert process.stdin is not None and process.stdout is not None
    sent, line = 0, b""
    while not line:
        # At the pace of speech: a microphone does not give a quarter of a second at once either.
        due = int((time.monotonic() - began) * SAMPLE_RATE)
        process.stdin.write(bytes(2 * (due - sent)))
        sent = due
        if select.select([process.stdout], [], [], 0.002)[0]:
            line = process.stdout.readline()
    took = time.monotonic() - began
    process.kill()
    process.wait()
    return round(took, 3)


def starts() -> dict[str, list[float]]:
    """From the start of the process to the first answer, five times each; in seconds, sorted."""
    heard = {engine: sorted(start(engine) for _ in range(5)) for engine in ("numpy", "litert")}
    with tempfile.TemporaryDirectory() as name:
        server = Sound(Path(name))
        try:
            for source, engine in (("arecord", "numpy"), ("mic", "litert")):
                times = [listen(source, engine, 1, server.lean)["first_answer_s"] for _ in range(5)]
                heard[f"{source}, {engine}"] = sorted(times)
        finally:
            server.kill()
    return heard


def cgroup(limit_mb: int) -> Path | None:
    """A memory cgroup (v2) with a limit; None where none can be made."""
    root = Path("/sys/fs/cgroup")
    folder = root / "edge-ser-bench"
    try:
        if (root / "cgroup.controllers").exists():
            if "memory" not in (root / "cgroup.subtree_control").read_text():
                (root / "cgroup.subtree_control").write_text("+memory")
            folder.mkdir(exist_ok=True)
            (folder / "memory.max").write_text(str(limit_mb << 20))
            if (folder / "memory.swap.max").exists():
                (folder / "memory.swap.max").write_text("0")
            return folder
        folder = root / "memory" / "edge-ser-bench"
        folder.mkdir(exist_ok=True)
        (folder / "memory.limit_in_bytes").write_text(str(limit_mb << 20))
        return folder
    except OSError as error:
        print(f"no memory limit can be set here ({error})", file=sys.stderr)
        return None


def burn() -> NoReturn:
    while True:
        np.linalg.svd(np.ones((60, 60)))


def bars(runs: Sequence[Mapping[str, Any]], started: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """What issue 7 asks of listening, and whether it holds."""

    def worst(value: Callable[[Mapping[str, Any]], float], **wanted: Any) -> float:
        found = [value(run) for run in runs if all(run[key] == wish for key, wish in wanted.items())]
        return max(found)

    def duty(run: Mapping[str, Any]) -> float:
        return round(100 * run["duty_cycle"], 3)

    start = max(sorted(times)[len(times) // 2] for times in started.values())
    rows = [
        ("MB at most, arecord and NumPy", 45, worst(lambda run: run["total_mb"], source="arecord", engine="numpy")),
        ("MB at most, PortAudio and LiteRT", 60, worst(lambda run: run["total_mb"], source="mic", engine="litert")),
        ("s to the first answer, median of five", 1.5, start),
        ("% of a core, four answers a second", 1.0, worst(duty, doze=False)),
        ("% of a core, gate closed", 0.3, worst(duty, sound="silence")),
        ("ms from hop to answer, p99", 10.0, worst(lambda run: run["latency_ms"]["p99"])),
        ("samples lost", 0, worst(lambda run: sum(run["samples"]["lost"].values()))),
    ]  # fmt: skip
    return [
        {"bar": bar, "limit": limit, "worst": figure, "ok": figure <= limit} for bar, limit, figure in rows
    ]


def measure(seconds: float, busy: bool) -> list[dict[str, Any]]:
    """Every one of `RUNS`, in turn."""
    runs = []
    burner = multiprocessing.Process(target=burn, daemon=True)
    if busy:
        burner.start()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        speech = sound(SAMPLE_RATE)[: len(sound(SAMPLE_RATE)) // 2].astype(np.float32) / 32768
        write_wav(folder / "speech.wav", np.tile(speech, 2 + int(seconds * SAMPLE_RATE // len(speech) + 1)))
        server = Sound(folder)
        try:
            for source, engine, doze, limit, quiet, lean in RUNS:
                player = None if quiet else server.playing(folder / "speech.wav")
                env = server.lean if lean else server.env
                run = {"alsa": "the server alone" if lean else "all that Debian lists"}
                run |= listen(source, engine, seconds, env, doze=doze, limit_mb=limit)
                if player is not None:
                    player.send_signal(signal.SIGTERM)
                    player.wait()
                runs.append({"sound": "silence" if quiet else "speech", **run})
                print(json.dumps(runs[-1]), file=sys.stderr)
        finally:
            server.kill()
            if busy:
                burner.kill()
    return runs


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=length, default=30, help="of each run (default %(default)s)")
    parser.add_argument("--idle", action="store_true", help="keep no other core busy")
    parser.add_argument("--out", type=place, default=ROOT / "results" / "listening.json")
    parser.add_argument("--starts", action="store_true", help="only how long it takes to start")
    args = parser.parse_args()
    if missing := [
        name for name in ("pulseaudio", "paplay", "pactl", "arecord") if shutil.which(name) is None
    ]:
        raise SystemExit(
            f"{', '.join(missing)} not installed (apt install pulseaudio pulseaudio-utils alsa-utils)"
        )
    kept = {}
    if args.starts:  # five minutes of runs that it goes beside, looked for before a minute is spent
        if not args.out.is_file():
            raise EdgeSerError(
                f"{args.out} is not there, and --starts goes beside its runs: leave --starts out"
            )
        earlier(args.out, "runs", "total_mb", "duty_cycle")
        kept = parse_json_object(args.out.read_bytes(), str(args.out))
    load = os.getloadavg()[0]
    document: dict[str, Any] = {"start_s": starts(), "start_load": load}
    print(json.dumps(document), file=sys.stderr)
    if args.starts:
        document = kept | document
    else:
        busy = not args.idle
        document |= {"machine": describe_machine(), "busy": busy, "seconds": args.seconds, "load": load}
        document["runs"] = measure(args.seconds, busy)
    document["bars"] = bars(document["runs"], document["start_s"])
    for row in document["bars"]:
        print(
            f"{'ok  ' if row['ok'] else 'NOT '}{row['bar']}: {row['worst']} ({row['limit']})", file=sys.stderr
        )
    write_json(args.out, document)
    return 0 if all(row["ok"] for row in document["bars"]) else 1


if __name__ == "__main__":
    run_main(main)
