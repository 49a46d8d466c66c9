"""Connectionist temporal classification (Graves et al. 2006, ICML): loss, alignments, and what is heard without one.

A network says for each frame how likely each label and a blank are; a path through the frames says a text when
repeats are merged and then blanks dropped. The loss sums over all paths that say the target, the alignment is the
likeliest of them.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from edge_ser.errors import EdgeSerError, require

__all__ = ["Alignment", "collapse", "ctc_align", "ctc_greedy", "ctc_loss"]


class Alignment(NamedTuple):
    """The likeliest path of each sequence of a batch.

    Attributes
    ----------
    labels : Tensor (B, T) int64
        The label of each frame, the blank among them; -1 beyond a sequence's frames and where there is no path.
    tokens : Tensor (B, T) int64
        Which label of the target that is, from 0; -1 for the blank, beyond, and where there is no path.
    scores : Tensor (B,)
        Logarithm of the path's probability, in the precision of the input; minus infinity where there is no path.
    """

    labels: Tensor
    tokens: Tensor
    scores: Tensor

    def spans(self, index: int) -> list[tuple[int, int]]:
        """First frame of each label of one sequence's target, and one beyond its last; none where there is no path."""
        tokens = self.tokens[index].numpy()
        return [
            (int(own[0]), int(own[-1]) + 1)
            for own in (np.flatnonzero(tokens == k) for k in range(int(tokens.max(initial=-1)) + 1))
        ]


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor,
    target_lengths: Tensor,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """What `torch.nn.functional.ctc_loss` computes, on the CPU: value and gradient agree to 1e-5, mostly to the bit.

    Parameters
    ----------
    log_probs : Tensor (T, B, C) or (T, C), float32 or float64
        Logarithms of probabilities, from `torch.log_softmax`. All is computed in their precision: in float32 the error
        of the gradient grows with the frames, to about 1e-4 for a hundred and 3e-3 for five hundred, torch's alike.
    targets : Tensor (B, L) or (sum of target_lengths,), int64 or int32
        Labels 0..C - 1 without the blank, padded with anything or one after the other.
    input_lengths, target_lengths : Tensor (B,) of whole numbers
        Frames of each sequence, at most T, and labels of its target; both may be 0. Without a batch, of shape () or
        (1,).
    blank : int
    reduction : {'none', 'mean', 'sum'}
        'mean' divides each loss by its target's length (at least 1) and takes the mean over the batch.
    zero_infinity : bool
        Of a target that no path says, the loss and its gradient are 0; otherwise the loss is infinite and its gradient
        NaN. A target needs as many frames as it has labels, and one more for each label that repeats the one before.

    Returns
    -------
    Tensor ()
        Or (B,) for the reduction 'none'; () for a single sequence. The gradient is that with respect to the input of
        the softmax, as torch's: probability minus the share of the paths, 0 beyond a sequence's frames. It can be
        taken once.

    Raises
    ------
    EdgeSerError
        Shapes, types, lengths or labels that do not fit.
    MissingExtraError
        numba is not installed.
    """
    if reduction not in ("none", "mean", "sum"):
        raise EdgeSerError(f"reduction must be 'none', 'mean' or 'sum', not {reduction!r}")
    single = log_probs.ndim == 2
    batch = _Batch.of(log_probs, targets, input_lengths, target_lengths, blank)
    if single:
        log_probs = log_probs[:, None]
    losses: Tensor = _CtcLoss.apply(log_probs, batch, zero_infinity)
    if reduction == "sum":
        return losses.sum()
    if reduction == "mean":
        return (losses / batch.lengths.clamp(min=1).to(losses.device)).mean()
    return losses[0] if single else losses


