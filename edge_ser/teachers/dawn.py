"""Dawn: wav2vec 2.0 "large robust", its lower twelve layers fine-tuned on MSP-Podcast.

Wagner et al. 2023, "Dawn of the transformer era in speech emotion recognition", arXiv 2203.07378.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edge_ser.corpora import ADV
from edge_ser.errors import EdgeSerError
from edge_ser.teachers.dimensional import Dimensional, output_order
from edge_ser.teachers.registry import DAWN
from edge_ser.teachers.sources import Source, described, fill, transformers_class
from edge_ser.teachers.waves import standardised

__all__ = ["Dawn"]


class _RegressionHead(nn.Module):
    """Dropout, linear, tanh, dropout, linear."""

    def __init__(self, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.out_proj = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.out_proj(self.dropout(torch.tanh(self.dense(self.dropout(x)))))


class Dawn(Dimensional):
    """wav2vec 2.0, the mean of its last states over time, and a head of two layers.

    Parameters
    ----------
    config : transformers.Wav2Vec2Config
    order : sequence of str
        Names of the outputs.
    standardises : bool
        Recordings are brought to mean 0 and variance 1 first; the published model does so.
    """

    def __init__(self, config: Any, order: Sequence[str] = ADV, standardises: bool = True) -> None:
        super().__init__(order)
        self.standardises = standardises
        self.wav2vec2 = transformers_class("Wav2Vec2Model")(config)
        self.classifier = _RegressionHead(config.hidden_size, len(self.order), config.final_dropout)

    @classmethod
    def load(cls, source: str | Path = DAWN) -> Dawn:
        """From a folder or the hub: ``config.json``, ``preprocessor_config.json`` and the weights.

        Raises
        ------
        EdgeSerError
            Something is missing, damaged, or another model's.
        """
        at = Source(source)
        description = at.json("config.json")
        if description.get("model_type") != "wav2vec2":
            raise EdgeSerError(
                f"{at} is a {description.get('model_type')!r}, not the wav2vec2 that Dawn is built on"
            )
        if description.get("vocab_size") is None:
            description["vocab_size"] = (
                32  # the published file says null, which some of transformers 5 refuse
            )
        order, standardises = output_order(description, at), at.standardises()
        with described(at):
            model = cls(transformers_class("Wav2Vec2Config")(**description), order, standardises)
        fill(model, at.weights(), str(at), unused=frozenset({"wav2vec2.masked_spec_embed"}))
        return model.eval()

    def about(self) -> dict[str, Any]:
        """What the answers depend on beside the weights."""
        return super().about() | {"standardises": self.standardises}

    def prepare(self, wave: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Mean 0 and variance 1."""
        return standardised(wave) if self.standardises else wave

    def forward(self, x: Tensor) -> Tensor:
        """Prepared recordings of one length, (B, n), to the outputs (B, 3) in the model's own order."""
        return self.classifier(self.wav2vec2(x).last_hidden_state.mean(1))
