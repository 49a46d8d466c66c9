"""A batch of the student's training by its compiled layers, beside the same network in torch's own, in one process.

    python -m benchmarks.training_step [--out results/training_step.json] [--rounds 25]

One thread, warm, and interleaved: in each round each runs once, one after the other, and a ratio is between two runs of
one round, so that what else the machine does falls on all alike. Times are those of this process on the processor. A
batch is 32 crops of three seconds, forth and back, without what prepares it and without the optimiser.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import benchmarks.one_thread  # noqa: F401

# isort: split
import torch
from torch import Tensor

from benchmarks.running import beside_one_another, count, place, quartiles, run_main
from edge_ser.files import write_json
from edge_ser.models.stream72k import Stream72k, Stream72kConfig
from edge_ser.training.memory import keep_freed_memory
from firmware_py.machine import describe_machine

ROOT = Path(__file__).resolve().parents[1]
#: Shapes of the recipes: that of the shipped student, and that of recipes/ravdess-distil.toml.
SHAPES = {"frames halved in the stem": 1, "frames halved behind it": -1}


class Plain(Stream72k):
    """The student with its training pass as inference has it."""

    def _training_trunk(self, features: Tensor) -> Tensor:
        return self.trunk(features, self.initial_state(len(features)))[0]


def batch(model: Stream72k, *, half: bool) -> Callable[[], None]:
    """One batch forth and back."""
    model = model.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    chance = torch.Generator().manual_seed(0)
    features = torch.randn(32, 300 - 300 % 20, 64, generator=chance)
    frames = torch.full((32,), features.shape[1])

    def run() -> None:
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            pooled = model.pool(features, frames)
        adv, logits = model.answer(pooled.float())
        (adv.sum() + logits.square().mean()).backward()

    return run


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=place, default=ROOT / "results" / "training_step.json")
    parser.add_argument("--rounds", type=count, default=25)
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as a training does
    rows = []
    for shape, halve in SHAPES.items():
        config = Stream72kConfig(labels=tuple("abcdefgh"), n_mels=64, stem=(8, 16), halve=halve)
        for half in (False, True):
            runs = {
                name: batch(kind(config), half=half) for name, kind in (("ours", Stream72k), ("torch", Plain))
            }
            spent = beside_one_another(runs, args.rounds, warm=2)  # the first compile
            ratios = (a / b for a, b in zip(spent["torch"], spent["ours"], strict=True))
            rows.append(
                {
                    "shape": shape,
                    "precision": "bfloat16" if half else "float32",
                    "ms": {name: quartiles(times) for name, times in spent.items()},
                    "times_ours": quartiles(ratios),
                }
            )
            print(f"{rows[-1]}", file=sys.stderr)
    write_json(args.out, {"machine": describe_machine(), "rounds": args.rounds, "rows": rows})
    return 0


if __name__ == "__main__":
    run_main(main)
