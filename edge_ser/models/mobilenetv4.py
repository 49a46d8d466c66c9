"""MobileNetV4-Conv S, M and L (Qin et al. 2024, arXiv 2404.10518) on log-mel spectrograms of one channel.

The rows below are the paper's tables of the networks. With 1000 classes and three input channels they have
the published 3.77, 9.72 and 32.59 M parameters. (The paper of Wav2Small counts 3.12, 10.38 and 31.87 M for
its own regressors made of them, whose heads it does not describe.)
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple, Self

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_linear_bn_eval

from edge_ser.dsp import MelSpec
from edge_ser.models.base import ClipNetwork, NetworkConfig
from edge_ser.models.layers import ConvNorm, mean_frames

__all__ = ["MobileNetV4L", "MobileNetV4M", "MobileNetV4S"]

_WIDE = 960  # channels before the mean over time
_HIDDEN = 1280
_PARTS = ("before", "expand", "after", "project")  # of a block, in their order


class Conv(NamedTuple):
    """A plain convolution with normalisation and ReLU."""

    kernel: int
    channels: int
    stride: int = 1


class Fused(NamedTuple):
    """A fused inverted bottleneck: a full 3 x 3 convolution that expands four times, then 1 x 1."""

    channels: int
    stride: int = 1


class Uib(NamedTuple):
    """Universal inverted bottlenecks; `before` and `after` the expansion a depthwise kernel, 0 for none."""

    before: int
    after: int
    expand: int
    channels: int
    stride: int = 1
    repeat: int = 1

    @property
    def kind(self) -> str:
        """Its name in the paper."""
        names = {
            (True, True): "ExtraDW",
            (False, True): "IB",
            (True, False): "ConvNext",
            (False, False): "FFN",
        }
        return names[self.before > 0, self.after > 0]


Row = Conv | Fused | Uib


class _Bottleneck(nn.Module):
    """One universal inverted bottleneck."""

    def __init__(self, inputs: int, row: Uib, stride: int) -> None:
        super().__init__()
        wide = inputs * row.expand
        early = 1 if row.after else stride  # the stride is that of the last depthwise convolution
        self.before = (
            ConvNorm(inputs, inputs, row.before, stride=early, groups=inputs, active=False)
            if row.before
            else None
        )
        self.expand = ConvNorm(inputs, wide, 1)
        self.after = ConvNorm(wide, wide, row.after, stride=stride, groups=wide) if row.after else None
        self.project = ConvNorm(wide, row.channels, 1, active=False)
        self.skips = stride == 1 and inputs == row.channels

    def forward(self, x: Tensor, frames: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """As `ConvNorm`."""
        y = x
        for conv in (self.before, self.expand, self.after, self.project):
            if conv is not None:
                y, frames = conv(y, frames)
        return x + y if self.skips else y, frames


class _FusedBottleneck(nn.Module):
    """One fused inverted bottleneck."""

    def __init__(self, inputs: int, row: Fused) -> None:
        super().__init__()
        self.expand = ConvNorm(inputs, 4 * inputs, 3, stride=row.stride)
        self.project = ConvNorm(4 * inputs, row.channels, 1, active=False)
        self.skips = row.stride == 1 and inputs == row.channels

    def forward(self, x: Tensor, frames: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """As `ConvNorm`."""
        y, frames = self.expand(x, frames)
        y, frames = self.project(y, frames)
        return x + y if self.skips else y, frames


def _blocks(inputs: int, row: Row) -> list[nn.Module]:
    if isinstance(row, Conv):
        return [ConvNorm(inputs, row.channels, row.kernel, stride=row.stride)]
    if isinstance(row, Fused):
        return [_FusedBottleneck(inputs, row)]
    first = _Bottleneck(inputs, row, row.stride)
    return [first, *(_Bottleneck(row.channels, row, 1) for _ in range(row.repeat - 1))]


class _MobileNetV4(ClipNetwork):
    """The networks; a mean over valid frames and bands, then a layer of 1280 that the heads see.

    Parameters
    ----------
    config : NetworkConfig
        Any number of bands; 32 become one on the way.
    dropout : float
        On the pooled vector, in training.
    """

    spec: ClassVar[MelSpec] = MelSpec(mean=-50.0, scale=20.0)
    stem: ClassVar[int]
    rows: ClassVar[tuple[Row, ...]]

    def __init__(self, config: NetworkConfig, *, dropout: float = 0.2) -> None:
        super().__init__(config, _HIDDEN, dropout=dropout)
        blocks: list[nn.Module] = [ConvNorm(1, self.stem, 3, stride=2)]
        inputs = self.stem
        for row in self.rows:
            blocks += _blocks(inputs, row)
            inputs = row.channels
        self.blocks = nn.ModuleList([*blocks, ConvNorm(inputs, _WIDE, 1)])
        self.head = nn.Linear(_WIDE, _HIDDEN, bias=False)
        self.norm: nn.Module = nn.BatchNorm1d(_HIDDEN)

    def fold(self) -> Self:
        """As `ClipNetwork.fold`, the head's normalisation too."""
        folded = super().fold()
        if isinstance(folded.norm, nn.BatchNorm1d):
            folded.head, folded.norm = fuse_linear_bn_eval(folded.head, folded.norm), nn.Identity()
        return folded

    def chains(self) -> list[list[str]]:
        """As `ClipNetwork.chains`: the plain convolutions at the start, and the inside of each block."""
        chains: list[list[str]] = [[]]
        for index, block in enumerate(self.blocks):
            if isinstance(block, ConvNorm):
                chains[-1].append(f"blocks.{index}")
                continue
            parts = [part for part in _PARTS if getattr(block, part, None) is not None]
            chains += [[f"blocks.{index}.{part}" for part in parts], []]
        return [chain for chain in chains if len(chain) > 1]

    def body(self, features: Tensor, frames: Tensor | None) -> Tensor:
        """As `ClipNetwork.body`."""
        x = features[:, None]
        for block in self.blocks:
            x, frames = block(x, frames)
        return F.relu(self.norm(self.head(mean_frames(x, frames))))


