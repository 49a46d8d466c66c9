"""Losses: emotion with partial label sets, and concordance for arousal, dominance, valence."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["ccc_loss", "emotion_loss", "smooth_targets"]


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
    one_hot = torch.nn.functional.one_hot(labels.clamp(min=0), allowed.shape[1]).float()
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
    rows = torch.isfinite(target).all(1)
    if int(rows.sum()) < 4:
        return predicted.sum() * 0.0
    x, y = predicted[rows], target[rows]
    mean_x, mean_y = x.mean(0), y.mean(0)
    covariance = ((x - mean_x) * (y - mean_y)).mean(0)
    spread = x.var(0, unbiased=False) + y.var(0, unbiased=False) + (mean_x - mean_y) ** 2
    return (1 - 2 * covariance / (spread + 1e-6)).mean()
