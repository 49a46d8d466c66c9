"""A bank of views: what a network and a teacher hear in many versions of each clip, made in batches."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edge_ser.audio import SAMPLE_RATE, load_audio
from edge_ser.corpora import Clip
from edge_ser.dsp import MelSpec
from edge_ser.perturb import Perturb
from edge_ser.training.live.hearing import BatchListener
from edge_ser.training.live.mels import LogMels, within
from edge_ser.training.live.views import perturbed, smooth

__all__ = ["Bank", "BankPlan"]

Floats = npt.NDArray[np.float32]
Progress = Callable[[Iterable[int]], Iterable[int]]

#: Counts up when the same plan no longer gives the same bank.
_VERSION = 1
_BATCH = 128
_READERS = 16
_LEAST = 4000  # samples; Whisper hears no less than a few frames, and a step takes 4000


@dataclasses.dataclass(frozen=True)
class BankPlan:
    """What a bank is made of.

    Attributes
    ----------
    views : int
        Versions of each clip; the first is the clip itself.
    seconds : float
        A longer clip is cut, at its end in the first version and at both ends by chance in the others.
    perturb : Perturb
    spec : MelSpec
        The network's front end.
    seed : int
    """

    views: int
    seconds: float
    perturb: Perturb
    spec: MelSpec
    seed: int = 0

    def batches(self, clips: int) -> int:
        """Batches in which a bank of so many clips is made."""
        return self.views * math.ceil(clips / _BATCH)

    def key(self, clips: Sequence[Clip], encoder: str) -> str:
        """Hash of all that a bank of some clips follows from."""
        content = [hashlib.sha256(clip.path.read_bytes()).hexdigest() for clip in clips]
        own = [self.views, self.seconds, self.perturb.to_dict(), self.spec.to_dict(), self.seed]
        return hashlib.sha256(
            json.dumps([_VERSION, own, encoder, content], sort_keys=True).encode()
        ).hexdigest()


@dataclasses.dataclass(frozen=True)
class Bank:
    """Views of N clips, V of each.

    Attributes
    ----------
    features : Tensor (V, N, T, n_mels) float16
    frames : Tensor (V, N) int64
        Valid frames of each.
    heard : Tensor (V, N, D) float16
        The encoder's statistics.
    """

    features: Tensor
    frames: Tensor
    heard: Tensor

    @classmethod
    def load(
        cls,
        clips: Sequence[Clip],
        plan: BankPlan,
        listener: BatchListener,
        device: torch.device,
        cache: Path,
        progress: Progress = iter,
    ) -> Bank:
        """From the file where it was made before, or made and kept there.

        Parameters
        ----------
        clips : sequence of Clip
        plan : BankPlan
        listener : BatchListener
        device : torch.device
            Where it is made.
        cache : path
            Folder of the file.
        progress : callable
            Wraps the numbers of the batches.

        Raises
        ------
        EdgeSerError
            A clip cannot be read.
        """
        cache.mkdir(parents=True, exist_ok=True)
        path = cache / f"live-{plan.key(clips, listener.whisper.identity)[:32]}.pt"
        if path.exists():
            return cls(**torch.load(path, weights_only=True, map_location=device))
        made = cls.make(clips, plan, listener, device, progress)
        aside = path.with_suffix(".part")
        torch.save({field.name: getattr(made, field.name) for field in dataclasses.fields(made)}, aside)
        os.replace(aside, path)
        return made

    @classmethod
    def make(
        cls,
        clips: Sequence[Clip],
        plan: BankPlan,
        listener: BatchListener,
        device: torch.device,
        progress: Progress = iter,
    ) -> Bank:
        """As `load`, without a file."""
        with concurrent.futures.ThreadPoolExecutor(_READERS) as readers:
            waves = list(readers.map(load_audio, [clip.path for clip in clips]))
        sounds = _Waves(waves, device)
        mels = LogMels(plan.spec).to(device)
        listener = listener.to(device)
        longest = round(plan.seconds * SAMPLE_RATE)
        frames = plan.spec.frames(max(_LEAST, longest))
        shape = (plan.views, len(clips))
        bank = cls(
            torch.zeros(*shape, frames, plan.spec.n_mels, dtype=torch.float16, device=device),
            torch.zeros(*shape, dtype=torch.int64, device=device),
            torch.zeros(*shape, listener.size, dtype=torch.float16, device=device),
        )
        # clips of a length together, so that little is padding
        order = np.argsort(sounds.lengths, kind="stable")
        parts = [order[i : i + _BATCH] for i in range(0, len(order), _BATCH)]
        for number in progress(range(plan.views * len(parts))):
            view, part = number // len(parts), parts[number % len(parts)]
            rng = np.random.default_rng([plan.seed, view, number])
            torch.manual_seed(int(rng.integers(2**62)))
            batch, lengths = sounds.batch(part, longest, rng if view else None)
            if view:
                batch, lengths = perturbed(batch, lengths, plan.perturb, rng)
                lengths = lengths.clamp(min=min(_LEAST, batch.shape[1]))
            heard, count = mels(batch, lengths)
            heard = heard[:, :frames]
            index = torch.from_numpy(part).to(device)
            bank.features[view, index, : heard.shape[1]] = heard.half()
            bank.frames[view, index] = count.clamp(max=frames)
            bank.heard[view, index] = listener(batch, lengths).half()
        return bank


class _Waves:
    """Recordings one after another in one tensor, where batches of them are cut."""

    def __init__(self, waves: Sequence[Floats], device: torch.device) -> None:
        self.lengths = np.array([len(wave) for wave in waves])
        self.starts = np.cumsum([0, *self.lengths[:-1]])
        self.samples = torch.from_numpy(np.concatenate(waves)).to(device)

    def batch(
        self, part: npt.NDArray[np.int64], longest: int, rng: np.random.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Some of them padded to one length, which leaves a slower view some room; longer ones cut."""
        kept = np.minimum(self.lengths[part], longest)
        spare = self.lengths[part] - kept
        skipped = np.zeros_like(spare) if rng is None else rng.integers(0, spare + 1)
        size = smooth(int(kept.max()) if rng is None else min(longest, round(1.3 * kept.max())))
        device = self.samples.device
        along = torch.arange(size, device=device)[None]
        lengths = torch.as_tensor(kept, device=device)
        place = torch.as_tensor(self.starts[part] + skipped, device=device)[:, None] + along
        rows = self.samples[place.clamp(max=len(self.samples) - 1)]
        return rows * within(size, lengths), lengths.clamp(min=_LEAST)
