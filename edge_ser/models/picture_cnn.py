"""A small convolutional network on pictures of spectrograms, and ResNet-50 as one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge_ser.errors import EdgeSerError
from edge_ser.models.base import NetworkConfig
from edge_ser.models.mel_cnn import ConvStack
from edge_ser.models.resnet import ResNet50

__all__ = ["PictureCnn", "PictureResNet50"]


class PictureCnn(nn.Module):
    """Three convolutions, the mean over time, two layers: (B, 1, rows, columns) to logits.

    Where in time something stands does not matter to it, where in frequency does.

    Parameters
    ----------
    classes : int
    rows : int
        Of the pictures, at least 8; any number of columns from 8.
    widths : tuple of int
        Channels.
    dropout : float
        Before each of the two layers, in training.

    Raises
    ------
    EdgeSerError
        Too few rows.
    """

    def __init__(
        self, classes: int, rows: int = 50, widths: tuple[int, ...] = (16, 32, 64), dropout: float = 0.3
    ) -> None:
        super().__init__()
        left = rows >> len(widths)
        if left < 1:
            raise EdgeSerError(f"pictures of {rows} rows cannot be halved {len(widths)} times")
        self.stack = ConvStack(widths)
        self.full = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(widths[-1] * left, 64),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(64, classes),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits (B, classes)."""
        return self.full(self.stack(pictures).mean(3).flatten(1))


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
