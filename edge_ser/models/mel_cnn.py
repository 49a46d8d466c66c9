"""Small convolutional networks on mel images, as comparisons of the literature have them."""

from __future__ import annotations

import dataclasses
import itertools
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError
from edge_ser.models.base import ClipNetwork, NetworkConfig
from edge_ser.models.fused import conv_pool_relu, norm_pool_relu, pool_relu
from edge_ser.models.layers import ConvNorm, blank

__all__ = [
    "ConvStack",
    "ImageConfig",
    "MelCnn3",
    "MelCnn4",
    "MelCnn5",
    "OnImages",
    "PooledCnn3",
    "PooledCnn4",
]

SIDE = 128
"""Bands and frames of the image that `MelCnn` sees."""


@dataclasses.dataclass(frozen=True)
class ImageConfig(NetworkConfig):
    """As `NetworkConfig`, with as many bands as the image has."""

    n_mels: int = SIDE


class ConvStack(nn.Sequential):
    """Convolutions of 3 x 3 with batch normalisation and ReLU, each halved by the largest of 2 x 2.

    The largest of ReLU's values is ReLU of the largest, which takes a quarter of the work.

    Parameters
    ----------
    widths : tuple of int
        Channels of each; one comes in.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__(
            *(
                ConvNorm(i, o, 3, active=False) for i, o in zip((1, *widths[:-1]), widths, strict=True)
            )  # in order
        )
        self.widths = widths

    def stage(self, number: int, images: Tensor) -> Tensor:
        """What the layer of a number makes of (B, C, h, w)."""
        layer = self[number]
        assert isinstance(layer, ConvNorm)
        if self.training and isinstance(layer.norm, nn.BatchNorm2d) and images.device.type == "cpu":
            x = layer.conv(images).permute(0, 2, 3, 1)  # half the time of torch's own layers
            return norm_pool_relu(x, layer.norm).permute(0, 3, 1, 2)
        return F.relu(F.max_pool2d(layer(images, None)[0], 2))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, h, w) to (B, channels, h / 2^n, w / 2^n)."""
        for number in range(len(self.widths)):
            images = self.stage(number, images)
        return images


class MelCnn(ClipNetwork):
    """A stack of convolutions on an image of 128 bands by 128 frames, whatever the recording's length.

    Parameters
    ----------
    config : NetworkConfig
        128 bands.
    dropout : float
        Before the last layer, in training.

    Raises
    ------
    EdgeSerError
        Another number of bands.
    """

    spec: ClassVar[MelSpec] = MelSpec(
        n_fft=2048, win_length=2048, hop_length=512, n_mels=128, fmin=0.0, mean=-50.0, scale=20.0
    )
    widths: ClassVar[tuple[int, ...]]
    full: ClassVar[tuple[int, ...]]

    def __init__(self, config: NetworkConfig, *, dropout: float = 0.0) -> None:
        super().__init__(config, self.full[-1], dropout=dropout)
        if config.n_mels != SIDE:
            raise EdgeSerError(f"this network sees images of {SIDE} bands, not {config.n_mels}")
        self.stack = ConvStack(self.widths)
        side = SIDE >> len(self.widths)
        sizes = (self.widths[-1] * side * side, *self.full)
        self.full_layers = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(sizes))

    def body(self, features: Tensor, frames: Tensor | None) -> Tensor:
        """As `ClipNetwork.body`."""
        x = self.stack(self._images(features, frames)).flatten(1)
        for layer in self.full_layers:
            x = self.dropout(F.relu(layer(x))) if layer is not self.full_layers[-1] else F.relu(layer(x))
        return x

    def _images(self, features: Tensor, frames: Tensor | None) -> Tensor:
        """(B, T, 128) to (B, 1, 128, 128): each clip's own frames over the whole width."""
        if frames is not None:
            own = [one[None, : int(n)] for one, n in zip(features, frames, strict=True)]
            return torch.cat([self._images(one, None) for one in own])
        images = features.transpose(1, 2)[:, None]
        if images.shape[3] == SIDE:
            return images
        return F.interpolate(images, (SIDE, SIDE), mode="bilinear", align_corners=False)


