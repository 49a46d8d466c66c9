"""Clips to train on out of a pool of views: batches are cut, warped and disturbed where the pool is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from edge_ser.corpora import Clip
from edge_ser.dsp import MelSpec
from edge_ser.training.augment import EARLIEST, Augment, restyle, spread
from edge_ser.training.data import Batch, LabelledClips, Taught, of_one_speaker
from edge_ser.training.live.mels import within
from edge_ser.training.live.pool import Pool
from edge_ser.training.noise import Noise

__all__ = ["LiveSet", "Spoken"]

Index = npt.NDArray[np.int64]
_AS_IT_IS = Augment(speed=0.0, bands_shift=0.0, bands_stretch=0.0, early=0.0)


class Spoken(NamedTuple):
    """Clips, and what a teacher says of V views of each."""

    clips: Sequence[Clip]
    taught: Taught  # (V, N, ...)


class LiveSet(LabelledClips):
    """Clips with labels, and others beside them of which only the teacher speaks.

    Parameters
    ----------
    own : Spoken
    labels, known
        As of `LabelledClips`.
    pool : Pool
        Has the views of all clips.
    others : Spoken, optional
        Their own labels are not looked at; the teacher's answers are, among all of `labels`.
    share : float
        Of the others in a batch, from 0 to below 1.
    balance : float
        0 draws the others alike, 1 their corpora alike.
    noise : Noise, optional
        Where the pool is.
    """

    def __init__(
        self,
        own: Spoken,
        labels: Sequence[str],
        known: dict[str, tuple[str, ...]],
        pool: Pool,
        others: Spoken | None = None,
        share: float = 0.0,
        balance: float = 0.0,
        noise: Noise | None = None,
    ) -> None:
        more = [] if others is None else list(others.clips)
        nameless = [dataclasses.replace(clip, emotion=None, arousal=None, fold=None) for clip in more]
        foreign = {clip.corpus for clip in more} - set(known)
        sources = [own] if others is None else [own, others]
        taught = Taught(
            *(torch.cat([source.taught[i].flatten(0, 1) for source in sources])[None] for i in range(3))
        )
        known = known | dict.fromkeys(foreign, tuple(labels))
        super().__init__([*own.clips, *nameless], labels, known, taught)
        self.own, self.share, self.others_balance = len(own.clips), share, balance
        self.allowed[self.own :] = True
        self.pool, self.noise = pool, noise
        counts = [len(source.clips) for source in sources]
        #: of each clip: views, its first row in the pool and in `taught`, and rows from one view to the next
        self._views = np.repeat([source.taught.logits.shape[0] for source in sources], counts)
        self._first, self._stride = pool.rows([*own.clips, *more])
        self._said_first = np.concatenate([np.arange(n) for n in counts])
        self._said_first[self.own :] += self.own * int(self._views[0])
        self._said_stride = np.repeat(counts, counts)
        here = pool.features.device
        self._here = {
            "labels": self.labels.to(here),
            "allowed": self.allowed.to(here),
            "adv": self.adv.to(here),
            **{task: values.to(here) for task, values in self.tasks.items()},
        }

    def __len__(self) -> int:
        """Clips of an epoch: the labelled ones, and as many others as their share asks for."""
        return round(self.own / (1 - self.share))

    def order(self, rng: np.random.Generator, balance: float, together: int = 1) -> np.ndarray:
        """As `LabelledClips.order`, the others drawn among them."""
        mine = self._drawn(rng, np.arange(self.own), balance, together, self.own)
        if self.share == 0:
            return np.concatenate(mine)[: len(self)]
        rest = np.arange(self.own, len(self.labels))
        parts = mine + self._drawn(rng, rest, self.others_balance, together, len(self) - self.own)
        return np.concatenate([parts[i] for i in rng.permutation(len(parts))])[: len(self)]

    def _drawn(
        self, rng: np.random.Generator, index: Index, balance: float, together: int, count: int
    ) -> list[Index]:
        """Parts of one speaker each, of at least `count` clips in all."""
        parts = [index[part] for part in of_one_speaker(self.speakers[index], together, rng)]
        if balance == 0 and count == len(index):
            return [parts[i] for i in rng.permutation(len(parts))]
        weight = np.array([self.corpus_size[part[0]] ** -balance for part in parts])
        drawn: list[Index] = []
        while sum(map(len, drawn)) < count:
            drawn += [
                parts[i] for i in rng.choice(len(parts), math.ceil(count / together), p=weight / weight.sum())
            ]
        ends = np.cumsum([len(part) for part in drawn])
        return drawn[: int(np.searchsorted(ends, count)) + 1]

    def places(self, chosen: Index, rng: np.random.Generator) -> tuple[Index, Index]:
        """A view of each of some clips: its rows in the pool and among the teacher's answers."""
        view = (rng.random(chosen.shape) * self._views[chosen]).astype(np.int64)
        return (
            self._first[chosen] + view * self._stride[chosen],
            self._said_first[chosen] + view * self._said_stride[chosen],
        )

    def made(
        self,
        chosen: Tensor,
        rows: Tensor,
        said_rows: Tensor,
        frames: int,
        how: Augment,
        spec: MelSpec,
        plain: bool = False,
    ) -> Batch:
        """A batch of clips by their rows, as `edge_ser.training.data.ClipSet.batch` makes it.

        All chance is torch's, and nothing is waited for.

        Parameters
        ----------
        chosen, rows, said_rows : Tensor (B,) int64
            Clips, and what `places` gives of them.
        frames, how, spec, plain
            As of that.
        """
        sounds, counts = self.pool.features[rows].float(), self.pool.frames[rows]
        features, lengths = _cut(sounds, counts, frames, how)
        if self.noise is not None:
            features = self.noise.add(features, lengths)
        said = Taught(*(part[0, said_rows].float() for part in self.taught))
        rated = self._here["adv"][chosen]
        return Batch(
            features=spread(restyle(features, lengths, how), how, spec),
            frames=lengths,
            labels=self._here["labels"][chosen],
            allowed=self._here["allowed"][chosen],
            adv=torch.where(torch.isfinite(rated), rated, said.adv),
            logits=said.logits,
            hint=said.hint,
            tasks={task: self._here[task][chosen] for task in self.tasks},
            plain=_cut(sounds, counts, frames, _AS_IT_IS) if plain else None,
        )


