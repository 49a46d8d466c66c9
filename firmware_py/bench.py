"""What a bundle costs here: size, start, latency, duty cycle and memory of every engine that can run it.

Every round starts each engine once in a process of its own, one after the other: memory and start-up are those of a
fresh process, one engine never warms the machine for another, and a disturbance meets them all.
"""

from __future__ import annotations

import functools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_ser.errors import EdgeSerError

from .bench_child import WARM_UP
from .engines import ENGINES

if TYPE_CHECKING:
    from edge_ser.bundle import Bundle

__all__ = ["candidates", "failure", "figures", "measure", "run_child"]

_TIME_LIMIT_S = 600


def candidates(
    bundle: Bundle, engines: Sequence[str] = (), precisions: Sequence[str] = ()
) -> list[tuple[str, str]]:
    """(engine, precision) pairs to measure: what the bundle holds, and fp32 of engines that it holds nothing for.

    Parameters
    ----------
    bundle : Bundle
        The model.
    engines, precisions : sequence of str
        Only these; all when empty.
    """
    variants = bundle.variants()
    held = {engine for engine, _ in variants}
    pairs = [pair for name in ENGINES for pair in variants if pair[0] == name]
    pairs += [(name, "fp32") for name in ENGINES if name not in held]
    return [
        (engine, precision)
        for engine, precision in pairs
        if (not engines or engine in engines) and (not precisions or precision in precisions)
    ]


def measure(
    bundle: Bundle,
    pairs: Sequence[tuple[str, str]],
    *,
    rounds: int = 3,
    steps: int = 200,
    realtime: bool = False,
    progress: Callable[[str], None] | None = None,
) -> list[dict[str, Any]]:
    """Measure engines, interleaved.

    Parameters
    ----------
    bundle : Bundle
        The model.
    pairs : sequence of (str, str)
        Engine and precision, as `candidates` gives them.
    rounds : int
        Processes started for each pair; at least 1.
    steps : int
        Steps timed in each, after a warm-up of 20; at least 1.
    realtime : bool
        Wait for each step as if it were heard: what a mostly sleeping processor takes. Otherwise one step follows
        another.
    progress : callable, optional
        Called with a phrase before each process.

    Returns
    -------
    list of dict
        One for each pair, in order: ``engine``, ``precision``, ``ok``, ``reason`` (None, or why there is no
        figure), ``missing`` (a package is not installed, or the bundle holds no file), and, where ``ok``,
        ``file_kb``, ``import_ms``, ``load_ms``, ``first_answer_ms`` (from the start of the process; medians),
        ``step_ms`` and its parts ``front_end_ms`` and ``engine_ms`` (p50, p95, p99 over all rounds),
        ``front_end_share``, ``cpu_ms`` of a step over all threads, ``duty_cycle`` (that by the step's length in
        time: the share of one core), ``rss_mb`` (import, load, peak: the highest of the rounds), ``memory_by_part``
        (MiB that the interpreter, NumPy, our modules, the runtime, the model and running add), ``package_w`` (watts
        of the whole processor meanwhile, where it has a counter), ``board_w`` (of a Raspberry Pi 5's rails, where its
        firmware tells), ``macs_per_s``, ``steps``.
    """
    if rounds < 1 or steps < 1:
        raise EdgeSerError(f"bench needs at least one round and one step, not {rounds} and {steps}")
    results: dict[tuple[str, str], list[dict[str, Any]]] = {pair: [] for pair in pairs}
    held = set(bundle.variants())
    # At the pace of speech a round takes its audio's time, however well all goes.
    limit_s = _TIME_LIMIT_S + ((WARM_UP + steps) * bundle.step_s if realtime else 0)
    for number in range(rounds):
        for pair in pairs:
            if pair not in held:
                results[pair] = [{"error": f"the bundle holds no file for {' '.join(pair)}", "missing": True}]
            elif not any("error" in result for result in results[pair]):
                if progress is not None:
                    progress(f"{' '.join(pair)}, round {number + 1} of {rounds}")
                arguments = [str(bundle.path), *pair, str(steps), str(int(realtime))]
                results[pair].append(run_child("firmware_py.bench_child", arguments, limit_s=limit_s))
    return [_summary(bundle, pair, results[pair]) for pair in pairs]


