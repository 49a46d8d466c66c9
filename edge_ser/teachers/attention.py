"""A member of an attentive teacher: adapters in an encoder's upper layers, attention over layers and time.

A recording's states are standardised, summed over layers by learnt weights (as SUPERB does, arXiv 2105.01051), and
pooled over time to an attentive mean and deviation (Okabe et al. 2018, arXiv 1803.10963); two linear layers answer. The
attention projections of the upper layers may be changed by a product of two thin matrices each (LoRA, arXiv
2106.09685).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edge_ser.errors import EdgeSerError, require_fields
from edge_ser.precision import bfloat16
from edge_ser.teachers.encoders import Encoder

__all__ = ["LEAST_SPREAD", "AttentiveHead", "AttentiveShape", "Heard", "Listener", "pad"]

Floats = npt.NDArray[np.float32]
#: Of a state or of a pooled vector; below it stands still.
LEAST_SPREAD = 1e-4
_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "out_proj")


@dataclasses.dataclass(frozen=True)
class AttentiveShape:
    """What the tensors of a member follow from, beside its encoder.

    Attributes
    ----------
    labels : tuple of str
    states, width : int
        Of the encoder.
    adapted : int
        Upper layers whose attention projections have adapters, 0 to one less than the encoder's layers.
    rank : int
        Of an adapter.
    alpha : float
        Its product counts ``alpha / rank``.
    stride : int
        Frames of the encoder that are averaged to one before attention hears them.
    attention : int
        Width of the layer that weighs frames.
    dropout : float
        On frames and on the pooled vector, in training.
    """

    labels: tuple[str, ...]
    states: int
    width: int
    adapted: int
    rank: int
    alpha: float
    stride: int
    attention: int
    dropout: float

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """From plain values, as JSON has them."""
        require_fields(cls, fields, "attentive teacher's description")
        return cls(**fields | {"labels": tuple(fields["labels"])})


class Heard(NamedTuple):
    """What the frozen part of an encoder makes of one recording."""

    fixed: Tensor  # (F, T', width): states below the adapted layers, frames averaged
    entering: Tensor  # (T, width), what the lowest adapted layer hears; T is 0 where none is


class Listener:
    """An encoder in two parts: what is heard once and kept, and what adapters change.

    Parameters
    ----------
    encoder : Encoder
        From now on without gradients of its own.
    shape : AttentiveShape

    Raises
    ------
    EdgeSerError
        More layers are to be adapted than there are above the lowest.
    """

    def __init__(self, encoder: Encoder, shape: AttentiveShape) -> None:
        if not 0 <= shape.adapted < encoder.depth:
            raise EdgeSerError(
                f"{shape.adapted} layers cannot be adapted: of this encoder, 0 to {encoder.depth - 1} can"
            )
        self.encoder, self.shape = encoder, shape
        self.first = encoder.depth - shape.adapted
        self._tail: _Tail | None = None
        if shape.adapted:
            assert isinstance(encoder, nn.Module)  # every family is
            encoder.requires_grad_(False)
            self._tail = _Tail(encoder, self.first)

    def hear(self, wave: Floats) -> tuple[Heard, Tensor]:
        """The kept part, and the mean and mean square over time of every state of the unchanged encoder.

        Computed in bfloat16 or float32, as `edge_ser.teachers.linear.statistics` is.

        Returns
        -------
        Heard
        moments : Tensor (2, states, width)
        """
        with torch.inference_mode(), bfloat16():
            states = torch.stack([state.float() for state in self.encoder.hidden(wave)])
        moments = torch.stack([states.mean(1), states.square().mean(1)])
        if not self.shape.adapted:
            return Heard(averaged(states, self.shape.stride), states[0, :0]), moments
        return Heard(averaged(states[: self.first], self.shape.stride), states[self.first - 1]), moments

    def frames(self, head: AttentiveHead, heard: Sequence[Heard]) -> list[Tensor]:
        """All states of recordings as a member's adapters leave them: (states, T', width) each."""
        if self._tail is None:
            return [one.fixed.float() for one in heard]
        weights = head.changed(self._tail.weights)
        whole = []
        for one in heard:
            with bfloat16():
                above = torch.func.functional_call(self._tail, weights, (one.entering.float()[None],))
            upper = averaged(torch.cat([state.float() for state in above]), self.shape.stride)
            whole.append(torch.cat([one.fixed.float(), upper]))
        return whole

    def projections(self) -> dict[str, Tensor]:
        """Weights that adapters change, by name; none where nothing is adapted."""
        return {} if self._tail is None else self._tail.weights


class _Tail(nn.Module):
    """The adapted layers and the closing norm."""

    def __init__(self, encoder: nn.Module, first: int) -> None:
        super().__init__()
        self.encoder, self.first = encoder, first
        upper = {id(module) for layer in encoder.layers[first:] for module in layer.modules()}  # type: ignore[index]
        self.weights: dict[str, Tensor] = {
            f"{name}.weight": module.weight
            for name, module in self.named_modules()
            if id(module) in upper and isinstance(module, nn.Linear) and name.endswith(_PROJECTIONS)
        }

    def forward(self, x: Tensor) -> list[Tensor]:
        """States (1, T, width) from what enters, (1, T, width)."""
        states: list[Tensor] = self.encoder.run(x, self.first)  # type: ignore[operator]
        return states


def averaged(states: Tensor, stride: int) -> Tensor:
    """Means of `stride` frames each, the last of what is left: (S, T, width) to (S, ceil(T / stride), width)."""
    return nn.functional.avg_pool1d(states.transpose(1, 2), stride, ceil_mode=True).transpose(1, 2)


def pad(frames: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Clips (S, T, width) as a batch (B, S, longest T, width), and which of its frames are theirs, (B, T) bool."""
    lengths = torch.tensor([one.shape[1] for one in frames])
    longest = int(lengths.max())
    batch = torch.stack([nn.functional.pad(one, (0, 0, 0, longest - one.shape[1])) for one in frames])
    return batch, torch.arange(longest)[None] < lengths[:, None]