def _cut(sounds: Tensor, counts: Tensor, frames: int, how: Augment) -> tuple[Tensor, Tensor]:
    """A stretch of each clip, warped as `edge_ser.training.augment.warp` does and perhaps ended early.

    Parameters
    ----------
    sounds : Tensor (B, T, n_mels)
    counts : Tensor (B,)
        Valid frames.
    frames : int
        At most so many come out.
    how : Augment

    Returns
    -------
    features : Tensor (B, frames, n_mels)
        Zeros after each clip's end.
    lengths : Tensor (B,)
    """
    count, length, bands = sounds.shape
    device = sounds.device

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, device=device)

    rate = uniform(1 - how.speed, 1 + how.speed)
    lengths = (counts / rate).floor().clamp(1, frames)
    start = (counts - 1 - (lengths - 1) * rate).clamp(min=0) * uniform(0, 1)
    if how.speed == 0:
        start = start.round()
    if how.early > 0:
        kept = torch.where(uniform(0, 1) < how.early, uniform(EARLIEST, 1), 1.0)
        lengths = (lengths * kept).round().clamp(min=1)
    lengths = lengths.long()
    along = start[:, None] + torch.arange(frames, device=device) * rate[:, None]
    half = (bands - 1) / 2
    stretch, shift = (
        uniform(1 - how.bands_stretch, 1 + how.bands_stretch),
        uniform(-how.bands_shift, how.bands_shift),
    )
    across = (torch.arange(bands, device=device) - half) * stretch[:, None] + shift[:, None]
    grid = torch.stack(
        [
            (across / half)[:, None].expand(count, frames, bands),
            (2 * along / max(length - 1, 1) - 1)[:, :, None].expand(count, frames, bands),
        ],
        -1,
    )
    cut = F.grid_sample(sounds[:, None], grid, align_corners=True, padding_mode="border")[:, 0]
    return cut * within(frames, lengths)[:, :, None], lengths
