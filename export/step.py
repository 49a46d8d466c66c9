"""The folded step as converters want it: every tensor by the name that bundle.json gives it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from edge_ser.bundle import next_name
from edge_ser.models.stream72k import Stream72k

__all__ = ["NamedStep"]


class NamedStep(nn.Module):
    """One step of a streaming model, tensors in and out by name.

    Parameters
    ----------
    model : Stream72k
        Folded, in inference mode.
    """

    def __init__(self, model: Stream72k) -> None:
        super().__init__()
        self.model = model
        self.states = tuple(model.state_names)
        self.eval()

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs in the step's order."""
        return ("adv", "logits", *(next_name(state) for state in self.states))

    @property
    def dynamic(self) -> None:
        """All sizes are fixed."""
        return None

    def example(self) -> dict[str, Tensor]:
        """Inputs of the right shapes, in the step's order: silence's features and the initial state."""
        config = self.model.config
        features = torch.zeros(1, config.step_frames, config.n_mels)
        return {"features": features, **dict(zip(self.states, self.model.initial_state(1), strict=True))}

    def forward(self, **tensors: Any) -> dict[str, Tensor]:
        """See `Stream72k.step`."""
        answers = self.model.step(tensors["features"], *(tensors[state] for state in self.states))
        return dict(zip(self.output_names, answers, strict=True))
