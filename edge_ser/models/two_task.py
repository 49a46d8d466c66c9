"""One encoder with two heads: letters by connectionist temporal classification, and the emotion of the whole clip.

The encoder is of the kind of QuartzNet (arXiv 1910.10261): depthwise-separable convolutions over time with residual
connections. It gives a vector for every second frame of its front end, fifty a second with the default one.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError

__all__ = ["TwoTask", "TwoTaskConfig"]


@dataclasses.dataclass(frozen=True)
class TwoTaskConfig:
    """Shape of the network.

    Attributes
    ----------
    labels : tuple of str
        Emotions, in the order of the logits.
    alphabet : str
        Characters, whose classes are their places and one; class 0 is the blank.
    n_mels : int
        Bands of the front end.
    channels : int
    kernel : int
        Odd, in frames.
    dilations : tuple of int
        A block for each.
    dropout : float
    """

    labels: tuple[str, ...]
    alphabet: str
    n_mels: int = 64
    channels: int = 96
    kernel: int = 9
    dilations: tuple[int, ...] = (1, 1, 2, 2, 4)
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if len(self.labels) < 2 or not self.alphabet or len(set(self.alphabet)) < len(self.alphabet):
            raise EdgeSerError("two tasks need at least two emotions and an alphabet of different characters")
        if min(self.n_mels, self.channels, *self.dilations) < 1 or self.kernel % 2 == 0:
            raise EdgeSerError(
                "a network needs bands, channels and dilations of at least 1 and an odd kernel"
            )

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values for JSON."""
        return dataclasses.asdict(self)

    def spell(self, classes: list[int]) -> str:
        """The text of classes as the network numbers them."""
        return "".join(self.alphabet[k - 1] for k in classes)

    def classes(self, text: str) -> list[int]:
        """The classes of a text.

        Raises
        ------
        EdgeSerError
            A character is not in the alphabet.
        """
        if strange := sorted(set(text) - set(self.alphabet)):
            raise EdgeSerError(f"{strange[0]!r} is not in the alphabet {self.alphabet!r}")
        return [self.alphabet.index(c) + 1 for c in text]


class _Block(nn.Module):
    """A depthwise and a pointwise convolution over time, added to what came in."""

    def __init__(self, channels: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        reach = dilation * (kernel // 2)
        self.depthwise = nn.Conv1d(
            channels, channels, kernel, padding=reach, dilation=dilation, groups=channels, bias=False
        )
        self.pointwise = nn.Conv1d(channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm1d(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        y = self.norm(self.pointwise(self.depthwise(x)))
        return (x + self.dropout(F.relu(y))) * valid


class TwoTask(nn.Module):
    """Letters and emotion of a clip.

    Parameters
    ----------
    config : TwoTaskConfig
    """

    #: The front end that it is made for: a hundred frames a second.
    spec: ClassVar[MelSpec] = MelSpec(
        win_length=400, n_fft=512, hop_length=160, padding="center", mean=-50.0, scale=20.0
    )
    stride: ClassVar[int] = 2

    def __init__(self, config: TwoTaskConfig) -> None:
        super().__init__()
        self.config = config
        c = config.channels
        self.stem = nn.Conv1d(config.n_mels, c, 5, stride=self.stride, padding=2, bias=False)
        self.norm = nn.BatchNorm1d(c)
        self.blocks = nn.ModuleList(
            _Block(c, config.kernel, dilation, config.dropout) for dilation in config.dilations
        )
        self.letters = nn.Conv1d(c, len(config.alphabet) + 1, 1)
        self.weigh = nn.Conv1d(c, 1, 1)
        self.dropout = nn.Dropout(0.3)
        self.emotion = nn.Linear(2 * c, len(config.labels))

    @classmethod
    def encoded(cls, frames: Tensor) -> Tensor:
        """Vectors that the encoder gives for so many frames of the front end."""
        return (frames + cls.stride - 1) // cls.stride

    def forward(self, features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Answers to clips padded to one length; the padding takes no part.

        Parameters
        ----------
        features : Tensor (B, T, n_mels)
            Normalised log-mel.
        frames : Tensor (B,) int64
            Valid frames of each clip.

        Returns
        -------
        log_probs : Tensor (T', B, 1 + alphabet)
            Of blank and characters; of each clip, the first `encoded` ``(frames)`` count.
        logits : Tensor (B, labels)
            Of the emotions.
        """
        beyond = torch.arange(features.shape[1], device=features.device)[None] >= frames[:, None]
        x = self.stem(features.masked_fill(beyond[..., None], 0.0).transpose(1, 2))
        inside = torch.arange(x.shape[2], device=x.device)[None] < self.encoded(frames)[:, None]
        valid = inside[:, None].to(x.dtype)
        x = F.relu(self.norm(x)) * valid
        for block in self.blocks:
            x = block(x, valid)
        log_probs = torch.log_softmax(self.letters(x), 1).permute(2, 0, 1)
        weights = torch.softmax(self.weigh(x).masked_fill(~inside[:, None], -1e4), 2)  # (B, 1, T')
        mean = (weights * x).sum(2)
        spread = ((weights * (x - mean[..., None]) ** 2).sum(2) + 1e-5).sqrt()
        return log_probs, self.emotion(self.dropout(torch.cat([mean, spread], 1)))
