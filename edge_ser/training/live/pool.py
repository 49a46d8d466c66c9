"""The views of several corpora in one place, of which every run takes the rows that it needs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edge_ser.corpora import Clip
from edge_ser.training.live.bank import Bank
from edge_ser.training.memory import give_back_freed_memory

__all__ = ["Pool"]


class _Place(NamedTuple):
    """Where a corpus's views are."""

    first: int  # row
    clips: dict[str, int]  # from a recording's path to its place among the clips


class Pool:
    """Rows of all views of all clips.

    Attributes
    ----------
    features : Tensor (R, T, n_mels) float16
    frames : Tensor (R,) int64
    heard : Tensor (R, D) float16
    """

    def __init__(self, banks: Iterable[tuple[Sequence[Clip], Bank]]) -> None:
        self._places: dict[str, _Place] = {}
        first = 0
        made: list[list[Tensor]] = [[], [], []]
        for clips, bank in banks:
            views, count = bank.frames.shape
            paths = {str(clip.path): i for i, clip in enumerate(clips)}
            self._places[clips[0].corpus] = _Place(first, paths)
            first += views * count
            for parts, own in zip(made, (bank.features, bank.frames, bank.heard), strict=True):
                parts.append(own.flatten(0, 1))
            del bank, own
        self.features, self.frames, self.heard = map(_joined, made)

    @classmethod
    def load(cls, clips: Sequence[Clip], bank: Callable[[list[Clip]], Bank]) -> Pool:
        """Of clips that stand corpus by corpus, by what makes or reads the bank of one corpus."""
        groups = [list(group) for _, group in itertools.groupby(clips, lambda clip: clip.corpus)]
        return cls((group, bank(group)) for group in groups)

    def rows(self, clips: Sequence[Clip]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Of each clip, the row of its first view and how far on that of its next one is: (N,) each."""
        first, stride = np.zeros(len(clips), np.int64), np.zeros(len(clips), np.int64)
        for i, clip in enumerate(clips):
            place = self._places[clip.corpus]
            first[i] = place.first + place.clips[str(clip.path)]
            stride[i] = len(place.clips)
        return first, stride

    def statistics(self, clips: Sequence[Clip], views: int) -> Tensor:
        """What the encoder heard of the first views of some clips: (V, N, D) float16."""
        first, stride = self.rows(clips)
        place = first[None] + np.arange(views)[:, None] * stride
        return self.heard[torch.as_tensor(place, device=self.heard.device)]


def _joined(parts: list[Tensor]) -> Tensor:
    """One tensor of all rows; each part is let go when it is copied, as two of everything may be more than there is."""
    whole = parts[0].new_empty(sum(map(len, parts)), *parts[0].shape[1:])
    first = 0
    while parts:
        part = parts.pop(0)
        whole[first : first + len(part)] = part
        first += len(part)
        del part
        give_back_freed_memory()
    return whole
