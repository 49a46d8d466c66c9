"""A convolutional network on the waveform, like the M5 of Dai et al. 2016, "Very deep convolutional neural networks for
raw waveforms" (arXiv 1610.00087).
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError
from edge_ser.models.base import CLIP_S, ClipNetwork, NetworkConfig
from edge_ser.models.layers import ConvNorm, blank, mean_frames

__all__ = ["WaveformCnn", "WaveformConfig"]

_BLOCKS, _THINNED = 5, 4


@dataclasses.dataclass(frozen=True)
class WaveformConfig(NetworkConfig):
    """As `NetworkConfig`; a waveform is one band.

    Attributes
    ----------
    width : int
        Channels of the first two convolutions; the last two have twice as many. M5 has 128, and four times as many in
        the last.
    stride : int
        Samples from filter to filter of the first convolution, a fifth of its length: 80 samples and 16, where M5 has
        80 and 4.
    """

    n_mels: int = 1
    width: int = 32
    stride: int = 16


class WaveformCnn(ClipNetwork):
    """Four convolutions with batch normalisation and ReLU, each thinned by four, the mean over time, two layers.

    What it hears are samples in -1..1, (B, samples, 1); its front end says how many come in a second, and how far it is
    from one answer to the next.

    Parameters
    ----------
    config : WaveformConfig
        One band.
    dropout : float
        Before the last layer, in training.

    Raises
    ------
    EdgeSerError
        More than one band, or a number below 1.
    """

    spec: ClassVar[MelSpec] = MelSpec(hop_length=240, n_mels=1)
    hears_waveform: ClassVar[bool] = True
    hears_features: ClassVar[bool] = False

    def __init__(self, config: NetworkConfig, *, dropout: float = 0.1) -> None:
        assert isinstance(config, WaveformConfig)
        if config.n_mels != 1 or min(config.width, config.stride) < 1:
            raise EdgeSerError("a network on waveforms needs one band, channels and a stride of at least 1")
        width = config.width
        super().__init__(config, 2 * width, dropout=dropout)
        # A stride cuts the waveform into blocks; filters over whole blocks are products of matrices, and so quick.
        ends = itertools.pairwise((config.stride, width, width, 2 * width, 2 * width))
        self.layers = nn.ModuleList(ConvNorm(i, o, (3 if k else _BLOCKS, 1)) for k, (i, o) in enumerate(ends))
        self.full = nn.Linear(2 * width, 2 * width)

    @classmethod
    def heard(cls, wave: np.ndarray, spec: MelSpec) -> np.ndarray:
        """The samples themselves, (n, 1) float32."""
        return np.asarray(wave, np.float32)[:, None]

    def body(self, features: Tensor, frames: Tensor | None) -> Tensor:
        """As `ClipNetwork.body`, of samples (B, n, 1)."""
        stride = self.config.stride  # type: ignore[attr-defined]
        x = blank(features[:, None], frames)
        x = F.pad(x, (0, 0, 0, -x.shape[2] % stride))
        x = x.reshape(x.shape[0], -1, stride).transpose(1, 2)[..., None]
        frames = None if frames is None else (frames + stride - 1) // stride
        for layer in self.layers:
            x, frames = layer(x, frames)
            x = F.pad(blank(x, frames), (0, 0, 0, -x.shape[2] % _THINNED))  # zeros: ReLU never lets them win
            x = F.max_pool2d(x, (_THINNED, 1))
            frames = None if frames is None else (frames + _THINNED - 1) // _THINNED
        return F.relu(self.full(mean_frames(x, frames)))

    def hear(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """As `ClipNetwork.hear`."""
        return self.answer(self.body(waveform[:, :, None], None))

    def check_crop(self, frames: int) -> None:
        """Refuse: recipes cut frames of a front end, and this has none."""
        raise EdgeSerError("cnn-1d hears waveforms; train it with edge-ser study spectral-features")

    def rehearse(self, spec: MelSpec) -> float:
        """As `Network.rehearse`."""
        self.answer(self.body(torch.zeros(1, round(CLIP_S * spec.sample_rate), 1), None))
        return CLIP_S
