"""CTC's loss and gradient, ours beside torch's in one process: time and agreement.

    python -m benchmarks.ctc [--out results/ctc.json] [--rounds 25]

One thread, warm, and interleaved: in each round both run once, one after the other, and a ratio is between two runs of
one round, so that what else the machine does falls on both alike. Times are the processor's spent by this process,
which others delay but do not add to. Medians and quartiles. `float32_error` is how far torch's own gradient in float32
is from its gradient in float64; ours rounds alike.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import benchmarks.one_thread  # noqa: F401

# isort: split
import torch
from torch import Tensor

from benchmarks.running import beside_one_another, count, place, quartiles, run_main
from edge_ser.files import write_json
from edge_ser.training.ctc import ctc_align, ctc_loss
from firmware_py.machine import describe_machine

ROOT = Path(__file__).resolve().parents[1]
#: Frames, sequences, classes and labels: from a word to a long utterance.
SHAPES = (
    (20, 16, 10, 5),
    (50, 16, 30, 10),
    (100, 32, 30, 30),
    (200, 32, 30, 40),
    (500, 8, 60, 100),
    (100, 1, 30, 30),
)


def inputs(frames: int, batch: int, classes: int, labels: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random log-probabilities and targets of full length."""
    chance = torch.Generator().manual_seed(0)
    log_probs = torch.randn(frames, batch, classes, generator=chance).mul(2).log_softmax(2)
    targets = torch.randint(1, classes, (batch, labels), generator=chance)
    return log_probs, targets, torch.full((batch,), frames), torch.full((batch,), labels)


def both(function: Callable[..., Tensor], log_probs: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
    """Losses and gradient."""
    x = log_probs.clone().requires_grad_()
    losses = function(x, *others, reduction="none")
    losses.sum().backward()
    assert x.grad is not None
    return losses.detach(), x.grad


def plain(log_probs: Tensor, targets: Tensor, frames: Tensor, lengths: Tensor, *, reduction: str) -> Tensor:
    """The same recursion in torch's own operations, with autograd: what Numba was chosen over; of full lengths."""
    assert reduction == "none" and bool(
        (frames == len(log_probs)).all() and (lengths == targets.shape[1]).all()
    )
    batch, states = len(targets), 2 * targets.shape[1] + 1
    chain = torch.zeros(batch, states, dtype=torch.int64)
    chain[:, 1::2] = targets
    leaps = torch.full((batch, states), -math.inf)
    leaps[:, 2:][(chain[:, 2:] != 0) & (chain[:, 2:] != chain[:, :-2])] = 0.0
    said = log_probs.gather(2, chain.expand(len(log_probs), -1, -1))
    floor = -1e30  # the gradient of a sum of minus infinities is NaN
    forward = torch.full((batch, states), floor)
    forward = torch.cat([said[0, :, :2], forward[:, 2:]], 1)
    none = torch.full((batch, 2), floor)
    for t in range(1, len(log_probs)):
        before = torch.cat([none, forward], 1)
        ways = torch.stack([before[:, 2:], before[:, 1:-1], before[:, :-2] + leaps])
        forward = torch.logsumexp(ways.clamp(min=floor), 0) + said[t]
    return -torch.logsumexp(forward[:, -2:], 1)


def measured(shape: tuple[int, int, int, int], rounds: int) -> dict[str, Any]:
    """One shape."""
    arguments = inputs(*shape)
    functions: dict[str, Callable[..., Tensor]] = {
        "ours": ctc_loss,
        "torch": torch.nn.functional.ctc_loss,
        "torch's operations": plain,
    }
    runs: dict[str, Callable[[], Any]] = {
        name: functools.partial(both, function, *arguments) for name, function in functions.items()
    }
    runs["ours, value alone"] = lambda: ctc_loss(*arguments, reduction="none")
    runs["torch, value alone"] = lambda: torch.nn.functional.ctc_loss(*arguments, reduction="none")
    runs["ours, alignment"] = lambda: ctc_align(*arguments)
    results = {name: run() for name, run in runs.items()}
    times = beside_one_another(runs, rounds)
    assert torch.allclose(
        results["torch's operations"][0], results["torch"][0], rtol=1e-5
    )  # a rival that is right
    exact = both(torch.nn.functional.ctc_loss, arguments[0].double(), *arguments[1:])[1]
    (value, slope), (theirs, other) = results["ours"], results["torch"]
    return {
        **dict(zip(("frames", "batch", "classes", "labels"), shape, strict=True)),
        "ms": {name: quartiles(spent) for name, spent in times.items()},
        "times_torch": quartiles(a / b for a, b in zip(times["ours"], times["torch"], strict=True)),
        "plain_times_torch": quartiles(
            a / b for a, b in zip(times["torch's operations"], times["torch"], strict=True)
        ),
        "value_alone_times_torch": quartiles(
            a / b for a, b in zip(times["ours, value alone"], times["torch, value alone"], strict=True)
        ),
        "largest_difference": {
            "loss": float((value - theirs).abs().max()),
            "gradient": float((slope - other).abs().max()),
        },
        "float32_error": float((other - exact).abs().max()),
    }


def main(argv: list[str] | None = None) -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--out", type=place, default=ROOT / "results" / "ctc.json")
    parser.add_argument("--rounds", type=count, default=25)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    rows = [measured(shape, args.rounds) for shape in SHAPES]
    document = {
        "machine": describe_machine(),
        "packages": {name: importlib.metadata.version(name) for name in ("torch", "numba")},
        "threads": 1,
        "rounds": args.rounds,
        "shapes": rows,
    }
    write_json(args.out, document)
    for row in rows:
        print(
            f"{row['frames']:4d} frames x {row['batch']:2d}, {row['classes']} classes, {row['labels']:3d} labels: "
            f"{row['times_torch']['median']:.2f} times torch's time, apart by {row['largest_difference']}",
            file=sys.stderr,
        )
    return 0


if __name__ == "__main__":
    run_main(main)
