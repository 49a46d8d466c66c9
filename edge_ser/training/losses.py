"""Losses: emotion with partial label sets, concordance for A/D/V, and what a student learns from a teacher."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["ccc_loss", "emotion_loss", "hint_loss", "quadrant_loss", "smooth_targets", "soft_loss"]


def smooth_targets(labels: Tensor, allowed: Tensor, smoothing: float) -> Tensor:
    """Class targets with label smoothing over the classes that a clip's corpus knows.

    Parameters
    ----------
    labels : Tensor (B,) int64
        Class indices, -1 where unknown.
    allowed : Tensor (B, L) bool
        Classes of the corpus of each clip.
    smoothing : float
        Share of the probability spread evenly over the allowed classes, 0..1.

    Returns
    -------
    Tensor (B, L)
        Rows sum to 1, or are all zero where the label is unknown.
    """
    known = (labels >= 0)[:, None]
    one_hot = (labels[:, None] == torch.arange(allowed.shape[1], device=labels.device)).float()
    spread = allowed.float() / allowed.sum(1, keepdim=True).clamp(min=1)
    return ((1 - smoothing) * one_hot + smoothing * spread) * known


def emotion_loss(logits: Tensor, targets: Tensor, allowed: Tensor) -> Tensor:
    """Mean cross-entropy of soft targets over the classes that each row's corpora know.

    A corpus without, say, 'bored' does not say that its clips are not bored; so that class takes no
    part in the softmax of its clips.

    Parameters
    ----------
    logits, targets : Tensor (B, L)
        Rows of `targets` that are all zero have no label and do not count.
    allowed : Tensor (B, L) bool

    Returns
    -------
    Tensor ()
        0 where no row has a label.
    """
    log_probability = torch.log_softmax(logits.masked_fill(~allowed, -1e4), 1)
    weight = targets.sum(1)
    return -(targets * log_probability).sum() / weight.sum().clamp(min=1.0)


def ccc_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """One minus Lin's concordance correlation, averaged over the columns.

    Parameters
    ----------
    predicted, target : Tensor (B, D)
        Rows with a NaN in `target` do not count.

    Returns
    -------
    Tensor ()
        In 0..2; 0 where fewer than four rows count, too few for a correlation that means something.
    """
    rows = torch.isfinite(target).all(1, keepdim=True)
    share = rows / rows.sum().clamp(min=1)
    # no branch anywhere here: a step must be the same whatever a batch holds, so that an accelerator can replay it
    x, y = torch.where(rows, predicted, 0.0), torch.where(rows, target, 0.0)
    mean_x, mean_y = (x * share).sum(0), (y * share).sum(0)
    apart_x, apart_y = x - mean_x, y - mean_y
    covariance = (apart_x * apart_y * share).sum(0)
    spread = ((apart_x.square() + apart_y.square()) * share).sum(0) + (mean_x - mean_y) ** 2
    return torch.where(rows.sum() >= 4, (1 - 2 * covariance / (spread + 1e-6)).mean(), 0.0)


def soft_loss(logits: Tensor, teacher: Tensor, allowed: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of a teacher's softened answer (Hinton et al. 2015, arXiv 1503.02531), times ``temperature ** 2``.

    Parameters
    ----------
    logits, teacher : Tensor (B, L)
        Of the student and the teacher; rows of `teacher` with a NaN have no answer and do not count.
    allowed : Tensor (B, L) bool
        Classes that take part; rows without any do not count.
    temperature : float
        Above 0; both are divided by it before the softmax.

    Returns
    -------
    Tensor ()
        0 where no row has an answer.
    """
    rows = torch.isfinite(teacher).all(1) & allowed.any(1)
    closed = ~allowed
    known = torch.where(rows[:, None], teacher, 0.0)
    target = torch.softmax((known / temperature).masked_fill(closed, -1e4), 1)
    said = torch.log_softmax((logits / temperature).masked_fill(closed, -1e4), 1)
    return -torch.where(rows, (target * said).sum(1), 0.0).sum() / rows.sum().clamp(min=1) * temperature**2


def hint_loss(predicted: Tensor, hint: Tensor) -> Tensor:
    """One minus the cosine between a student's guess and a teacher's features (FitNets, arXiv 1412.6550).

    Parameters
    ----------
    predicted, hint : Tensor (B, K)
        Rows of `hint` with a NaN do not count.

    Returns
    -------
    Tensor ()
        In 0..2; 0 where no row counts.
    """
    rows = torch.isfinite(hint).all(1)
    alike = torch.nn.functional.cosine_similarity(predicted, torch.where(rows[:, None], hint, 1.0), dim=1)
    return torch.where(rows, 1 - alike, 0.0).sum() / rows.sum().clamp(min=1)


def quadrant_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """How far a student's arousal and valence lie on the other side of 0.5 than they should.

    Wav2Small (arXiv 2408.13920) penalises answers in another quadrant of the arousal-valence plane and does not give
    the formula. Here: the mean of ``relu(-(predicted - 0.5) * sign(target - 0.5))`` over both axes.

    Parameters
    ----------
    predicted, target : Tensor (B, 3)
        Arousal, dominance, valence in 0..1; rows with a NaN in `target` do not count.

    Returns
    -------
    Tensor ()
        In 0..0.5; 0 where no row counts.
    """
    rows = torch.isfinite(target).all(1, keepdim=True)
    apart = (predicted - 0.5) * torch.sign(torch.where(rows, target, 0.5) - 0.5)
    lost = torch.where(rows, torch.relu(-apart), 0.0)
    return (lost[:, 0] + lost[:, 2]).sum() / (2 * rows.sum()).clamp(min=1)
