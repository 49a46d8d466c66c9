"""A streaming step whose every state can be eight bits: the pool's window in numbers of one size.

The pool's state holds sums of weights that differ by a factor of 160 000 from one sound to another, beside means and
spreads. Here a segment is the logarithm of its weight, its mean and its deviation, each divided by what it reaches,
so that one scale fits all and a state of zeros still means that nothing was heard. Up to rounding the step is
`Stream72k.step`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from export.step import NamedStep

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

    from edge_ser.models.stream72k import Stream72k

__all__ = ["MicroStep"]

#: Room above what the calibration set showed: a segment's mean and deviation are cut off there.
_ROOM = 1.25


class MicroStep(NamedStep):
    """One step as `NamedStep`, the same tensors in and out, with other numbers in the state ``pool``.

    Parameters
    ----------
    model : Stream72k
        Folded, in inference mode.
    features : iterable of (steps, step_frames, n_mels) float32
        A calibration set, which shows what a segment's mean and deviation reach.
    """

    low: Tensor

    def __init__(self, model: Stream72k, features: Iterable[np.ndarray]) -> None:
        super().__init__(model)
        c = model.config
        frames = model.kept
        # The score is bounded, so a segment's weight is too, whatever is heard.
        least, most = math.log(frames) - c.bound, math.log(frames) + c.bound
        self.low = torch.tensor(least)
        self.top = most - least + math.log1p(math.exp(least - most))
        self.reach = nn.Buffer(self._reach(features))  # (2 channels,)

    def _reach(self, features: Iterable[np.ndarray]) -> Tensor:
        c = self.model.config
        largest = torch.zeros(2 * c.channels)
        with torch.inference_mode():
            for steps in features:
                flat = torch.from_numpy(steps).reshape(1, -1, steps.shape[-1])
                x, _ = self.model.trunk(flat, self.model.initial_state(1))
                pieces = x[0].reshape(c.channels, -1, self.model.kept)
                _, mean, deviation = self._moments(pieces.permute(1, 0, 2))
                found = torch.cat([mean, deviation], 1)  # (steps, 2 channels)
                largest = torch.maximum(largest, found.amax(0))
        largest = largest * _ROOM
        # A channel that the set never shows has no size of its own; it gets the channels' middle one.
        return torch.where(largest > 0, largest, largest[largest > 0].median())

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Segments (S, channels, frames) to the weights' sums (S, heads), means and deviations (S, channels)."""
        c = self.model.config
        weight = torch.exp(c.bound * torch.tanh(self.model.attend(x) / c.bound))[:, :, None]
        parts = x.reshape(-1, c.heads, c.channels // c.heads, x.shape[-1])
        mass = weight.sum(3, keepdim=True)
        mean = (weight * parts).sum(3, keepdim=True) / mass
        apart = parts - mean
        variance = (weight * apart * apart).sum(3, keepdim=True) / mass
        return mass.flatten(1), mean.flatten(1), torch.sqrt(variance).flatten(1)

    def forward(self, **tensors: Any) -> dict[str, Tensor]:
        """See `Stream72k.step`."""
        model, c = self.model, self.model.config
        x, new = model.trunk(tensors["features"], tuple(tensors[state] for state in self.states[:-1]))
        mass, mean, deviation = self._moments(x)
        floor = math.exp(float(self.low))
        size = (torch.log(mass + floor) - float(self.low)) / self.top
        row = torch.cat([size, torch.cat([mean, deviation], 1) / self.reach], 1)
        ring = torch.cat([tensors["pool"][:, 1:], row[:, None]], 1)
        sizes, found = ring.split([c.heads, 2 * c.channels], 2)
        masses = torch.exp(sizes * self.top + float(self.low)) - floor
        means, deviations = (found * self.reach).split([c.channels, c.channels], 2)
        wide = masses.repeat_interleave(c.channels // c.heads, 2)
        whole = torch.cat([masses, means, wide * deviations * deviations], 2)
        answers = (*model.answer(model._merge(whole)), *new, ring)
        return dict(zip(self.output_names, answers, strict=True))
