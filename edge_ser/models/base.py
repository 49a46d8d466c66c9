"""What every network here is: log-mel features in, a pooled vector, and from it emotion and A/D/V."""

from __future__ import annotations

import abc
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from edge_ser.dsp import MelSpec

__all__ = ["Network", "NetworkConfig"]


class NetworkConfig(Protocol):
    """Shape of a network; a frozen dataclass that goes through JSON unchanged."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Emotion classes, in the order of the logits."""
        ...

    @property
    def n_mels(self) -> int:
        """Bands of the front end."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values for JSON."""
        ...


class Network(nn.Module, abc.ABC):
    """A network that answers a clip from its log-mel features.

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
    """

    spec: ClassVar[MelSpec]
    streams: ClassVar[bool] = False
    config: NetworkConfig
    hidden: int
    dropout: nn.Dropout

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

    @abc.abstractmethod
    def macs_per_second(self, spec: MelSpec) -> int:
        """Multiply-accumulates in inference for one second of audio, the front end not counted."""

    def clip(self, features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Answers at the end of clips padded to one length; the parameters are those of `pool`.

        Returns
        -------
        adv : Tensor (B, 3)
            Arousal, dominance, valence in 0..1.
        logits : Tensor (B, labels)
        """
        return self.answer(self.pool(features, frames))

    def count_parameters(self) -> int:
        """Values in weights and biases that training sets."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

