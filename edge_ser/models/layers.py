"""Layers over (clip, channel, frame, band) that leave the padding of short clips out.

A clip alone has zeros beyond its end in front of every convolution. Beside a longer one in a batch it has
whatever normalisation and bias made of them, so these layers blank that before they reach into it: a clip
is answered in a batch as it is alone. (Batch normalisation in training does count the padded frames.)
Valid frames travel with the features; None says that no clip is padded, and then nothing is blanked.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["ConvNorm", "blank", "max_pool", "mean_frames", "thinned"]


def blank(x: Tensor, frames: Tensor | None) -> Tensor:
    """Features (B, C, T, M) with zeros after each clip's own frames (B,)."""
    if frames is None:
        return x
    beyond = torch.arange(x.shape[2], device=x.device)[None] >= frames[:, None]
    return x.masked_fill(beyond[:, None, :, None], 0.0)


def thinned(frames: Tensor | None, stride: int) -> Tensor | None:
    """Valid frames after a layer whose first output is centred on the first frame: every `stride`-th."""
    return frames if frames is None or stride == 1 else (frames + stride - 1) // stride


def max_pool(x: Tensor, frames: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Largest of 3 x 3, halving frames and bands; of values of at least 0, so that blanks never win."""
    return F.max_pool2d(blank(x, frames), 3, stride=2, padding=1), thinned(frames, 2)


def mean_frames(x: Tensor, frames: Tensor | None) -> Tensor:
    """Mean over bands and valid frames: (B, C, T, M) to (B, C)."""
    if frames is None:
        return x.mean((2, 3))
    return blank(x, frames).mean(3).sum(2) / frames[:, None]


class ConvNorm(nn.Module):
    """Convolution without bias, batch normalisation and, where `active`, ReLU.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    kernel : int or (int, int)
        Odd, in frames and bands; the edges are padded with half of it.
    stride : int or (int, int)
        In frames and bands.
    groups : int
        As many as channels makes it depthwise.
    active : bool
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] = 1,
        groups: int = 1,
        active: bool = True,
    ) -> None:
        super().__init__()
        size = (kernel, kernel) if isinstance(kernel, int) else kernel
        step = (stride, stride) if isinstance(stride, int) else stride
        padding = (size[0] // 2, size[1] // 2)
        self.conv = nn.Conv2d(inputs, outputs, size, stride=step, padding=padding, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)
        self.kernel, self.stride, self.active = max(size), step[0], active
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")

    def fold(self) -> None:
        """Take the normalisation into the convolution, for inference; once is all it takes."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv, self.norm = fuse_conv_bn_eval(self.conv, self.norm), nn.Identity()

    def forward(self, x: Tensor, frames: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Features (B, inputs, T, M) and valid frames (B,) or None, to the same of what comes out."""
        x = self.norm(self._convolved(blank(x, frames) if self.kernel > 1 else x))
        return F.relu(x) if self.active else x, thinned(frames, self.stride)

    def _convolved(self, x: Tensor) -> Tensor:
        """The convolution; a depthwise one in float32 even where training computes in bfloat16.

        oneDNN's gradient of depthwise weights takes up to fifty times as long in bfloat16.
        """
        if self.training and self.conv.groups > 1 and torch.is_autocast_enabled(x.device.type):
            with torch.autocast(x.device.type, enabled=False):
                return self.conv(x.float())
        return self.conv(x)
