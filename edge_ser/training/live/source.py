"""What a recipe with ``[live]`` trains on: its bank of views, its teacher, and the clips of each run."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from edge_ser.corpora import Clip, Corpus
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.metrics import uar
from edge_ser.models import architecture
from edge_ser.models.base import Network
from edge_ser.progress import progress_bar
from edge_ser.teachers.encoders import load_encoder
from edge_ser.training.data import pool_corpora, with_answers
from edge_ser.training.live.bank import Bank, BankPlan
from edge_ser.training.live.clips import LiveSet, Spoken
from edge_ser.training.live.hearing import BatchListener
from edge_ser.training.live.pool import Pool
from edge_ser.training.live.teacher import FoldTeacher, centred
from edge_ser.training.material import Truths
from edge_ser.training.memory import give_back_freed_memory
from edge_ser.training.noise import Noise
from edge_ser.training.recipe import Recipe
from edge_ser.training.run import trains

__all__ = ["Live", "find_device"]


def find_device(name: str) -> torch.device:
    """A device by torch's name for it.

    Raises
    ------
    EdgeSerError
        torch knows no such device, or it is not here.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise EdgeSerError(
            f"there is no device {name!r} that torch can use here ({str(error).splitlines()[0]}); "
            "leave --device out to train on the processor"
        ) from error
    return device


class _Fold(NamedTuple):
    """Of one held-out fold."""

    clips: LiveSet
    teacher_uar: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Live:
    """What a recipe's students hear, and the teachers of its folds.

    Attributes
    ----------
    recipe : Recipe
    clips : list of Clip
        Of ``[data]``.
    labels, known
        As of `edge_ser.training.data.ClipSet`.
    pool : Pool
        Has views of all clips.
    others : tuple of (Corpus, list of Clip), optional
    """

    recipe: Recipe
    clips: list[Clip]
    labels: tuple[str, ...]
    known: dict[str, tuple[str, ...]]
    pool: Pool
    others: tuple[Corpus, list[Clip]] | None
    _made: dict[int | None, _Fold] = dataclasses.field(default_factory=dict)

    @classmethod
    def load(
        cls,
        recipe: Recipe,
        clips: list[Clip],
        labels: tuple[str, ...],
        known: dict[str, tuple[str, ...]],
        encoder: str,
        device: torch.device,
        cache: Path,
        pool: Pool | None = None,
    ) -> Live:
        """Make the views, or read those that were made before from `cache`; a `pool` that has them is taken as it is.

        Raises
        ------
        EdgeSerError
            There is no encoder, or one that does not hear in batches; a network that hears no plain log-mel; a clip
            that cannot be read.
        """
        part = recipe.live
        assert part is not None
        if not encoder and pool is None:
            raise EdgeSerError(
                f"{recipe.name} has a live teacher: say where its encoder is, --encoder openai/whisper-base or a folder"
            )
        if architecture(recipe.model).model.prepare is not Network.prepare:
            raise EdgeSerError(
                f"{recipe.model} prepares recordings in a way of its own, which live views have not"
            )
        own = {clip.corpus for clip in clips}

        def bank(mine: list[Clip]) -> Bank:
            views = part.views if mine[0].corpus in own else part.others_views
            plan = BankPlan(views, part.seconds, recipe.perturb, recipe.spec)
            with progress_bar(f"views of {mine[0].corpus}", views, "view") as bar:
                return Bank.load(mine, plan, listener, device, cache, bar.wrap)

        others = None
        if part.others:
            corpus, _ = pool_corpora(part.others)
            others = (corpus, with_answers(corpus))
        if pool is None:
            listener = BatchListener(load_encoder(encoder))
            pool = Pool.load([*clips, *(others[1] if others else [])], bank)
        return cls(recipe, clips, labels, known, pool, others)

    @functools.cached_property
    def _noise(self) -> Noise | None:
        part = self.recipe.noise
        return Noise.load(part, self.recipe.spec, self.pool.features.device) if part else None

    def clip_set(self, fold: int | None) -> LiveSet:
        """What the students of a fold train on: the clips that are not in it, and the others."""
        return self._of(fold).clips

    def teacher_uar(self, fold: int) -> dict[str, float]:
        """UAR, by corpus, of the teacher that never heard a fold on its clips, each beside its speaker's others."""
        return self._of(fold).teacher_uar

    def _of(self, fold: int | None) -> _Fold:
        if fold not in self._made:
            self._made[fold] = self._make(fold)
            give_back_freed_memory()  # the teacher's, which was fitted on as much as the pool has
        return self._made[fold]

    def _make(self, fold: int | None) -> _Fold:
        live = self.recipe.live
        assert live is not None
        heard = centred(self.pool.statistics(self.clips, live.views), self.clips)
        truths = Truths.of(self.clips, self.labels, self.known)
        teacher = FoldTeacher(heard[: live.fitted], truths, fold, self.recipe.head)
        index = np.array([i for i, clip in enumerate(self.clips) if trains(clip, fold)], np.int64)
        said = teacher.said(heard[:, torch.from_numpy(index).to(heard.device)], truths.fold[index])
        own = Spoken([self.clips[i] for i in index], said)
        others = None
        if self.others is not None:
            more = self.others[1]
            others = Spoken(more, teacher.said(centred(self.pool.statistics(more, live.others_views), more)))
        shares = (live.others_share, live.others_balance) if others else (0.0, 0.0)
        clips = LiveSet(own, self.labels, self.known, self.pool, others, *shares, self._noise)
        return _Fold(clips, {} if fold is None else self._uar(teacher, heard, truths, fold))

    def _uar(self, teacher: FoldTeacher, heard: torch.Tensor, truths: Truths, fold: int) -> dict[str, float]:
        held_out = np.flatnonzero(truths.fold == fold)
        at = torch.from_numpy(held_out).to(heard.device)
        logits = teacher.said(heard[:1, at]).logits[0].cpu().numpy()
        result = {}
        for name, mine in self.known.items():
            columns = np.array([self.labels.index(label) for label in mine], np.int64)
            rows = [
                k for k, i in enumerate(held_out) if self.clips[i].corpus == name and truths.classes[i] >= 0
            ]
            if rows and len(columns):
                said = columns[logits[rows][:, columns].argmax(1)]
                result[name] = uar(truths.classes[held_out[rows]], said)
        return result
