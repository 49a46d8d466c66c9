"""Causal layers of a streaming network, each with the state that it reaches back to.

How far a convolution moves on and reaches over time (``conv.stride``, ``conv.dilation``) is one frame until the network
sets it, at any time: the weights have the same shape whatever they are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Block", "Pointwise", "StemConv", "TimeConv", "affine"]


class StemConv(nn.Module):
    """3 x 3 convolution over (frame, band), causal in time, halving the bands; keeps the frames it reaches back to."""

    def __init__(self, inputs: int, outputs: int, folded: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride=(1, 2), padding=(0, 1), bias=folded)
        self.norm: nn.Module = nn.Identity() if folded else nn.BatchNorm2d(outputs)

    @property
    def context(self) -> int:
        """Frames before the new ones that it needs."""
        return 3 - self.conv.stride[0]

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, channels, frames, bands), state (B, channels, context, bands)."""
        x = torch.cat([state, x], 2)
        return F.relu(self.norm(self.conv(x))), x[:, :, -self.context :]


class TimeConv(nn.Module):
    """Causal depthwise convolution over time with normalisation and ReLU; keeps the frames it reaches back to."""

    def __init__(self, channels: int, kernel: int, folded: bool) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, kernel, groups=channels, bias=folded)
        self.norm: nn.Module = nn.Identity() if folded else nn.BatchNorm1d(channels)

    @property
    def context(self) -> int:
        """Frames before the new ones that it needs."""
        conv = self.conv
        return (conv.kernel_size[0] - 1) * conv.dilation[0] - (conv.stride[0] - 1)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, channels, frames), state (B, channels, context)."""
        x = torch.cat([state, x], 2)
        return F.relu(self.norm(self.conv(x))), x[:, :, x.shape[2] - self.context :]


class Block(nn.Module):
    """Residual depthwise-separable convolution."""

    def __init__(self, channels: int, kernel: int, folded: bool) -> None:
        super().__init__()
        self.depthwise = TimeConv(channels, kernel, folded)
        self.pointwise = Pointwise(channels, channels, folded)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, channels, frames), state as of its `TimeConv`."""
        h, state = self.depthwise(x, state)
        return F.relu(x + self.pointwise(h)), state


class Pointwise(nn.Module):
    """Linear map of the channels with normalisation."""

    def __init__(self, inputs: int, outputs: int, folded: bool) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, 1, bias=folded)
        self.norm: nn.Module = nn.Identity() if folded else nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, inputs, frames) to (B, outputs, frames)."""
        return self.norm(self.conv(x))


def affine(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Scale and shift that a batch normalisation applies in inference."""
    assert norm.running_var is not None and norm.running_mean is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale
