"""Layers of the student as training computes them on a processor: the same functions, several times faster.

torch's depthwise convolution over time takes ten times what its arithmetic would, and normalisation and ReLU pass over
memory more often than they need to. Activations are float32 and channels last.
"""

from __future__ import annotations

import functools
import importlib
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from edge_ser.errors import require

__all__ = ["causal_depthwise", "conv_pool_relu", "norm_pool_relu", "norm_relu", "pool_relu"]


@functools.cache
def _kernels(name: str = "fused_kernels") -> Any:
    require("numba", extra="train", purpose="training")
    return importlib.import_module(f"edge_ser.models.{name}")


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
    y, moments = _NormRelu.apply(x, norm.weight, norm.bias, more, norm.eps)
    _learn(norm, moments, x.numel() // x.shape[-1])
    return y


def conv_pool_relu(images: Tensor, conv: nn.Conv2d, dropout: float = 0.0) -> Tensor:
    """The largest of each 2 x 2 of ``relu(conv(images))``, for images of one channel that need no gradient.

    Parameters
    ----------
    images : Tensor (B, H, W) float32
    conv : nn.Conv2d
        Of 3 x 3 and one channel, padded by 1, with a bias.
    dropout : float
        As of `pool_relu`.

    Returns
    -------
    Tensor (B, H // 2, W // 2, C)
        bfloat16 where torch computes in it of itself, else float32.
    """
    assert conv.in_channels == 1 and conv.kernel_size == (3, 3) and conv.padding == (1, 1)
    y: Tensor = _ConvPoolRelu.apply(images, conv.weight, conv.bias, dropout)
    return y


def pool_relu(x: Tensor, dropout: float = 0.0) -> Tensor:
    """The largest of each 2 x 2 of ``relu(x)``.

    Parameters
    ----------
    x : Tensor (B, H, W, C)
        Channels last, float32 or bfloat16.
    dropout : float
        Share that is set to 0 by chance, to 1 / 65536, while the rest grows by as much; of 16 bits a value of torch's
        generator, which is several times as fast as torch's own dropout.

    Returns
    -------
    Tensor (B, H // 2, W // 2, C)
        Of the kind of `x`.
    """
    y: Tensor = _PoolRelu.apply(x, dropout)
    return y


def norm_pool_relu(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """The largest of each 2 x 2 of ``relu(norm(x))`` by the statistics of this batch, which the norm learns of.

    Parameters
    ----------
    x : Tensor (B, H, W, C)
        Channels last, float32 or bfloat16; sums are float32 and float64.
    norm : nn.BatchNorm2d
        In training.

    Returns
    -------
    Tensor (B, H // 2, W // 2, C)
        Of the kind of `x`.
    """
    y: Tensor
    y, moments = _NormPoolRelu.apply(x, norm.weight, norm.bias, norm.eps)
    _learn(norm, moments, x.numel() // x.shape[-1])
    return y


def _learn(norm: nn.BatchNorm1d | nn.BatchNorm2d, moments: Tensor, count: int) -> None:
    """Running statistics from those of a batch of so many rows."""
    assert norm.running_mean is not None and norm.running_var is not None
    assert norm.num_batches_tracked is not None and norm.momentum is not None
    mean, variance = moments
    with torch.no_grad():
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * (count / (count - 1)), norm.momentum)
        norm.num_batches_tracked += 1


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
    ) -> tuple[Tensor, Tensor]:
        channels = x.shape[-1]
        # Rows of a few channels would leave a processor's registers half empty: several are taken as one.
        rows = x.float().contiguous().view(-1, _wide(x.numel() // channels, channels) * channels)
        added = rows[:0] if more is None else more.float().contiguous().view_as(rows)
        y, moments = torch.empty_like(rows), rows.new_empty(2, channels)
        _kernels().normalised(
            *(t.numpy() for t in (rows, weight, bias, added)), eps, y.numpy(), moments.numpy()
        )
        ctx.save_for_backward(rows, y, weight, moments)
        ctx.shape, ctx.more, ctx.eps = x.shape, more is not None, eps
        ctx.mark_non_differentiable(moments)
        return y.view(x.shape), moments

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, y, weight, moments = ctx.saved_tensors
        g = gradients[0].float().contiguous().view_as(rows)
        gated, gs = torch.empty_like(rows), torch.empty_like(moments)
        gx = torch.empty_like(rows) if ctx.more else rows[:0]
        given = (t.numpy() for t in (y, g, rows, weight, moments))
        _kernels().normalised_back(*given, ctx.eps, gated.numpy(), gx.numpy(), gs.numpy())
        gated = gated.view(ctx.shape)
        return gx.view(ctx.shape) if ctx.more else gated, gs[0], gs[1], gated if ctx.more else None, None


class _NormPoolRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        kernels = _kernels("pooled_kernels")
        x = x.contiguous()
        batch, high, broad, channels = x.shape
        moments = weight.new_empty(2, channels)
        rows = x.view(-1, _wide(x.numel() // channels, channels) * channels)
        _kernels().moments_of(_stored(rows), moments.numpy())
        scale = weight / torch.sqrt(moments[1] + eps)
        line = torch.stack([scale, bias - scale * moments[0]])
        y = x.new_empty(batch, high // 2, broad // 2, channels)
        place = torch.empty(y.shape, dtype=torch.uint8)
        kernels.pooled(_stored(x), line.numpy(), _stored(y), place.numpy())
        ctx.save_for_backward(x, place, weight, moments)
        ctx.eps = eps
        ctx.mark_non_differentiable(moments)
        return y, moments

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, place, weight, moments = ctx.saved_tensors
        g = gradients[0].contiguous()
        gx, gs = torch.empty_like(x), torch.empty_like(moments)
        _kernels("pooled_kernels").pooled_back(
            _stored(g),
            place.numpy(),
            _stored(x),
            weight.numpy(),
            moments.numpy(),
            ctx.eps,
            _stored(gx),
            gs.numpy(),
        )
        return gx, gs[0], gs[1], None


class _ConvPoolRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, dropout: float) -> Tensor:
        padded = nn.functional.pad(images.contiguous(), (1, 1, 1, 1))
        batch, high, broad = images.shape
        shape = (batch, high // 2, broad // 2, len(weight))
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
        y, place = torch.empty(shape, dtype=kind), torch.empty(shape, dtype=torch.uint8)
        columns = weight.reshape(len(weight), 9).t().contiguous()
        given = (padded.numpy(), columns.numpy(), bias.numpy())
        _kernels("pooled_kernels").convolved(*given, *_chance(shape, dropout), _stored(y), place.numpy())
        ctx.save_for_backward(padded, place)
        ctx.scale = 1 / (1 - dropout)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        padded, place = ctx.saved_tensors
        g = gradients[0].contiguous()
        gs = torch.zeros(10, g.shape[3])
        _kernels("pooled_kernels").convolved_back(
            padded.numpy(), _stored(g), place.numpy(), ctx.scale, gs.numpy()
        )
        return None, gs[:9].t().reshape(-1, 1, 3, 3), gs[9], None


class _PoolRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dropout: float) -> Tensor:
        x = x.contiguous()
        shape = (x.shape[0], x.shape[1] // 2, x.shape[2] // 2, x.shape[3])
        y, place = x.new_empty(shape), torch.empty(shape, dtype=torch.uint8)
        _kernels("pooled_kernels").shrunk(_stored(x), *_chance(shape, dropout), _stored(y), place.numpy())
        ctx.save_for_backward(place)
        ctx.shape, ctx.scale = x.shape, 1 / (1 - dropout)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (place,) = ctx.saved_tensors
        g = gradients[0].contiguous()
        even = ctx.shape[1] % 2 == ctx.shape[2] % 2 == 0
        gx = (torch.empty if even else torch.zeros)(ctx.shape, dtype=g.dtype)
        _kernels("pooled_kernels").shrunk_back(_stored(g), place.numpy(), ctx.scale, _stored(gx))
        return gx, None


def _chance(shape: tuple[int, ...], dropout: float) -> tuple[Any, int, float]:
    """16 random bits for each value, from which on it is kept, and by how much it then grows."""
    n = math.prod(shape)
    words = torch.empty((n + 3) // 4, dtype=torch.int64)
    if dropout:
        words.random_(-(2**63), None)
    else:
        words.zero_()
    drawn = words.view(torch.int16)[:n].view(shape)
    return drawn.numpy(), round(dropout * 65536) - 32768, 1 / (1 - dropout)


def _stored(x: Tensor) -> Any:
    """A NumPy view; of bfloat16, which NumPy does not have, its bits."""
    return x.detach().view(torch.uint16).numpy() if x.dtype == torch.bfloat16 else x.detach().numpy()


def _wide(rows: int, channels: int) -> int:
    """How many rows are taken as one: a power of two that divides them, 128 channels or a little more in all."""
    wide = 1
    while wide * channels < 128 and rows % (2 * wide) == 0:
        wide *= 2
    return wide
