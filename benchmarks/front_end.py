"""Ours beside other libraries in one process: log-mel of a recording and of a hop, what it costs in memory.

    python -m benchmarks.front_end [--out results/front_end.json] [--rounds 25]

One thread, warm, and interleaved: in each round every implementation runs once, one after the other, and a ratio
is between two runs of one round, so that what else the machine does falls on all alike. Times are the processor's
spent by this process, which others delay but do not add to. Medians and quartiles.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import importlib.metadata
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import benchmarks.one_thread  # noqa: F401

# isort: split
import numpy as np

from benchmarks.accuracy import accuracy
from benchmarks.peers import ALONE, BATCH, FREE, HOP, OURS, Maker
from benchmarks.running import beside_one_another, count, length, place, quartiles, run_main
from edge_ser.corpora.roots import data_root
from edge_ser.dsp import LogMelStream, MelSpec
from edge_ser.errors import EdgeSerError
from edge_ser.files import write_atomic
from firmware_py.machine import describe_machine

ROOT = Path(__file__).resolve().parents[1]
SPEC = MelSpec(win_length=400, n_fft=512, hop_length=160, n_mels=64, padding="none")
OTHER_SPECS = {
    "Wav2Small": MelSpec(win_length=64, n_fft=64, hop_length=32, n_mels=26, padding="none"),
    "n_fft 2048, 128 bands": MelSpec(win_length=2048, n_fft=2048, hop_length=512, n_mels=128, padding="none"),
    "n_fft 16384, 3401 bands": MelSpec(
        win_length=16384, n_fft=16384, hop_length=240, n_mels=3401, fmin=0.0, padding="none"
    ),
}
PACKAGES = ("torch", "librosa", "scipy", "numba", "pymicro-features", "kaldi-native-fbank", "opensmile")
RATE = 16000


def speech_like(seconds: float) -> np.ndarray:
    """Noise of speech's level: no implementation's time depends on what it hears."""
    return np.random.default_rng(0).normal(0, 0.1, int(seconds * RATE)).astype(np.float32)


def compared(runs: dict[str, Callable[[], Any]], frames: int, rounds: int) -> list[dict[str, Any]]:
    """Every run in every round: microseconds a frame, and the ratio to ours in the same round."""
    took = beside_one_another(runs, rounds)
    times = {name: [1e3 * ms / frames for ms in own] for name, own in took.items()}
    ours = times[OURS]
    return [
        {
            "name": name,
            "us": quartiles(spent),
            "least_us": float(f"{min(spent):.4g}"),
            "times_ours": quartiles(a / b for a, b in zip(spent, ours, strict=True)),
        }
        for name, spent in times.items()
    ]


def made(makers: dict[str, Maker], names: Iterable[str], spec: MelSpec, absent: set[str]) -> dict[str, Any]:
    """The implementations that are installed."""
    runs = {}
    for name in names:
        try:
            runs[name] = makers[name](spec)
        except ImportError:
            absent.add(name)
    return runs


def batch(
    spec: MelSpec, names: Iterable[str], seconds: float, rounds: int, absent: set[str]
) -> list[dict[str, Any]]:
    """A whole recording at once."""
    x = speech_like(seconds)
    frames = (len(x) - spec.n_fft) // spec.hop_length + 1
    runs = made(BATCH, names, spec, absent)
    return compared({name: functools.partial(run, x) for name, run in runs.items()}, frames, rounds)


def hops(rounds: int, absent: set[str], count: int = 200) -> list[dict[str, Any]]:
    """10 ms at a time, as they come from a microphone."""
    x = speech_like(count * SPEC.hop_length / RATE)
    pieces = np.split(x, count)

    def all_pieces(run: Callable[[np.ndarray], Any]) -> Callable[[], None]:
        def every() -> None:
            for piece in pieces:
                run(piece)

        return every

    runs = made(HOP, HOP, SPEC, absent)
    return compared({name: all_pieces(run) for name, run in runs.items()}, count, rounds)


def lengths(rounds: int, absent: set[str]) -> list[dict[str, Any]]:
    """Time a frame as recordings grow."""
    names = [OURS, "edge-ser, Numba kernel in float32", "librosa"]
    return [
        {
            "seconds": seconds,
            "runs": batch(SPEC, names, seconds, max(3, min(rounds, int(rounds * 10 / seconds))), absent),
        }
        for seconds in (1, 10, 600)
    ]


def resident_mb() -> float:
    """Memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def stream_here(hours: float) -> dict[str, Any]:
    """Audio that never is in memory whole, in pushes of 250 ms: time, and memory along the way."""
    stream, block = LogMelStream(SPEC), speech_like(0.25)
    pushes = max(20, int(hours * 3600 / 0.25))
    frames, memory = 0, []
    start = time.process_time()
    for i in range(pushes):
        frames += len(stream.push(block))
        if i % (pushes // 20) == pushes // 40:
            memory.append(round(resident_mb(), 2))
    spent = time.process_time() - start
    return {
        "hours": hours,
        "frames": frames,
        "us": float(f"{spent / frames * 1e6:.4g}"),
        "resident_mb": {"first": memory[0], "last": memory[-1], "growth": round(max(memory) - memory[0], 2)},
    }


def streamed(hours: float) -> dict[str, Any]:
    """`stream_here` in a process that has done nothing else."""
    code = (
        f"import json; from benchmarks.front_end import stream_here; print(json.dumps(stream_here({hours})))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def memory_alone(absent: set[str]) -> list[dict[str, Any]]:
    """Peak memory of a fresh process that does hops in one way and nothing else."""
    rows = []
    for name, code in ALONE.items():
        if name in absent:
            continue
        code += (
            "\nprint([line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')][0])"
        )
        run = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        rows.append({"name": name, "peak_mb": round(int(run.stdout) / 1000, 1)})
    return rows


def accuracy_where_there_is_speech() -> list[dict[str, Any]]:
    """Empty where no corpus is at hand."""
    try:
        return accuracy(data_root(), SPEC)
    except (EdgeSerError, ImportError) as error:
        print(f"accuracy is left out: {error}", file=sys.stderr)
        return []


def versions() -> dict[str, str]:
    """Of the libraries that are installed."""
    found = {}
    for name in (*PACKAGES, "python_speech_features"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def main() -> None:
    """Run all and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=place, default=ROOT / "results" / "front_end.json", help="the file to write"
    )
    parser.add_argument("--rounds", type=count, default=25, help="runs of each, default 25")
    parser.add_argument("--hours", type=length, default=5.0, help="audio to stream, default 5")
    args = parser.parse_args()
    absent: set[str] = set()

    def said(what: str, result: Any) -> Any:
        print(f"{what}: done", file=sys.stderr)
        return result

    few = max(3, args.rounds // 5)
    sizes = [2**k for k in range(6, 15)]
    results = {
        "machine": describe_machine(),
        "packages": versions(),
        "threads": 1,
        "rounds": args.rounds,
        "spec": SPEC.to_dict(),
        "batch_10_s": said("a recording of 10 s", batch(SPEC, BATCH, 10, args.rounds, absent)),
        "hop_10_ms": said("hops", hops(args.rounds, absent)),
        "specs": said(
            "other specs",
            [
                {"name": name, "spec": spec.to_dict(), "runs": batch(spec, FREE[:4], 10, few, absent)}
                for name, spec in OTHER_SPECS.items()
            ],
        ),
        "n_fft": said(
            "every n_fft",
            [
                {
                    "n_fft": n,
                    "runs": batch(
                        dataclasses.replace(SPEC, win_length=n, n_fft=n, hop_length=n // 4),
                        FREE,
                        10,
                        few,
                        absent,
                    ),
                }
                for n in sizes
            ],
        ),
        "lengths": said("lengths", lengths(args.rounds, absent)),
        "streamed": said("a long stream", streamed(args.hours)),
        "memory": said("memory", memory_alone(absent)),
        "accuracy": said("accuracy", accuracy_where_there_is_speech()),
        "absent": sorted(absent),
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(args.out, (json.dumps(results, indent=1) + "\n").encode())
    print(args.out)


if __name__ == "__main__":
    run_main(main)