class AttentiveHead(nn.Module):
    """One member: adapters, weights of layers, attention over time, answers.

    Parameters
    ----------
    shape : AttentiveShape
    projections : mapping of str to Tensor
        What its adapters change, see `Listener.projections`.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, shape: AttentiveShape, projections: dict[str, Tensor]) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("mean", torch.zeros(shape.states, shape.width))
        self.register_buffer("scale", torch.ones(shape.states, shape.width))
        self.mix = nn.Parameter(torch.zeros(shape.states))
        self.weigh = nn.Sequential(
            nn.Linear(shape.width, shape.attention), nn.Tanh(), nn.Linear(shape.attention, 1)
        )
        self.dropout = nn.Dropout(shape.dropout)
        self.emotion = nn.Linear(2 * shape.width, len(shape.labels)) if shape.labels else None
        self.adv = nn.Linear(2 * shape.width, 3)
        self._names = {name: name.replace(".", "-") for name in projections}  # torch's names have no points
        self.down, self.up = nn.ParameterDict(), nn.ParameterDict()
        for name, weight in projections.items():
            outputs, inputs = weight.shape
            self.down[self._names[name]] = nn.Parameter(torch.randn(shape.rank, inputs) / inputs**0.5)
            self.up[self._names[name]] = nn.Parameter(torch.zeros(outputs, shape.rank))

    def standardise_by(self, moments: Tensor, centres: Tensor | None = None) -> None:
        """Take mean and spread of states from moments (N, 2, states, width) of clips, each around its own centre.

        `centres` (N, states, width) are what is subtracted from the clips' frames; None is the mean of all.
        """
        mean = moments[:, 0].mean(0)
        around = mean if centres is None else centres
        # E (x - c)^2 = E x^2 - 2 c E x + c^2
        square = (moments[:, 1] - 2 * around * moments[:, 0] + around**2).mean(0)
        self.mean.copy_(mean)
        self.scale.copy_(square.clamp(min=LEAST_SPREAD**2).sqrt())

    def changed(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The encoder's weights with what the adapters add."""
        share = self.shape.alpha / max(self.shape.rank, 1)
        return {
            name: weight + share * (self.up[self._names[name]] @ self.down[self._names[name]])
            for name, weight in weights.items()
        }

    def pool(self, frames: Tensor, valid: Tensor, centres: Tensor | None = None) -> Tensor:
        """One vector for each clip.

        Parameters
        ----------
        frames : Tensor (B, states, T, width)
        valid : Tensor (B, T) bool
        centres : Tensor (B, states, width), optional
            Subtracted from the frames instead of the mean of the training clips.

        Returns
        -------
        Tensor (B, 2 * width)
        """
        centre = self.mean[None] if centres is None else centres
        x = (frames - centre[:, :, None]) / self.scale[:, None]
        x = self.dropout(torch.einsum("s,bstd->btd", self.mix.softmax(0), x))
        share = self.weigh(x).squeeze(2).masked_fill(~valid, -torch.inf).softmax(1)[:, :, None]
        mean = (share * x).sum(1)
        deviation = ((share * (x - mean[:, None]) ** 2).sum(1) + 1e-6).sqrt()
        return torch.cat([mean, deviation], 1)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, labels) and A/D/V (B, 3) in 0..1."""
        x = self.dropout(pooled)
        logits = x.new_zeros(len(x), 0) if self.emotion is None else self.emotion(x)
        return logits, torch.sigmoid(self.adv(x))
