"""Weights that act as the eight-bit numbers that they will be on the device."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

__all__ = ["rounded", "weights_rounded"]

_LARGEST = 127


def rounded(weight: Tensor) -> Tensor:
    """A weight rounded to symmetric int8 with a scale for each output channel, as the exported files hold it.

    Parameters
    ----------
    weight : Tensor (outputs, ...)

    Returns
    -------
    Tensor
        Of the same shape; at most half a step, the channel's largest magnitude over 254, from it.
    """
    largest = weight.abs().amax(tuple(range(1, weight.dim())), keepdim=True)
    step = (largest / _LARGEST).clamp_min(torch.finfo(weight.dtype).tiny)
    return torch.round(weight / step).clamp(-_LARGEST, _LARGEST) * step


@contextlib.contextmanager
def weights_rounded(model: nn.Module, *, on: bool = True) -> Iterator[None]:
    """Have convolutions and linear maps act with rounded weights inside, and give the weights back at the end.

    Gradients taken inside fall to the weights as they were: the straight-through estimator (arXiv 1308.3432). Batch
    normalisation scales whole output channels, so rounding before it is folded in is rounding after.
    """
    kept: list[tuple[Tensor, Tensor]] = []
    if on:
        for module in model.modules():
            if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
                kept.append((module.weight, module.weight.data))
                module.weight.data = rounded(module.weight.data)
    try:
        yield
    finally:
        for weight, data in kept:
            weight.data = data