def ctc_align(
    log_probs: Tensor, targets: Tensor, input_lengths: Tensor, target_lengths: Tensor, blank: int = 0
) -> Alignment:
    """The likeliest path that says each target (Viterbi); parameters and errors as in `ctc_loss`.

    Of paths equally likely, the one is taken that leaves each label latest.

    Returns
    -------
    Alignment
        On the CPU; of one sequence, a batch of one.
    """
    batch = _Batch.of(log_probs, targets, input_lengths, target_lengths, blank)
    values = _numpy(log_probs)
    scores = np.empty(values.shape[1], values.dtype)
    states = np.empty(values.shape[1::-1], np.int64)
    _kernels().best_paths(values, *batch.arrays(), scores, states)
    path = torch.from_numpy(states)
    tokens = torch.where(path % 2 == 1, path // 2, -1)
    labels = torch.full_like(path, blank)
    if batch.targets.shape[1]:
        labels = torch.where(tokens >= 0, batch.targets.gather(1, tokens.clamp(min=0)), labels)
    return Alignment(torch.where(path >= 0, labels, -1), tokens, torch.from_numpy(scores))


def ctc_greedy(log_probs: Tensor, input_lengths: Tensor, blank: int = 0) -> tuple[list[list[int]], Tensor]:
    """What is heard without a target: the likeliest label of each frame, repeats merged and blanks dropped.

    Parameters
    ----------
    log_probs : Tensor (T, B, C) or (T, C)
    input_lengths : Tensor (B,)
    blank : int

    Returns
    -------
    texts : list of list of int
        Labels heard in each sequence.
    path : Tensor (B, T) int64
        The label of each frame, -1 beyond a sequence's.

    Raises
    ------
    EdgeSerError
        As `ctc_loss`.
    """
    none = torch.zeros(1 if log_probs.ndim == 2 else log_probs.shape[1], 0, dtype=torch.int64)
    batch = _Batch.of(log_probs, none, input_lengths, torch.zeros(len(none), dtype=torch.int64), blank)
    values = log_probs[:, None] if log_probs.ndim == 2 else log_probs
    path = values.detach().argmax(2).T.cpu()
    path = torch.where(torch.arange(path.shape[1])[None] < batch.frames[:, None], path, -1)
    return [collapse(row[:n].tolist(), blank) for row, n in zip(path, batch.frames, strict=True)], path


def collapse(path: list[int], blank: int = 0) -> list[int]:
    """What a path says: repeats merged, then blanks dropped."""
    return [
        label
        for i, label in enumerate(path)
        if label != blank and (i == 0 or label != path[i - 1])
    ]  # fmt: skip


class _Batch(NamedTuple):
    """Targets and lengths as the kernels take them."""

    targets: Tensor  # (B, L) int64
    frames: Tensor  # (B,) int64
    lengths: Tensor  # (B,) int64
    blank: int

    @classmethod
    def of(
        cls, log_probs: Tensor, targets: Tensor, input_lengths: Tensor, target_lengths: Tensor, blank: int
    ) -> _Batch:
        if log_probs.ndim not in (2, 3) or log_probs.dtype not in (torch.float32, torch.float64):
            raise EdgeSerError(
                "log_probs must be float32 or float64 of the shape (frames, batch, classes) or (frames, classes), "
                f"not {_about(log_probs)}"
            )
        total, classes = log_probs.shape[0], log_probs.shape[-1]
        size = 1 if log_probs.ndim == 2 else log_probs.shape[1]
        if not 0 <= blank < classes:
            raise EdgeSerError(f"the blank must be one of the {classes} classes, not {blank}")
        frames = _lengths(input_lengths, size, "input_lengths", total)
        lengths = _lengths(target_lengths, size, "target_lengths", None)
        table = _padded(targets, lengths, single=log_probs.ndim == 2)
        used = table[torch.arange(table.shape[1])[None] < lengths[:, None]]
        if used.numel() and (int(used.min()) < 0 or int(used.max()) >= classes):
            raise EdgeSerError(
                f"targets must be labels 0..{classes - 1}, and hold {int(used.min())}..{int(used.max())}"
            )
        if bool((used == blank).any()):
            raise EdgeSerError(f"a target holds {blank}, the blank, which is no label that can be said")
        return cls(table, frames, lengths, blank)

    def arrays(self) -> tuple[Any, ...]:
        """Arguments of the kernels."""
        return self.targets.numpy(), self.frames.numpy(), self.lengths.numpy(), self.blank


class _CtcLoss(torch.autograd.Function):
    """Losses (B,) of log-probabilities (T, B, C); the gradient is computed with them."""

    @staticmethod
    def forward(ctx: Any, log_probs: Tensor, batch: _Batch, zero_infinity: bool) -> Tensor:
        values = _numpy(log_probs)
        losses = np.empty(values.shape[1], values.dtype)
        wanted = ctx.needs_input_grad[0]
        gradients = np.zeros(values.shape if wanted else (0, 0, 0), values.dtype)
        _kernels().losses_and_gradients(values, *batch.arrays(), losses, gradients)
        if zero_infinity:
            impossible = np.isinf(losses)
            losses[impossible] = 0.0
            if wanted:
                gradients[:, impossible] = 0.0
        ctx.save_for_backward(torch.from_numpy(gradients).to(log_probs.device))
        return torch.from_numpy(losses).to(log_probs.device)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, None, None]:
        (gradients,) = ctx.saved_tensors
        return gradients * outer[0][None, :, None], None, None


def _kernels() -> ModuleType:
    require("numba", extra="fast", purpose="connectionist temporal classification")
    return importlib.import_module("edge_ser.training.ctc_kernels")


def _numpy(log_probs: Tensor) -> Any:
    """Log-probabilities (T, B, C) in memory, in their order."""
    values = log_probs[:, None] if log_probs.ndim == 2 else log_probs
    return values.detach().cpu().contiguous().numpy()


def _lengths(values: Tensor, size: int, name: str, most: int | None) -> Tensor:
    values = torch.as_tensor(values)
    if values.is_floating_point() or values.numel() != size or values.ndim > 1:
        raise EdgeSerError(f"{name} must be {size} whole numbers, not {_about(values)}")
    lengths = values.detach().cpu().to(torch.int64).reshape(size)
    if size and (int(lengths.min()) < 0 or (most is not None and int(lengths.max()) > most)):
        limit = "" if most is None else f" and at most {most}, the frames that there are"
        raise EdgeSerError(f"{name} must be at least 0{limit}, not {lengths.tolist()}")
    return lengths


def _padded(targets: Tensor, lengths: Tensor, *, single: bool) -> Tensor:
    """Targets (B, L) from either form."""
    if targets.is_floating_point() or targets.ndim not in (1, 2):
        raise EdgeSerError(f"targets must be whole numbers in one or two dimensions, not {_about(targets)}")
    targets = targets.detach().cpu().to(torch.int64)
    longest = int(lengths.max()) if len(lengths) else 0
    if targets.ndim == 1:
        if single:
            targets = targets[None]
        elif int(lengths.sum()) != len(targets):
            raise EdgeSerError(
                f"target_lengths add up to {int(lengths.sum())}, and there are {len(targets)} labels"
            )
        else:
            return torch.nn.utils.rnn.pad_sequence(
                list(targets.split(lengths.tolist())), batch_first=True
            ).reshape(len(lengths), longest)
    if len(targets) != len(lengths) or longest > targets.shape[1]:
        raise EdgeSerError(
            f"targets of the shape {tuple(targets.shape)} do not hold {len(lengths)} targets of up to {longest} labels"
        )
    return targets.contiguous()


def _about(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of the shape {tuple(tensor.shape)}"
