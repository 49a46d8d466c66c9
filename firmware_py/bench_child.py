"""One round of `firmware_py.bench`, in a process of its own, since memory and start-up can be measured only once.

Run as ``python -m firmware_py.bench_child FOLDER ENGINE PRECISION STEPS REALTIME STARTED``; writes one JSON line.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from edge_ser.errors import EdgeSerError, MissingExtraError

if TYPE_CHECKING:
    import numpy as np

    from firmware_py.engines import Engine, Outputs, State

WARM_UP = 20
# Imported before "load" is measured; an engine that is not here has its runtime counted as part of the load.
_RUNTIMES = {"litert": ("ai_edge_litert.interpreter", "tflite_runtime.interpreter"), "onnx": ("onnxruntime",)}


class _Timed:
    """An engine that notes how long each step took."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name, self.precision = engine.name, engine.precision
        self.initial_state = engine.initial_state
        self.seconds: list[float] = []

    def step(self, features: np.ndarray, state: State) -> tuple[Outputs, State]:
        start = time.perf_counter()
        result = self._engine.step(features, state)
        self.seconds.append(time.perf_counter() - start)
        return result


def measure(
    folder: str, engine: str, precision: str, steps: int, realtime: bool, started: float
) -> dict[str, Any]:
    """Import, load, answer once, then time `steps` steps.

    `started` is the parent's `time.monotonic()` when it asked for this process; that clock is one for the system.
    """
    import importlib
    from importlib.util import find_spec

    begin = time.perf_counter()
    # By part: what each import adds, in the order in which a listener needs them. The meter itself needs NumPy, so
    # the bare interpreter is measured in a process of its own (see `firmware_py.bench`).
    import numpy as np

    from firmware_py.meter import peak_rss_mb, rss_mb

    held = {"numpy": rss_mb()}
    from edge_ser.bundle import load_bundle
    from firmware_py.energy import energy_uj, pmic_w
    from firmware_py.engines import open_engine
    from firmware_py.pipeline import Pipeline, front_end

    held["ours"] = rss_mb()
    for name in _RUNTIMES.get(engine, ()):
        if find_spec(name.partition(".")[0]) is not None:
            importlib.import_module(name)
            break
    imported = time.perf_counter()
    rss_import = held["runtime"] = rss_mb()

    bundle = load_bundle(folder)
    timed = _Timed(open_engine(bundle, engine, precision))
    pipeline = Pipeline(bundle, timed)
    loaded = time.perf_counter()
    rss_load = held["model"] = rss_mb()

    # Noise: the cost of a step does not depend on what is heard, and silence could meet denormal numbers.
    rng = np.random.default_rng(0)
    audio = rng.normal(0, 0.1, (16, pipeline.step_samples)).astype(np.float32)
    pipeline.push(audio[0])
    first_answer = time.monotonic() - started

    step_s = pipeline.step_samples / bundle.spec.sample_rate
    front = front_end(bundle)
    seconds, front_seconds, cpu = [], [], 0.0
    due = time.monotonic()
    energy = energy_uj()
    began = time.monotonic()
    for i in range(WARM_UP + steps):
        if realtime:
            due += step_s
            time.sleep(max(0.0, due - time.monotonic()))
        block = audio[i % len(audio)]
        cpu_start, start = time.process_time(), time.perf_counter()
        pipeline.push(block)
        seconds.append(time.perf_counter() - start)
        cpu += (time.process_time() - cpu_start) * (i >= WARM_UP)
        start = time.perf_counter()
        front.push(block)  # the front end alone, once more, beside the step that it is a part of
        front_seconds.append(time.perf_counter() - start)
    spent = None if energy is None else (energy_uj() or 0.0) - energy
    began = time.monotonic() - began
    held["running"] = peak_rss_mb()
    board = pmic_w(lambda: pipeline.push(audio[0])) if spent is None else None
    return {
        "held_mb": held,
        # Of the whole package, whatever else it does; a counter that ran over is no figure.
        "package_w": None if spent is None or spent <= 0 else spent / 1e6 / began,
        # Of a Raspberry Pi 5's rails while one step follows another, after what was timed.
        "board_w": board,
        "import_ms": (imported - begin) * 1e3,
        "load_ms": (loaded - imported) * 1e3,
        "first_answer_ms": first_answer * 1e3,
        "rss_mb": {"import": rss_import, "load": rss_load, "peak": peak_rss_mb()},
        "step_s": step_s,
        "step_ms": [value * 1e3 for value in seconds[WARM_UP:]],
        "front_end_ms": [value * 1e3 for value in front_seconds[WARM_UP:]],
        "engine_ms": [value * 1e3 for value in timed.seconds[-steps:]],
        "cpu_ms": cpu / steps * 1e3,
    }


def main(argv: list[str]) -> int:
    """Measure and write the result, or why there is none."""
    import json

    folder, engine, precision, steps, realtime, started = argv
    try:
        result = measure(folder, engine, precision, int(steps), realtime == "1", float(started))
    except EdgeSerError as error:
        result = {"error": str(error), "missing": isinstance(error, MissingExtraError)}
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
