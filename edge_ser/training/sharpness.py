"""Sharpness-aware minimisation: the gradient of the worst place nearby (Foret et al. 2021, arXiv 2010.01412)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

__all__ = ["uphill"]


@contextlib.contextmanager
def uphill(weights: Sequence[Tensor], radius: float) -> Iterator[None]:
    """Have weights stand a step up their gradient inside, and where they stood, to the bit, at the end.

    Parameters
    ----------
    weights : sequence of Tensor
        With gradients; those without one stay.
    radius : float
        Length of the step over all weights together.
    """
    moved = [weight for weight in weights if weight.grad is not None]
    kept = [weight.data for weight in moved]
    length = torch.sqrt(sum((w.grad.square().sum() for w in moved if w.grad is not None), torch.tensor(0.0)))
    scale = radius / length.clamp_min(torch.finfo(torch.float32).tiny)
    try:
        for weight in moved:
            assert weight.grad is not None
            weight.data = weight.data + scale * weight.grad
        yield
    finally:
        for weight, data in zip(moved, kept, strict=True):
            weight.data = data
