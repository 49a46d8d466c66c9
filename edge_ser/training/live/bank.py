"""A bank of views: what a network and a teacher hear in many versions of each clip, made in batches."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import json
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
_VERSION = 2
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

    def key(self, clips: Sequence[Clip], encoder: str) -> str:
        """Hash of all that the views of some clips follow from, however many there are."""
        content = [hashlib.sha256(clip.path.read_bytes()).hexdigest() for clip in clips]
        own = [self.seconds, self.perturb.to_dict(), self.spec.to_dict(), self.seed]
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
        """Views from the files where they were made before, the others made and kept there, each as it is done.

        Parameters
        ----------
        clips : sequence of Clip
        plan : BankPlan
        listener : BatchListener
        device : torch.device
            Where it is made, and where it lies.
        cache : path
            Folder of the files.
        progress : callable
            Wraps the numbers of the views.

        Raises
        ------
        EdgeSerError
            A clip cannot be read.
        """
        folder = cache / f"live-{plan.key(clips, listener.whisper.identity)[:32]}"
        folder.mkdir(parents=True, exist_ok=True)
        maker: _Maker | None = None
        whole: dict[str, Tensor] = {}
        for number in progress(range(plan.views)):
            path = folder / f"{number}.pt"
            if not path.exists():
                maker = maker or _Maker(clips, plan, listener, device)
                aside = path.with_suffix(".part")
                torch.save(dict(zip(_PARTS, maker.view(number), strict=True)), aside)
                os.replace(aside, path)
            found = torch.load(path, weights_only=True, map_location=device)
            for name in _PARTS:
                if name not in whole:
                    whole[name] = found[name].new_empty(plan.views, *found[name].shape)
                whole[name][number] = found[name]
        return cls(**whole)


_PARTS = tuple(field.name for field in dataclasses.fields(Bank))


class _Maker:
    """Makes the views of some clips, one number at a time."""

    def __init__(
        self, clips: Sequence[Clip], plan: BankPlan, listener: BatchListener, device: torch.device
    ) -> None:
        with concurrent.futures.ThreadPoolExecutor(_READERS) as readers:
            waves = list(readers.map(load_audio, [clip.path for clip in clips]))
        self.plan, self.device, self.sounds = plan, device, _Waves(waves, device)
        self.mels, self.listener = LogMels(plan.spec).to(device), listener.to(device)
        self.longest = round(plan.seconds * SAMPLE_RATE)
        # clips of a length together, so that little is padding
        order = np.argsort(self.sounds.lengths, kind="stable")
        self.parts = [order[i : i + _BATCH] for i in range(0, len(order), _BATCH)]

    def view(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Features (N, T, n_mels), frames (N,) and statistics (N, D) of one view of every clip."""
        count = len(self.sounds.lengths)
        frames = self.plan.spec.frames(max(_LEAST, self.longest))
        shape = (count, frames, self.plan.spec.n_mels)
        features = torch.zeros(shape, dtype=torch.float16, device=self.device)
        lengths = torch.zeros(count, dtype=torch.int64, device=self.device)
        heard = torch.zeros(count, self.listener.size, dtype=torch.float16, device=self.device)
        for which, part in enumerate(self.parts):
            rng = np.random.default_rng([self.plan.seed, number, which])
            torch.manual_seed(int(rng.integers(2**62)))
            waves, samples = self.sounds.batch(part, self.longest, rng if number else None)
            if number:
                waves, samples = perturbed(waves, samples, self.plan.perturb, rng)
                samples = samples.clamp(min=min(_LEAST, waves.shape[1]))
            if self.device.type == "cpu":  # elsewhere few sizes count for more than what is padding
                waves = waves[:, : smooth(int(samples.max()))]
            made, own = self.mels(waves, samples)
            made = made[:, :frames]
            index = torch.from_numpy(part).to(self.device)
            features[index, : made.shape[1]] = made.half()
            lengths[index] = own.clamp(max=frames)
            heard[index] = self.listener(waves, samples).half()
        return features, lengths, heard


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
