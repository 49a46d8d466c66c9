"""CNN14 (Kong et al. 2020, PANNs, arXiv 1912.10211) on our front end: one of the large teachers."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError
from edge_ser.models.base import ClipNetwork, NetworkConfig
from edge_ser.models.layers import ConvNorm, blank

__all__ = ["Cnn14"]

_WIDTHS = (64, 128, 256, 512, 1024, 2048)
_SHORTEST = 2 ** (len(_WIDTHS) - 1)  # every block but the last halves frames and bands


class _Pair(nn.Module):
    """Two 3 x 3 convolutions."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.first, self.second = ConvNorm(inputs, width, 3), ConvNorm(width, width, 3)

    def forward(self, x: Tensor, frames: Tensor | None) -> Tensor:
        return self.second(self.first(x, frames)[0], frames)[0]


class Cnn14(ClipNetwork):
    """Six pairs of 3 x 3 convolutions, then the mean and the largest value over time.

    It has 80.8 M parameters with AudioSet's 527 classes. A clip shorter than 32 frames is heard with zeros after it.

    Parameters
    ----------
    config : NetworkConfig
        At least 32 bands.
    dropout : float
        On the pooled vector, in training; between blocks it is 0.2 as published.
    """

    spec: ClassVar[MelSpec] = MelSpec(mean=-50.0, scale=20.0)

    def __init__(self, config: NetworkConfig, *, dropout: float = 0.5) -> None:
        super().__init__(config, _WIDTHS[-1], dropout=dropout)
        if config.n_mels < _SHORTEST:
            raise EdgeSerError(f"cnn14 needs at least {_SHORTEST} bands, not {config.n_mels}")
        self.level = nn.BatchNorm1d(config.n_mels)  # each band to its own mean and spread
        pairs = zip((1, *_WIDTHS[:-1]), _WIDTHS, strict=True)
        self.blocks = nn.ModuleList(_Pair(inputs, width) for inputs, width in pairs)
        self.between = nn.Dropout(0.2)
        self.head = nn.Linear(self.hidden, self.hidden)

    def body(self, features: Tensor, frames: Tensor | None) -> Tensor:
        """As `ClipNetwork.body`."""
        batch, length, _ = features.shape
        if length < _SHORTEST:
            features = F.pad(features, (0, 0, 0, _SHORTEST - length))
            frames = torch.full((batch,), length, device=features.device) if frames is None else frames
        x = self.level(features.transpose(1, 2)).transpose(1, 2)[:, None]
        for i, block in enumerate(self.blocks):
            x = block(x, frames)
            if i < len(self.blocks) - 1:
                x = F.avg_pool2d(blank(x, frames), 2)
                frames = None if frames is None else (frames // 2).clamp_min(1)
            x = self.between(x)
        x = blank(x, frames).mean(3)  # (B, channels, T), none below 0, so a blank is never the largest
        mean = x.mean(2) if frames is None else x.sum(2) / frames[:, None]
        return F.relu(self.head(self.between(x.amax(2) + mean)))
