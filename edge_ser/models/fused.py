"""Layers of the student as training computes them on a processor: the same functions, several times faster.

torch's depthwise convolution over time takes ten times what its arithmetic would, and normalisation and ReLU pass over
memory more often than they need to. Activations are float32 and channels last.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from edge_ser.errors import require

__all__ = ["causal_depthwise", "norm_relu"]


def _kernels() -> Any:
    require("numba", extra="train", purpose="training")
    return importlib.import_module("edge_ser.models.fused_kernels")


def causal_depthwise(x: Tensor, conv: nn.Conv1d) -> Tensor:
    """A depthwise convolution over time that sees no later frame, and zeros before the first.

    Parameters
    ----------
    x : Tensor (B, T, C)
    conv : nn.Conv1d
        Of C groups, without bias.

    Returns
    -------
    Tensor (B, T // stride, C) float32
    """
    assert conv.groups == conv.in_channels == conv.out_channels and conv.bias is None
    y: Tensor = _Depthwise.apply(x, conv.weight[:, 0].t(), conv.stride[0], conv.dilation[0])
    return y


def norm_relu(x: Tensor, norm: nn.Module, more: Tensor | None = None) -> Tensor:
    """``relu(norm(x) + more)`` by the statistics of this batch, which the norm's running ones learn of.

    Parameters
    ----------
    x : Tensor (..., C)
        Channels last.
    norm : nn.BatchNorm1d or nn.BatchNorm2d
        In training.
    more : Tensor (..., C), optional
        Added before the ReLU.

    Returns
    -------
    Tensor (..., C) float32
    """
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    assert norm.num_batches_tracked is not None and norm.momentum is not None
    y, mean, variance = _NormRelu.apply(x, norm.weight, norm.bias, more, norm.eps)
    count = x.numel() // x.shape[-1]
    with torch.no_grad():
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * (count / (count - 1)), norm.momentum)
        norm.num_batches_tracked += 1
    return y


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
        x, weight = x.float().contiguous(), weight.contiguous()
        ctx.save_for_backward(x, weight)
        ctx.reach = stride, dilation
        y = x.new_empty(x.shape[0], x.shape[1] // stride, x.shape[2])
        _kernels().depthwise(x.numpy(), weight.numpy(), *ctx.reach, y.numpy())
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, weight = ctx.saved_tensors
        g = gradients[0].float().contiguous()
        gx, gw = torch.zeros_like(x), torch.zeros_like(weight)
        _kernels().depthwise_back(x.numpy(), weight.numpy(), g.numpy(), *ctx.reach, gx.numpy(), gw.numpy())
        return gx, gw, None, None


class _NormRelu(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, more: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        channels = x.shape[-1]
        # Rows of a few channels would leave a processor's registers half empty: several are taken as one.
        wide = _wide(x.numel() // channels, channels)
        rows = x.float().contiguous().view(-1, wide * channels)
        count = len(rows) * wide
        about = rows[0].view(wide, channels).mean(0)  # not far from the mean, so that little cancels
        total = torch.zeros(2, wide * channels, dtype=torch.float64)
        kernels = _kernels()
        kernels.sums(rows.numpy(), about.repeat(wide).numpy(), total.numpy())
        off, squares = total.view(2, wide, channels).sum(1) / count
        mean, variance = about + off, squares - off * off
        inverse = torch.rsqrt(variance + eps)
        scale = weight * inverse
        line = torch.stack([scale, bias - scale * mean]).float()
        added = (
            rows.new_empty(0, wide * channels) if more is None else more.float().contiguous().view_as(rows)
        )
        y = torch.empty_like(rows)
        kernels.normalised(rows.numpy(), line.repeat(1, wide).numpy(), added.numpy(), y.numpy())
        mean, variance, inverse = mean.float(), variance.float(), inverse.float()
        ctx.save_for_backward(rows, y, weight, mean, inverse)
        ctx.shape, ctx.more = x.shape, more is not None
        ctx.mark_non_differentiable(mean, variance)
        return y.view(x.shape), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, y, weight, mean, inverse = ctx.saved_tensors
        channels, wide = len(mean), rows.shape[1] // len(mean)
        count = len(rows) * wide
        g = gradients[0].float().contiguous().view_as(rows)
        gated = torch.empty_like(rows)
        gx = torch.empty_like(rows) if ctx.more else gated
        total = torch.zeros(2, wide * channels, dtype=torch.float64)
        kernels = _kernels()
        kernels.normalised_back(
            y.numpy(), g.numpy(), rows.numpy(), mean.repeat(wide).numpy(), gated.numpy(), total.numpy()
        )
        level, along = total.view(2, wide, channels).sum(1)
        along = along * inverse  # the sum of its product with the normalised x
        # scale (gated - its mean - normalised x times the mean of that product), as one linear map of gated and x
        scale = weight * inverse
        slope = -scale * inverse * along / count
        plane = torch.stack([scale, slope, -scale * level / count - slope * mean]).float()
        kernels.regressed(gated.numpy(), rows.numpy(), plane.repeat(1, wide).numpy(), gx.numpy())
        more = gated.view(ctx.shape) if ctx.more else None
        return gx.view(ctx.shape), along.float(), level.float(), more, None


def _wide(rows: int, channels: int) -> int:
    """How many rows are taken as one: a power of two that divides them, 128 channels or a little more in all."""
    wide = 1
    while wide * channels < 128 and rows % (2 * wide) == 0:
        wide *= 2
    return wide
