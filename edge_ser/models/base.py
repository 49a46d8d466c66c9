"""What every network here is: log-mel features in, a pooled vector, and from it emotion and A/D/V."""

from __future__ import annotations

import abc
import copy
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from edge_ser.dsp import MelSpec, log_mel
from edge_ser.errors import EdgeSerError, require_fields
from edge_ser.models.counting import Cost, cost_of
from edge_ser.models.layers import ConvNorm

__all__ = ["CLIP_S", "ClipNetwork", "Network", "NetworkConfig"]

#: Seconds of the clip by which networks that do not stream are counted, as in the paper of Wav2Small.
CLIP_S = 5.0


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """Shape of a network; goes through JSON unchanged.

    Attributes
    ----------
    labels : tuple of str
        Emotion classes, in the order of the logits; none builds no emotion head.
    n_mels : int
        Bands of the front end.
    """

    labels: tuple[str, ...]
    n_mels: int = 64

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Build from `to_dict`'s form, also after a trip through JSON.

        Raises
        ------
        EdgeSerError
            A field is missing or unknown, or the shape is impossible.
        """
        require_fields(cls, fields, f"{cls.__name__.removesuffix('Config').lower()}'s description")
        values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in fields.items()}
        return cls(**values)


class Network(nn.Module, abc.ABC):
    """A network that answers a clip from its log-mel features; built from its configuration alone.

    Attributes
    ----------
    config : NetworkConfig
    spec : MelSpec
        The front end that it is made for; a recipe may give another with as many bands.
    streams : bool
        It has ``step``, so that it can run on a device without hearing anything twice.
    hidden : int
        Width of the vector that `pool` gives.
    dropout : nn.Dropout
        On that vector, in training.
    emotion : nn.Linear or None
        The emotion head on it; None where the configuration has no labels.
    """

    spec: ClassVar[MelSpec]
    streams: ClassVar[bool] = False
    config: NetworkConfig
    hidden: int
    dropout: nn.Dropout
    emotion: nn.Linear | None

    @staticmethod
    def prepare(wave: np.ndarray) -> np.ndarray:
        """What is done to a whole recording before its features are taken; here, nothing.

        Parameters
        ----------
        wave : (n,) float32
            Audio in -1..1.

        Returns
        -------
        (n,) float32
        """
        return wave

    @classmethod
    def heard(cls, wave: np.ndarray, spec: MelSpec) -> np.ndarray:
        """What a network hears of a whole recording: its log-mel features after `prepare`.

        Parameters
        ----------
        wave : (n,) float32
            Audio in -1..1.
        spec : MelSpec

        Returns
        -------
        (frames, n_mels) float32
        """
        return log_mel(cls.prepare(wave), spec)

    @abc.abstractmethod
    def pool(self, features: Tensor, frames: Tensor) -> Tensor:
        """One vector for each clip.

        Parameters
        ----------
        features : Tensor (B, T, n_mels)
            Normalised log-mel of clips padded to one length.
        frames : Tensor (B,)
            Valid frames of each clip.

        Returns
        -------
        Tensor (B, hidden)
        """

    @abc.abstractmethod
    def answer(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Answers from pooled vectors (..., hidden): A/D/V (..., 3) in 0..1 and logits (..., labels)."""

    def logits(self, pooled: Tensor) -> Tensor:
        """What the emotion head alone says: (..., labels), of width 0 where there is none."""
        return pooled.new_zeros((*pooled.shape[:-1], 0)) if self.emotion is None else self.emotion(pooled)

    @abc.abstractmethod
    def rehearse(self, spec: MelSpec) -> float:
        """Infer once on zeros, a step or a clip of `CLIP_S`; returns the seconds of audio that it stands for."""

    def clip(self, features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Answers at the end of clips padded to one length; the parameters are those of `pool`.

        Returns
        -------
        adv : Tensor (B, 3)
            Arousal, dominance, valence in 0..1.
        logits : Tensor (B, labels)
        """
        return self.answer(self.pool(features, frames))

    def settle(self, features: Tensor, frames: Tensor) -> None:
        """Bring weights that were just drawn to the scale of a first batch; here, they are left as they are.

        Parameters
        ----------
        features, frames : Tensor
            As for `pool`.
        """

    def check_crop(self, frames: int) -> None:
        """Refuse a training crop of so many frames that the network cannot be trained on; here, only an empty one.

        Raises
        ------
        EdgeSerError
            It cannot.
        """
        if frames < 1:
            raise EdgeSerError(f"[fit] crop_s gives {frames} frames; at least one is needed")

    def count_parameters(self) -> int:
        """Values in weights and biases that training sets."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def cost(self, spec: MelSpec) -> tuple[Cost, float]:
        """Cost of one inference of a batch of one, and the seconds of audio that it stands for, see `rehearse`."""
        with torch.device("meta"), torch.no_grad():  # shapes alone: no arithmetic, no memory
            twin = type(self)(self.config).eval()
            return cost_of(twin, lambda: twin.rehearse(spec))

    def macs_per_second(self, spec: MelSpec) -> int:
        """Multiply-accumulates in inference for one second of audio, the front end not counted."""
        cost, seconds = self.cost(spec)
        return round(cost.macs / seconds)


class ClipNetwork(Network):
    """A network that hears a clip as a whole and does not stream.

    Parameters
    ----------
    config : NetworkConfig
    hidden : int
        Width of the pooled vector.
    dropout : float
        On it, in training.
    """

    #: What `prepare` does, by the name that a bundle gives it.
    normalise: ClassVar[str] = "none"
    #: Layers whose answers an exponential takes: what rounds them, multiplies.
    into_exponentials: ClassVar[tuple[str, ...]] = ()
    #: It has a front end of its own, so that a file of it can take a waveform.
    hears_waveform: ClassVar[bool] = False
    #: It can be given features that a front end before it makes.
    hears_features: ClassVar[bool] = True

    def __init__(self, config: NetworkConfig, hidden: int, *, dropout: float = 0.2) -> None:
        super().__init__()
        self.config, self.hidden = config, hidden
        self.dropout = nn.Dropout(dropout)
        self.adv = nn.Linear(hidden, 3)
        self.emotion = nn.Linear(hidden, len(config.labels)) if config.labels else None

    @abc.abstractmethod
    def body(self, features: Tensor, frames: Tensor | None) -> Tensor:
        """As `pool`, where ``frames`` None says that no clip is padded; that form can be exported."""

    def hear(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Answers to waveforms (B, samples) of one length, where `hears_waveform`: A/D/V (B, 3), logits (B, labels)."""
        raise NotImplementedError(f"{type(self).__name__} has no front end of its own")

    def chains(self) -> list[list[str]]:
        """Layers (`ConvNorm` or convolutions) by name, each heard by the next of its list alone.

        Between two of them is a ReLU where the first is `ConvNorm.active`, perhaps a maximum over places, and nothing
        else: a channel of the first may be divided by what the second multiplies it by (`export.equalise`).
        """
        return []

    def pool(self, features: Tensor, frames: Tensor) -> Tensor:
        """As `Network.pool`. Padding takes no part: a clip in a batch is answered as it is alone."""
        padded = bool((frames < features.shape[1]).any())
        return self.body(features, frames if padded else None)

    def fold(self) -> Self:
        """The same function in inference, with the batch normalisation of `ConvNorm` folded into the weights."""
        folded = copy.deepcopy(self).eval()
        for module in list(folded.modules()):
            if isinstance(module, ConvNorm):
                module.fold()
        return folded

    def answer(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """As `Network.answer`."""
        pooled = self.dropout(pooled)
        return torch.sigmoid(self.adv(pooled)), self.logits(pooled)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, labels) of clips (B, T, n_mels) of one length: the network as a classifier and no more."""
        return self.logits(self.dropout(self.body(features, None)))

    def rehearse(self, spec: MelSpec) -> float:
        """As `Network.rehearse`."""
        features = torch.zeros(1, round(CLIP_S * spec.frame_rate), self.config.n_mels)
        self.answer(self.body(features, None))
        return CLIP_S
