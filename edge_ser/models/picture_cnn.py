"""A small convolutional network on pictures of spectrograms, and ResNet-50 as one."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError
from edge_ser.models.base import ClipNetwork, NetworkConfig
from edge_ser.models.mel_cnn import ConvStack
from edge_ser.models.resnet import ResNet50

__all__ = ["OnPictures", "PictureCnn", "PictureResNet50"]

#: Rows (frequency) and columns (time) of a picture.
ROWS, COLUMNS = 50, 150
_LEAST = 1e-9
_LEAST_RANGE = 0.1  # of the logarithms, between rounding and sound: what is all alike is a black picture


class PictureCnn(ClipNetwork):
    """Three convolutions on a grey picture of the recording, the mean over time, two layers.

    The picture is that of `edge_ser.features.pictures.mel_picture`, read by `read_pictures`: the logarithm of mel
    magnitudes, stretched over all greys and brought to 50 x 150, so that how loud a recording is cannot be seen. Its
    greys are no whole numbers, since no two engines would round them alike. Where in time something stands does not
    matter, where in frequency does.

    Parameters
    ----------
    config : NetworkConfig
        Bands of the mel spectrum.
    dropout : float
        Before each of the two layers, in training.
    """

    #: Mel magnitudes, of which the network takes the logarithm itself: it lies between a sum and its neighbour.
    spec: ClassVar[MelSpec] = MelSpec(
        n_fft=1024, win_length=1024, hop_length=240, n_mels=128, fmin=0.0, power=1.0, log="none", floor=1e-30,
        padding="center",
    )  # fmt: skip
    widths: ClassVar[tuple[int, ...]] = (16, 32, 64)

    def __init__(self, config: NetworkConfig, *, dropout: float = 0.3) -> None:
        super().__init__(config, 64, dropout=dropout)
        self.stack = ConvStack(self.widths)
        self.full = nn.Linear(self.widths[-1] * (ROWS >> len(self.widths)), 64)

    def body(self, features: Tensor, frames: Tensor | None) -> Tensor:
        """As `ClipNetwork.body`."""
        return self.seen(self.drawn(features, frames))

    def seen(self, pictures: Tensor) -> Tensor:
        """Pictures (B, 1, 50, columns) in -1..1 to what the heads hear, (B, 64)."""
        return F.relu(self.full(self.dropout(self.stack(pictures).mean(3).flatten(1))))

    def drawn(self, features: Tensor, frames: Tensor | None) -> Tensor:
        """Mel magnitudes (B, T, n_mels) to pictures (B, 1, 50, 150), each of its own frames, between its extremes."""
        if frames is not None:
            own = [one[None, : int(n)] for one, n in zip(features, frames, strict=True)]
            return torch.cat([self.drawn(one, None) for one in own])
        # log(x + 1e-9) but for a constant, which the stretch takes away: converters leave out a sum with so little.
        logs = torch.log(F.relu(features) / _LEAST + 1).transpose(1, 2).flip(1)
        low, high = logs.amin((1, 2), keepdim=True), logs.amax((1, 2), keepdim=True)
        light = (logs - low) / (high - low).clamp_min(_LEAST_RANGE)
        light = _resizing(ROWS, light.shape[1]).to(light.device) @ light
        light = light @ _resizing(COLUMNS, light.shape[2]).T.to(light.device)
        return (2 * light - 1)[:, None]

    def check_crop(self, frames: int) -> None:
        """Refuse: recipes change features as decibels, and these are none."""
        raise EdgeSerError("cnn-2d sees pictures; train it with edge-ser study spectral-features")


def _resizing(wanted: int, size: int) -> Tensor:
    """(wanted, size): what brings one side of a picture to another size.

    Where it becomes smaller, neighbours are weighed by a triangle as wide as the new pixels are.
    """
    scale = size / wanted
    centre = (np.arange(wanted)[:, None] + 0.5) * scale
    weight = np.maximum(0.0, 1 - np.abs((np.arange(size) + 0.5 - centre) / max(scale, 1.0)))
    return torch.from_numpy((weight / weight.sum(1, keepdims=True)).astype(np.float32))


class OnPictures(nn.Module):
    """A `PictureCnn` given its pictures: (B, 1, 50, columns) to logits (B, labels).

    Parameters
    ----------
    network : PictureCnn
    """

    def __init__(self, network: PictureCnn) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits (B, labels)."""
        return self.network.logits(self.network.dropout(self.network.seen(pictures)))


class PictureResNet50(nn.Module):
    """ResNet-50 (`edge_ser.models.resnet`) on pictures of one channel: (B, 1, rows, columns) to logits.

    Parameters
    ----------
    classes : int
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        names = tuple(f"class {k}" for k in range(classes))
        self.net = ResNet50(NetworkConfig(names), dropout=0.0)
        del self.net.adv  # pictures are rated by nobody
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits (B, classes)."""
        return self.net.logits(self.net.body(pictures[:, 0], None))
