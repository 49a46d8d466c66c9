"""Other corpora beside the one that is learnt: what keeps a network from learning a few speakers by heart.

Their clips go through the network in batches of their own, so that batch normalisation sees one kind of recording at
a time, and leave its running statistics, those of inference, alone: corpora that shared them did worse than apart.
Heads of their own ask for the other corpora's classes, ratings and a teacher's features; a device has none of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from edge_ser.errors import EdgeSerError
from edge_ser.models.base import Network
from edge_ser.precision import bfloat16
from edge_ser.training.data import ClipSet
from edge_ser.training.losses import ccc_loss, emotion_loss, hint_loss, smooth_targets, soft_loss
from edge_ser.training.recipe import Recipe

__all__ = ["Beside", "statistics_kept"]


@contextlib.contextmanager
def statistics_kept(model: nn.Module) -> Iterator[None]:
    """Batch normalisation inside uses each batch's statistics, and its running ones stay as they are."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    kept = [(norm, norm.momentum) for norm in norms]
    try:
        for norm in norms:
            norm.momentum = 0.0
        yield
    finally:
        for norm, momentum in kept:
            norm.momentum = momentum


class Beside(nn.Module):
    """Batches of other corpora, and their loss.

    Parameters
    ----------
    clips : ClipSet
        Of the other corpora, with what a teacher says of them.
    recipe : Recipe
        With ``[beside]``.
    hidden : int
        Width of the network's pooled vector.

    Raises
    ------
    EdgeSerError
        There are fewer clips than a batch has.
    """

    def __init__(self, clips: ClipSet, recipe: Recipe, hidden: int) -> None:
        super().__init__()
        assert recipe.beside is not None
        if len(clips) < recipe.fit.batch:
            raise EdgeSerError(
                f"[beside] has {len(clips)} clips, fewer than one batch of {recipe.fit.batch}: name more corpora or "
                "lower [fit] batch"
            )
        self.clips, self.recipe, self.part = clips, recipe, recipe.beside
        self.emotion = nn.Linear(hidden, clips.allowed.shape[1])
        self.adv = nn.Linear(hidden, 3)
        self.guess = nn.Linear(hidden, clips.taught.hint.shape[2])

    def epoch(self, rng: np.random.Generator, batches: int) -> list[list[int]]:
        """Clips of each of an epoch's batches; where they do not suffice, they come again."""
        size = self.recipe.fit.batch
        order: list[int] = []
        while len(order) < batches * size:
            order += self.clips.order(rng, self.part.balance).tolist()
        return [order[i * size : (i + 1) * size] for i in range(batches)]

    def forward(self, model: Network, index: list[int], frames: int, rng: np.random.Generator) -> Tensor:
        """Weighted loss () of some of the clips, augmented as the recipe's own are."""
        fit, part = self.recipe.fit, self.part
        batch = self.clips.batch(index, frames, self.recipe.augment, self.recipe.spec, rng)
        with statistics_kept(model), bfloat16(wanted=fit.bfloat16):
            pooled = model.pool(batch.features, batch.frames)
        pooled = model.dropout(pooled.float())
        targets = smooth_targets(batch.labels, batch.allowed, fit.label_smoothing)
        logits = self.emotion(pooled)
        loss = (1 - part.soft) * emotion_loss(logits, targets, batch.allowed)
        loss = loss + part.soft * soft_loss(logits, batch.logits, batch.allowed, 1.0)
        loss = loss + fit.adv_weight * ccc_loss(torch.sigmoid(self.adv(pooled)), batch.adv)
        if part.hint > 0 and self.guess.out_features:
            loss = loss + part.hint * hint_loss(self.guess(pooled), batch.hint)
        return part.weight * loss
