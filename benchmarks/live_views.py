"""Views of a live teacher on a processor: speeds and tempos compiled, beside the same by operations of torch.

    python -m benchmarks.live_views [--out results/live_views.json] [--rounds 9]

One thread, warm, and interleaved as `benchmarks.training_step`. A batch is 32 made sounds of two to three seconds, as
recipes/ravdess-live.toml perturbs them; the encoder has Whisper base's shape and weights of chance. ``agreement_db`` is
the power of either way's sounds over that of their difference.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import benchmarks.one_thread  # noqa: F401

# isort: split
import numpy as np
import torch
from torch import Tensor

from benchmarks.running import beside_one_another, count, place, quartiles, run_main
from edge_ser.files import write_json
from edge_ser.perturb import Perturb
from edge_ser.precision import computes_bfloat16
from edge_ser.teachers.sources import transformers_class
from edge_ser.teachers.whisper import WhisperEncoder
from edge_ser.training.live import warps
from edge_ser.training.live.hearing import BatchListener
from edge_ser.training.live.mels import within
from edge_ser.training.live.views import perturbed
from edge_ser.training.memory import keep_freed_memory
from edge_ser.training.recipe import Recipe
from firmware_py.machine import describe_machine

ROOT = Path(__file__).resolve().parents[1]
CLIPS, SIZE = 32, 65536  # a clip's sound and room for a slower one's


def sounds() -> tuple[Tensor, Tensor]:
    """Noise with a voice's fall towards high frequencies, and how much of each row is sound."""
    chance = torch.Generator().manual_seed(0)
    fall = 1 / torch.linspace(0.1, 8, SIZE // 2 + 1)
    waves = torch.fft.irfft(torch.fft.rfft(torch.randn(CLIPS, SIZE, generator=chance)) * fall)
    lengths = torch.randint(32000, 48000, (CLIPS,), generator=chance)
    return 0.1 * waves / waves.std() * within(SIZE, lengths), lengths


def listener() -> BatchListener:
    """Hears with an encoder of Whisper base's shape."""
    transformers_class("WhisperModel")
    from transformers.models.whisper.modeling_whisper import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder as Encoder

    config = WhisperConfig(d_model=512, encoder_layers=6, encoder_attention_heads=8, encoder_ffn_dim=2048)
    torch.manual_seed(0)
    return BatchListener(WhisperEncoder(Encoder(config)).eval())


def made(waves: Tensor, lengths: Tensor, how: Perturb) -> tuple[Tensor, Tensor]:
    """A view of each sound, the same each time."""
    torch.manual_seed(0)
    return perturbed(waves, lengths, how, np.random.default_rng(0))


def by_torch(function: Callable[[], Any]) -> Callable[[], Any]:
    """The same as an accelerator has it."""

    def run() -> Any:
        with (
            mock.patch.object(warps, "_interpolated", warps._interpolated_by_torch),
            mock.patch.object(warps, "_vocoded", warps._vocoded_by_torch),
        ):
            return function()

    return run


def main(argv: list[str] | None = None) -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=place, default=ROOT / "results" / "live_views.json")
    parser.add_argument("--rounds", type=count, default=9)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    keep_freed_memory()  # as a training does
    how = Recipe.read(ROOT / "recipes" / "ravdess-live.toml").perturb
    waves, lengths = sounds()
    hears = listener()
    chance = torch.Generator().manual_seed(1)
    factors, rates, formants = (torch.exp(0.2 * torch.randn(CLIPS, generator=chance)) for _ in range(3))
    steps: dict[str, Callable[[], Any]] = {
        "another speed": lambda: warps.played(waves, lengths, factors),
        "another tempo and formants": lambda: warps.stretched(waves, lengths, rates, formants),
        "all that [perturb] asks for": lambda: made(waves, lengths, how),
    }
    rows = []
    for name, run in steps.items():
        ours, torchs = run()[0], by_torch(run)()[0]
        agreement = 10 * torch.log10(torchs.square().sum() / (ours - torchs).square().sum())
        spent = beside_one_another({"ours": run, "torch": by_torch(run)}, args.rounds)
        rows.append(
            {
                "step": name,
                "ms": {way: quartiles(ms / CLIPS for ms in own) for way, own in spent.items()},
                "times_ours": quartiles(a / b for a, b in zip(spent["torch"], spent["ours"], strict=True)),
                "agreement_db": round(float(agreement), 1),
            }
        )
        print(f"{rows[-1]}", file=sys.stderr)
    heard = beside_one_another({"ours": lambda: hears(waves, lengths)}, args.rounds)["ours"]
    rows.append({"step": "heard by the encoder", "ms": {"ours": quartiles(ms / CLIPS for ms in heard)}})
    report = {
        "machine": describe_machine(),
        "rounds": args.rounds,
        "bfloat16": computes_bfloat16(),
        "rows": rows,
    }
    write_json(args.out, report)
    return 0


if __name__ == "__main__":
    run_main(main)
