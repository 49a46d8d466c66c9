"""Banks and sets of made clips, without any encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge_ser.corpora import Clip
from edge_ser.dsp import MelSpec
from edge_ser.teachers.whisper import WhisperEncoder
from edge_ser.training.data import Taught
from edge_ser.training.live.bank import Bank
from edge_ser.training.live.clips import LiveSet, Spoken
from edge_ser.training.live.pool import Pool
from edge_ser.training.noise import Noise
from edge_ser.training.parts import NoisePart
from tests.edge_ser.teachers.small import small_whisper

LABELS = ("angry", "sad")
VIEWS = 2


def encoder() -> WhisperEncoder:
    """A small Whisper with weights of chance."""
    return WhisperEncoder(small_whisper().encoder).eval()


def clips_of(corpus: str, count: int) -> list[Clip]:
    """Clips of three speakers, in three folds."""
    return [
        Clip(Path(f"{corpus}{i}.wav"), corpus, f"{corpus}-{i % 3}", emotion=LABELS[i // 3 % 2], fold=i % 3)
        for i in range(count)
    ]


def bank_of(count: int, views: int = VIEWS, seed: int = 0, frames: int = 100) -> Bank:
    """Features of which the first band tells view and clip: ``10 * view + clip``."""
    draw = torch.Generator().manual_seed(seed)
    features = torch.randn(views, count, frames, 64, generator=draw) * 0.3
    features[:, :, :, 0] = (10 * torch.arange(views)[:, None] + torch.arange(count))[:, :, None]
    lengths = torch.randint(60, frames + 1, (views, count), generator=draw)
    return Bank(features.half(), lengths, torch.randn(views, count, 30, generator=draw).half())


def taught_of(count: int, views: int = VIEWS, hints: int = 4) -> Taught:
    """Answers of which the first hint tells view and clip."""
    draw = torch.Generator().manual_seed(1)
    hint = torch.randn(views, count, hints, generator=draw)
    hint[:, :, 0] = 10 * torch.arange(views)[:, None] + torch.arange(count)
    return Taught(
        torch.randn(views, count, 2, generator=draw), torch.full((views, count, 3), torch.nan), hint
    )


def live_set(count: int = 30, others: int = 0, share: float = 0.5, **more: Any) -> LiveSet:
    """Clips of the corpus own, and others of the corpus else."""
    own, rest = clips_of("own", count), clips_of("else", others)
    banks = [(own, bank_of(count))] + ([(rest, bank_of(others, 3, seed=5))] if others else [])
    beside = Spoken(rest, taught_of(others, 3)) if others else None
    return LiveSet(
        Spoken(own, taught_of(count)),
        LABELS,
        {"own": LABELS},
        Pool(banks),
        beside,
        share if others else 0.0,
        **more,
    )


def noise() -> Noise:
    """A steady sound in every clip."""
    spec = MelSpec(
        mean=-50.0, scale=2.0
    )  # so that the bands that tell view and clip are no powers beyond numbers
    sound = np.random.default_rng(3).normal(0, 0.3, (70, 64)).astype(np.float16)
    return Noise(NoisePart(share=1.0, babble=0.0, snr_db=(0.0, 10.0)), spec, [sound])


def generator(seed: int = 0) -> np.random.Generator:
    """numpy's, for what a test draws."""
    return np.random.default_rng(seed)