class MobileNetV4S(_MobileNetV4):
    """MobileNetV4-Conv-S: 2 496 291 parameters with the A/D/V head alone."""

    stem = 32
    rows = (
        Conv(3, 32, stride=2),
        Conv(1, 32),
        Conv(3, 96, stride=2),
        Conv(1, 64),
        Uib(5, 5, 3, 96, stride=2),
        Uib(0, 3, 2, 96, repeat=4),
        Uib(3, 0, 4, 96),
        Uib(3, 3, 6, 128, stride=2),
        Uib(5, 5, 4, 128),
        Uib(0, 5, 4, 128),
        Uib(0, 5, 3, 128),
        Uib(0, 3, 4, 128, repeat=2),
    )


class MobileNetV4M(_MobileNetV4):
    """MobileNetV4-Conv-M: 8.4 M parameters with the A/D/V head alone."""

    stem = 32
    rows = (
        Fused(48, stride=2),
        Uib(3, 5, 4, 80, stride=2),
        Uib(3, 3, 2, 80),
        Uib(3, 5, 6, 160, stride=2),
        Uib(3, 3, 4, 160, repeat=2),
        Uib(3, 5, 4, 160),
        Uib(3, 3, 4, 160),
        Uib(3, 0, 4, 160),
        Uib(0, 0, 2, 160),
        Uib(3, 0, 4, 160),
        Uib(5, 5, 6, 256, stride=2),
        Uib(5, 5, 4, 256),
        Uib(3, 5, 4, 256, repeat=2),
        Uib(0, 0, 4, 256),
        Uib(3, 0, 4, 256),
        Uib(3, 5, 2, 256),
        Uib(5, 5, 4, 256),
        Uib(0, 0, 4, 256, repeat=2),
        Uib(5, 0, 2, 256),
    )


class MobileNetV4L(_MobileNetV4):
    """MobileNetV4-Conv-L: 31.3 M parameters with the A/D/V head alone."""

    stem = 24
    rows = (
        Fused(48, stride=2),
        Uib(3, 5, 4, 96, stride=2),
        Uib(3, 3, 4, 96),
        Uib(3, 5, 4, 192, stride=2),
        Uib(3, 3, 4, 192, repeat=3),
        Uib(3, 5, 4, 192),
        Uib(5, 3, 4, 192, repeat=5),
        Uib(3, 0, 4, 192),
        Uib(5, 5, 4, 512, stride=2, repeat=4),
        Uib(5, 0, 4, 512),
        Uib(5, 3, 4, 512),
        Uib(5, 0, 4, 512, repeat=2),
        Uib(5, 3, 4, 512),
        Uib(5, 5, 4, 512),
        Uib(5, 0, 4, 512, repeat=3),
    )
