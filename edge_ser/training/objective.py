"""What a batch costs: labels, raters and teacher, each term by its name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from edge_ser.errors import EdgeSerError
from edge_ser.models.base import Network
from edge_ser.precision import bfloat16
from edge_ser.training.data import Batch
from edge_ser.training.losses import (
    ccc_loss,
    emotion_loss,
    hint_loss,
    quadrant_loss,
    smooth_targets,
    soft_loss,
)
from edge_ser.training.recipe import Recipe
from edge_ser.training.session import heard_among

__all__ = ["Objective"]


class Objective(nn.Module):
    """The loss of a recipe.

    It holds the layers that only training needs: what is guessed from the pooled vector beside the answers.

    Parameters
    ----------
    recipe : Recipe
    hidden : int
        Width of the network's pooled vector.
    hint_size : int
        Of the teacher's features; 0 where there are none.
    task_sizes : mapping
        From a name of `edge_ser.training.data.TASKS` to the number of its classes among the clips.

    Raises
    ------
    EdgeSerError
        A task has a weight, and no two clips differ in it.
    """

    def __init__(
        self, recipe: Recipe, hidden: int, hint_size: int, task_sizes: Mapping[str, int] | None = None
    ) -> None:
        super().__init__()
        self.recipe = recipe
        wanted = recipe.distil is not None and recipe.distil.hint > 0 and hint_size > 0
        self.guess = nn.Linear(hidden, hint_size) if wanted else None
        self.weights = {task: w for task, w in dataclasses.asdict(recipe.tasks).items() if w > 0}
        sizes = task_sizes or {}
        if poor := [task for task in self.weights if sizes.get(task, 0) < 2]:
            raise EdgeSerError(f"[tasks] {poor[0]} cannot be learnt: the clips do not differ in it")
        self.tasks = nn.ModuleDict({task: nn.Linear(hidden, sizes[task]) for task in self.weights})

    def forward(
        self, model: Network, batch: Batch, said: tuple[Tensor, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Terms of the loss, weighted: their sum is what is made small.

        Parameters
        ----------
        model : Network
        batch : Batch
        said : (Tensor (B, 3), Tensor (B, L)), optional
            Arousal, dominance and valence, and logits, that the clips are to be given whatever disturbs them.

        Returns
        -------
        dict of str to Tensor ()
            ``emotion`` and ``adv``; ``consistency`` where `said` is given; each of ``[tasks]`` and, with a teacher,
            ``soft``, ``hint`` and ``quadrant`` where they have a weight; ``session``, the loss of ``emotion`` and
            ``soft`` as heard among its speaker's clips.
        """
        part, distil = self.recipe.fit, self.recipe.distil
        targets = smooth_targets(batch.labels, batch.allowed, part.label_smoothing)
        if self.recipe.augment.mixup > 0:
            batch, targets = _mix_up(batch, targets, self.recipe.augment.mixup)
        with bfloat16(batch.features.device.type, part.bfloat16):
            pooled = model.pool(batch.features, batch.frames)
        pooled = pooled.float()  # answers and losses are sums of small differences
        adv, logits = model.answer(pooled)
        alone = self._emotion(logits, targets, batch)
        terms = {"emotion": alone.pop("emotion"), "adv": part.adv_weight * ccc_loss(adv, batch.adv)}
        if said is not None:
            apart = soft_loss(logits, said[1], batch.allowed, 1.0) + ccc_loss(adv, said[0])
            terms["consistency"] = part.consistency * apart
        hinted = pooled
        if self.recipe.session is not None:
            hinted = heard_among(pooled, batch.tasks["speaker"])
            heard = self._emotion(model.logits(model.dropout(hinted)), targets, batch)
            terms["session"] = self.recipe.session.weight * torch.stack(list(heard.values())).sum()
        for task, weight in self.weights.items():
            seen = _Reversed.apply(pooled) if task == "speaker" else pooled
            truth = batch.tasks[task]
            lost = nn.functional.cross_entropy(
                self.tasks[task](seen), truth, ignore_index=-1, reduction="sum"
            )
            terms[task] = weight * lost / (truth >= 0).sum().clamp(min=1)
        if distil is None:
            return terms
        terms |= alone
        if self.guess is not None:
            terms["hint"] = distil.hint * hint_loss(self.guess(hinted), batch.hint)
        if distil.quadrant > 0:
            terms["quadrant"] = distil.quadrant * quadrant_loss(adv, batch.adv)
        return terms

    def _emotion(self, logits: Tensor, targets: Tensor, batch: Batch) -> dict[str, Tensor]:
        """What is lost to the label and, where it has a share, to the teacher's answer."""
        distil = self.recipe.distil
        soft = distil.soft if distil else 0.0
        terms = {"emotion": (1 - soft) * emotion_loss(logits, targets, batch.allowed)}
        if distil is not None and soft > 0:
            terms["soft"] = soft * soft_loss(logits, batch.logits, batch.allowed, distil.temperature)
        return terms


class _Reversed(torch.autograd.Function):
    """The identity, whose gradient is turned round (arXiv 1409.7495)."""

    @staticmethod
    def forward(_: object, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(_: object, *gradients: Tensor) -> Tensor:
        return -gradients[0]


def _mix_up(batch: Batch, targets: Tensor, parameter: float) -> tuple[Batch, Tensor]:
    """Clips mixed in pairs, their targets alike."""
    beta = torch.distributions.Beta(parameter, parameter)
    share = beta.sample((len(targets),))
    share = torch.maximum(share, 1 - share)[:, None]
    other = torch.randperm(len(targets))
    # Only clips that know the same things have a mixture of targets.
    same = (batch.labels >= 0) == (batch.labels[other] >= 0)
    for known in (batch.adv, batch.logits, batch.hint):
        finite = torch.isfinite(known).all(1)
        same &= finite == finite[other]
    share = torch.where(same[:, None], share, 1.0)

    def mixed(values: Tensor) -> Tensor:
        return share * values + (1 - share) * torch.where(same[:, None], values[other], values)

    features = share[:, :, None] * batch.features + (1 - share[:, :, None]) * batch.features[other]
    frames = torch.where(same, torch.maximum(batch.frames, batch.frames[other]), batch.frames)
    batch = batch._replace(
        features=features,
        frames=frames,
        allowed=batch.allowed | (batch.allowed[other] & same[:, None]),
        adv=mixed(batch.adv),
        logits=mixed(batch.logits),
        hint=mixed(batch.hint),
        # a mixture is of two voices: it tells nothing of either
        tasks={task: torch.where(share[:, 0] < 1, -1, values) for task, values in batch.tasks.items()},
    )
    return batch, mixed(targets)
