"""What the streaming student costs beside Wav2Small 72 K that hears five seconds again four times a second.

Both run in this one process, in turns, on one thread: the model (front end and engine), and all of the pipeline that
listens (gate and decision besides, a tenth of a millisecond of Python that the peer hardly feels). What counts is the
processor's time, so that other programs of the machine take no part in the ratio.

    python -m benchmarks.beside_wav2small --out results/beside-wav2small.json
"""

from __future__ import annotations

import benchmarks.one_thread  # noqa: F401  isort: skip
import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.running import count, place, run_main
from edge_ser.bundle import Bundle
from edge_ser.commands._output import write_table
from edge_ser.files import write_json
from firmware_py.engines import open_engine
from firmware_py.machine import describe_machine
from firmware_py.pipeline import Pipeline, front_end

#: The project's limit: the student's part of the peer's processor time.
BAR = 1 / 50
CHECKPOINT = Path("results/ravdess-six/fold0-seed0.safetensors")
PRECISIONS = ("fp32", "int8")
_WARM_UP = 20  # the student's steps; the peer's are as many seconds


def student(folder: Path) -> Bundle:
    """The student of `CHECKPOINT` for each engine, in fp32 and int8."""
    from export.calibration import calibrate_on_sample
    from export.exporter import unchecked_bundle
    from export.formats import format_for
    from firmware_py.engines import ENGINES

    rows = [format_for(engine, precision) for engine in ENGINES for precision in PRECISIONS]
    return unchecked_bundle(
        CHECKPOINT, folder / "student", rows, lambda _, spec, frames: calibrate_on_sample(spec, frames)
    )


class Runner:
    """A model alone and in its pipeline, and the processor's time that a step of each took."""

    def __init__(self, bundle: Bundle, engine: str, precision: str) -> None:
        self.name = (bundle.name, engine, precision)
        self._engine = open_engine(bundle, engine, precision)
        self._pipeline, self._front = Pipeline(bundle, self._engine), front_end(bundle)
        self._state = self._engine.initial_state()
        size = self._pipeline.step_samples
        # Noise: the cost of a step does not depend on what is heard, and silence could meet denormal numbers.
        self._audio = np.random.default_rng(0).normal(0, 0.1, (16, size)).astype(np.float32)
        self.ms: dict[str, list[float]] = {"model": [], "pipeline": []}
        self.run(_WARM_UP)
        self.ms = {"model": [], "pipeline": []}

    def _model(self, audio: np.ndarray) -> None:
        _, self._state = self._engine.step(self._front.push(audio), self._state)

    def run(self, steps: int) -> None:
        """Do so many steps in each way and note their mean."""
        for name, push in (("model", self._model), ("pipeline", self._pipeline.push)):
            start = time.process_time()
            for number in range(steps):
                push(self._audio[number % len(self._audio)])
            self.ms[name].append((time.process_time() - start) / steps * 1e3)

    def median(self, name: str) -> float:
        """Over the rounds, in milliseconds."""
        return statistics.median(self.ms[name])


def measure(rounds: int, folder: Path) -> dict[str, Any]:
    """All contestants in turns; ratios are of medians over the rounds, and the least and greatest of a round."""
    from export.peers import write_peer

    peer = Runner(write_peer("wav2small-72k", folder), "onnx", "fp32")
    ours = student(folder)
    runners = [Runner(ours, *pair) for pair in ours.variants()]
    for _ in range(rounds):
        peer.run(4)
        for runner in runners:
            runner.run(100)
    rows = []
    for runner in runners:
        row: dict[str, Any] = {"engine": runner.name[1], "precision": runner.name[2]}
        for name in runner.ms:
            ratios = sorted(a / b for a, b in zip(peer.ms[name], runner.ms[name], strict=True))
            row |= {
                f"{name}_ms": round(runner.median(name), 4),
                f"{name}_cheaper": round(peer.median(name) / runner.median(name), 1),
                f"{name}_by_round": [round(ratios[0], 1), round(ratios[-1], 1)],
                f"{name}_ok": runner.median(name) <= BAR * peer.median(name),
            }
        rows.append(row)
    return {
        "peer": {"model": "wav2small-72k", "engine": "onnx", "precision": "fp32", "window_s": 5.0, "hop_s": 0.25,
                 **{f"{name}_ms": round(peer.median(name), 3) for name in peer.ms}},
        "bar": BAR,
        "rounds": rounds,
        "runs": rows,
        "machine": describe_machine(),
    }  # fmt: skip


def main() -> int:
    """Measure, print, write; 1 where no engine keeps the limit in its whole pipeline."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=count, default=20, help="(default %(default)s)")
    parser.add_argument("--out", type=place, metavar="FILE", help="write the figures as JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(args.rounds, Path(folder))
    write_table(result["runs"], "md")
    print(f"\nof {result['peer']['pipeline_ms']:.2f} ms that Wav2Small takes four times a second")
    if args.out is not None:
        write_json(args.out, result)
    return 0 if any(row["pipeline_ok"] for row in result["runs"]) else 1


if __name__ == "__main__":
    run_main(main)