class MelCnn3(MelCnn):
    """Three convolutions, two fully connected layers, 1.2 M parameters."""

    widths, full = (16, 32, 64), (72,)


class MelCnn4(MelCnn):
    """Four convolutions, two fully connected layers, 1.8 M parameters."""

    widths, full = (16, 32, 64, 128), (208,)


class MelCnn5(MelCnn):
    """Five convolutions, three fully connected layers, 9.5 M parameters."""

    widths, full = (32, 64, 128, 256, 512), (912, 512)

    def __init__(self, config: NetworkConfig, *, dropout: float = 0.2) -> None:
        super().__init__(config, dropout=dropout)


class PooledCnn(ClipNetwork):
    """Convolutions of 3 x 3 with ReLU, each halved, and the mean over all frames: any length is heard as it is.

    Without batch normalisation, so that a batch may be one clip. The mean is taken over time and over four groups of
    bands, so that the linear layer knows low from high.

    Parameters
    ----------
    config : NetworkConfig
        Bands: a multiple of 4 after all halvings.
    dropout : float
        After each convolution and before the last layer, in training.

    Raises
    ------
    EdgeSerError
        A number of bands that does not fit.
    """

    spec: ClassVar[MelSpec] = MelCnn.spec
    widths: ClassVar[tuple[int, ...]]

    def __init__(self, config: NetworkConfig, *, dropout: float = 0.25) -> None:
        groups = 4
        super().__init__(config, self.widths[-1] * groups, dropout=dropout)
        rows, rest = divmod(config.n_mels, groups << len(self.widths))
        if rest or not rows:
            raise EdgeSerError(
                f"this network needs a multiple of {groups << len(self.widths)} bands, not {config.n_mels}"
            )
        self.rows = rows
        ends = zip((1, *self.widths[:-1]), self.widths, strict=True)
        self.convolutions = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in ends)

    def body(self, features: Tensor, frames: Tensor | None) -> Tensor:
        """As `ClipNetwork.body`; a clip of fewer frames than all halvings take is heard with zeros after it."""
        shortest = 1 << len(self.convolutions)
        if features.shape[1] < shortest:
            features = F.pad(features, (0, 0, 0, shortest - features.shape[1]))
        if self.training and frames is None and features.device.type == "cpu" and not features.requires_grad:
            x = self._trained(features)
        else:
            x = features[:, None]
            for convolution in self.convolutions:
                x = F.relu(F.max_pool2d(convolution(blank(x, frames)), 2))  # in this order it is quicker
                frames = None if frames is None else (frames // 2).clamp_min(1)
                x = self.dropout(x)
        x = blank(x, frames)
        x = F.avg_pool2d(x, (1, self.rows))  # (B, channels, T, 4)
        mean = x.mean(2) if frames is None else x.sum(2) / frames[:, None, None]
        return mean.flatten(1)

    def _trained(self, features: Tensor) -> Tensor:
        """The convolutions in training: the same functions in compiled passes, in half the time of a clip alone."""
        first, *others = (layer for layer in self.convolutions if isinstance(layer, nn.Conv2d))
        x = conv_pool_relu(features, first, self.dropout.p).permute(0, 3, 1, 2)
        for layer in others:
            x = pool_relu(layer(x).permute(0, 2, 3, 1), self.dropout.p).permute(0, 3, 1, 2)
        return x


class PooledCnn3(PooledCnn):
    """Three convolutions."""

    widths = (16, 32, 64)


class PooledCnn4(PooledCnn):
    """Four convolutions."""

    widths = (16, 32, 64, 128)


class OnImages(nn.Module):
    """A network that hears clips (B, T, n_mels), given them as images (B, n_mels, T); its logits.

    Parameters
    ----------
    network : ClipNetwork
    """

    def __init__(self, network: ClipNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, labels)."""
        logits: Tensor = self.network(images.transpose(1, 2))
        return logits
