"""The linear teacher of a bank, and what it says of every view.

As in `edge_ser.training.teach`, what the students of a fold hear of a clip comes from heads that heard neither that
fold nor the clip's own. The heads of one held-out fold share its principal components, which no label goes into, and
are fitted together, so that an accelerator has them in a second.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from edge_ser.corpora import Clip
from edge_ser.errors import EdgeSerError
from edge_ser.teachers.linear import LEAST_SPREAD, HeadPart, ridge
from edge_ser.training.data import Taught
from edge_ser.training.material import Truths

__all__ = ["FoldTeacher", "centred"]

_ITERATIONS = 80


def centred(heard: Tensor, clips: Sequence[Clip]) -> Tensor:
    """Statistics (V, N, D) less each speaker's mean over all views, float16: what a device has not, a teacher has."""
    names = sorted({clip.speaker for clip in clips})
    who = torch.tensor([names.index(clip.speaker) for clip in clips], device=heard.device)
    sums = torch.zeros(len(names), heard.shape[2], device=heard.device)
    for view in heard:
        sums.index_add_(0, who, view.float())
    counts = torch.bincount(who, minlength=len(names))[:, None] * len(heard)
    means = sums / counts
    result = torch.empty_like(heard)
    for own, view in zip(result, heard, strict=True):
        own.copy_(view.float() - means[who])
    return result


class FoldTeacher:
    """Heads for the students of one held-out fold.

    Parameters
    ----------
    heard : Tensor (V, N, D) float16
        Statistics of the views that are fitted on, of all clips.
    truths : Truths
    fold : int or None
        Held out; None holds nothing out.
    how : HeadPart

    Raises
    ------
    EdgeSerError
        Fewer recordings, or fewer statistics of each, than components.
    """

    def __init__(self, heard: Tensor, truths: Truths, fold: int | None, how: HeadPart) -> None:
        self.how = how
        folds, classes, allowed, adv = (torch.from_numpy(part).to(heard.device) for part in truths)
        mine = (folds >= 0) & (folds != (-1 if fold is None else fold))
        rows = heard[:, mine].flatten(0, 1).float()
        if min(rows.shape) < how.components:
            raise EdgeSerError(
                f"{rows.shape[0]} recordings of {rows.shape[1]} statistics are too few for {how.components} "
                "components: lower [head] components"
            )
        self.mean, self.scale = rows.mean(0), rows.std(0, unbiased=False).clamp_min(LEAST_SPREAD)
        rows.sub_(self.mean).div_(self.scale)  # in place: of six corpora they are half a gigabyte
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # the method is a random projection, refined
            _, _, self.basis = torch.svd_lowrank(rows, q=how.components, niter=3)
        z = rows @ self.basis
        self.spread = z.std(0)
        #: Folds that heads were fitted without beside `fold`; the first heads are without none.
        self.without: list[int | None] = [None, *sorted({*truths.fold.tolist()} - {-1, fold})]
        views = len(heard)
        self._fit(
            z,
            folds[mine].repeat(views),
            classes[mine].repeat(views),
            allowed[mine].repeat(views, 1),
            adv[mine].repeat(views, 1),
        )

    def _fit(self, z: Tensor, fold: Tensor, classes: Tensor, allowed: Tensor, adv: Tensor) -> None:
        """A logistic and a ridge regression for each of `without`, the first kind all at once by L-BFGS."""
        count, labels = len(self.without), allowed.shape[1]
        heard = torch.stack(
            [torch.ones_like(fold, dtype=torch.bool) if o is None else fold != o for o in self.without]
        )
        named = heard & (classes >= 0)  # (G, rows)
        share = named / named.sum(1, keepdim=True).clamp(min=1)
        self.weight = torch.zeros(count, z.shape[1], labels, device=z.device, requires_grad=True)
        self.bias = torch.zeros(count, 1, labels, device=z.device, requires_grad=True)
        search = torch.optim.LBFGS(
            [self.weight, self.bias],
            max_iter=_ITERATIONS,
            history_size=10,
            tolerance_grad=1e-5,
            line_search_fn="strong_wolfe",
        )
        truth = classes.clamp(min=0)

        def loss() -> Tensor:
            search.zero_grad()
            logits = (z @ self.weight.transpose(0, 1).flatten(1)).view(-1, count, labels) + self.bias[:, 0]
            logits = logits.masked_fill(~allowed[:, None], -1e4).flatten(0, 1)
            lost = F.cross_entropy(logits, truth.repeat_interleave(count), reduction="none")
            value = (
                lost.view(-1, count) * share.T
            ).sum() + self.how.weight_decay / 2 * self.weight.square().sum()
            value.backward()
            return value

        if labels and bool(named.any()):
            search.step(loss)
        self.weight, self.bias = self.weight.detach(), self.bias.detach()
        rated = torch.isfinite(adv).all(1)
        solved = [ridge(z[some], adv[some], self.how.adv_weight_decay) for some in heard & rated]
        self.adv_weight = torch.stack([weight for weight, _ in solved])
        self.adv_bias = torch.stack([bias[None] for _, bias in solved])

    def said(self, heard: Tensor, folds: npt.NDArray[np.int64] | None = None) -> Taught:
        """What the students hear of some clips.

        Parameters
        ----------
        heard : Tensor (V, N, D) float16
        folds : (N,) int64, optional
            Each clip's own, whose heads are not asked; -1, and none at all, is a clip that no heads heard.

        Returns
        -------
        Taught
            Hints in the basis of `fold`, float16.
        """
        which = (
            [0] * heard.shape[1]
            if folds is None
            else [self.without.index(f if f >= 0 else None) for f in folds]
        )
        at = torch.tensor(which, device=heard.device)
        clips = torch.arange(heard.shape[1], device=heard.device)
        parts = []
        for rows in heard:
            z = ((rows.float() - self.mean) / self.scale) @ self.basis
            logits = (torch.einsum("nc,gcl->gnl", z, self.weight) + self.bias)[at, clips]
            adv = (torch.einsum("nc,gcl->gnl", z, self.adv_weight) + self.adv_bias)[at, clips].clamp(0, 1)
            hint = z[:, : self.how.hint] / self.spread[: self.how.hint]
            parts.append((logits, adv, hint.half()))
        return Taught(*(torch.stack(part) for part in zip(*parts, strict=True)))