def run_child(module: str, arguments: Sequence[str], *, limit_s: float = _TIME_LIMIT_S) -> dict[str, Any]:
    """One process that measures; its result, or ``{"error": sentence, "missing": bool}``, also after `limit_s` seconds.

    The last argument that it gets is `time.monotonic` when it was asked for.
    """
    root = str(Path(__file__).resolve().parents[1])
    env = dict(os.environ)
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [root, env.get("PYTHONPATH")]))
    # As the command line sets them for whatever runs on a device.
    env.setdefault("OPENBLAS_NUM_THREADS", "1")
    env.setdefault("OMP_NUM_THREADS", "1")
    command = [sys.executable, "-m", module, *arguments, repr(time.monotonic())]
    try:
        run = subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit_s,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"error": f"no result after {limit_s:g} s", "missing": False}
    if run.returncode != 0 or not run.stdout:
        last = (run.stderr.strip() or "no message").splitlines()[-1]
        ended = f"signal {-run.returncode}" if run.returncode < 0 else f"status {run.returncode}"
        return {"error": f"the process ended with {ended}: {last}", "missing": False}
    result: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return result


def failure(rounds: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """What a row says where a round has failed; None where none has."""
    failed = next((result for result in rounds if "error" in result), None)
    return failed and {"ok": False, "reason": failed["error"], "missing": failed["missing"]}


def figures(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the rounds of anything that was measured have in common; see `measure`."""

    def median(key: str) -> float:
        return round(statistics.median(result[key] for result in rounds), 3)

    cpu_ms = statistics.fmean(result["cpu_ms"] for result in rounds)
    return {
        "ok": True,
        "reason": None,
        "missing": False,
        "import_ms": median("import_ms"),
        "load_ms": median("load_ms"),
        "first_answer_ms": median("first_answer_ms"),
        "step_ms": _percentiles([value for result in rounds for value in result["step_ms"]]),
        "cpu_ms": round(cpu_ms, 4),
        "duty_cycle": round(cpu_ms / 1e3 / rounds[0]["step_s"], 5),
        "rss_mb": {
            stage: round(max(result["rss_mb"][stage] for result in rounds), 1)
            for stage in ("import", "load", "peak")
        },
        "steps": sum(len(result["step_ms"]) for result in rounds),
    }


def _summary(bundle: Bundle, pair: tuple[str, str], rounds: list[dict[str, Any]]) -> dict[str, Any]:
    head = {"engine": pair[0], "precision": pair[1]}
    failed = failure(rounds)
    if failed is not None:
        return head | failed
    row = head | figures(rounds)
    front, engine = (
        _percentiles([value for result in rounds for value in result[key]])
        for key in ("front_end_ms", "engine_ms")
    )
    return row | {
        "file_kb": round(bundle.file(*pair).stat().st_size / 1000, 1),
        "front_end_ms": front,
        "engine_ms": engine,
        "front_end_share": round(front["p50"] / row["step_ms"]["p50"], 3),
        "memory_by_part": _parts(rounds),
        "package_w": _mean_or_none([result["package_w"] for result in rounds]),
        "board_w": _mean_or_none([result["board_w"] for result in rounds]),
        "macs_per_s": bundle.macs_per_second,
    }


def _parts(rounds: list[dict[str, Any]]) -> dict[str, float]:
    """What each part adds to memory; medians over the rounds."""
    parts: dict[str, float] = {}
    before = interpreter_mb()
    parts["interpreter"] = round(before, 1)
    for name in rounds[0]["held_mb"]:
        held = statistics.median(result["held_mb"][name] for result in rounds)
        parts[name] = round(held - before, 1)
        before = held
    return parts


@functools.cache
def interpreter_mb() -> float:
    """Memory of this interpreter with nothing imported, in MiB; 0 where the system does not tell."""
    code = "print(open('/proc/self/status').read().split('VmRSS:')[1].split()[0])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return int(run.stdout) / 1024 if run.returncode == 0 else 0.0


def _mean_or_none(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.fmean(known), 3) if known else None


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    p50, p95, p99 = np.percentile(values, [50, 95, 99])
    return {"p50": round(float(p50), 4), "p95": round(float(p95), 4), "p99": round(float(p99), 4)}
