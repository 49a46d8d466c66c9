"""ResNet-50 (He et al. 2016, arXiv 1512.03385) on log-mel spectrograms of one channel: one of the large teachers.

The stride of a stage is in its 3 x 3 convolution, as most implementations have it since.
"""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from edge_ser.dsp import MelSpec
from edge_ser.models.base import ClipNetwork, NetworkConfig
from edge_ser.models.layers import ConvNorm, max_pool, mean_frames

__all__ = ["ResNet50"]

_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))  # width of the bottlenecks, their number
_EXPAND = 4


class _Bottleneck(nn.Module):
    """1 x 1 to `width` channels, 3 x 3, 1 x 1 to four times as many, and the input added."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = _EXPAND * width
        self.reduce = ConvNorm(inputs, width, 1)
        self.conv = ConvNorm(width, width, 3, stride=stride)
        self.expand = ConvNorm(width, outputs, 1, active=False)
        same = stride == 1 and inputs == outputs
        self.shortcut = None if same else ConvNorm(inputs, outputs, 1, stride=stride, active=False)

    def forward(self, x: Tensor, frames: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """As `ConvNorm`."""
        y, same = self.reduce(x, frames)
        y, same = self.conv(y, same)
        y, same = self.expand(y, same)
        if self.shortcut is not None:
            x, _ = self.shortcut(x, frames)
        return F.relu(x + y), same


class ResNet50(ClipNetwork):
    """Sixteen bottlenecks and the mean over valid frames and bands; 25.6 M parameters with ImageNet's classes.

    Parameters
    ----------
    config : NetworkConfig
        Any number of bands; 32 become one on the way.
    dropout : float
        On the pooled vector, in training.
    """

    spec: ClassVar[MelSpec] = MelSpec(mean=-50.0, scale=20.0)

    def __init__(self, config: NetworkConfig, *, dropout: float = 0.2) -> None:
        super().__init__(config, _EXPAND * _STAGES[-1][0], dropout=dropout)
        self.stem = ConvNorm(1, _STAGES[0][0], 7, stride=2)
        blocks, inputs = [], _STAGES[0][0]
        for stage, (width, count) in enumerate(_STAGES):
            for i in range(count):
                blocks.append(_Bottleneck(inputs, width, 2 if stage > 0 and i == 0 else 1))
                inputs = _EXPAND * width
        self.blocks = nn.ModuleList(blocks)

    def body(self, features: Tensor, frames: Tensor | None) -> Tensor:
        """As `ClipNetwork.body`."""
        x, frames = self.stem(features[:, None], frames)
        x, frames = max_pool(x, frames)
        for block in self.blocks:
            x, frames = block(x, frames)
        return mean_frames(x, frames)
