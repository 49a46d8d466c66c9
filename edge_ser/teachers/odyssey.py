"""Odyssey: WavLM large with attentive statistics pooling, the baseline of the Odyssey 2024 challenge.

Goncalves et al. 2024, "Odyssey 2024 - Speech Emotion Recognition Challenge: Dataset, Baseline Framework, and Results".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edge_ser.corpora import ADV
from edge_ser.errors import EdgeSerError
from edge_ser.teachers.dimensional import Dimensional, output_order
from edge_ser.teachers.registry import ODYSSEY
from edge_ser.teachers.sources import Source, described, fill, transformers_class

__all__ = ["AttentiveStatistics", "Odyssey"]

_WAVLM_LARGE = "microsoft/wavlm-large"


class AttentiveStatistics(nn.Module):
    """Weighted mean and deviation over time, the weights learned (Okabe et al. 2018, arXiv 1803.10963).

    Parameters
    ----------
    width : int
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sap_linear = nn.Linear(width, width)
        self.attention = nn.Parameter(torch.randn(width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) to (B, 2 * width): means, then deviations of at least sqrt(1e-5)."""
        share = torch.softmax(torch.tanh(self.sap_linear(x)) @ self.attention, dim=1)
        mean = (share * x).sum(1)
        variance = (share * x**2).sum(1) - mean**2
        return torch.cat((mean, variance.clamp(min=1e-5).sqrt()), 1)


class _OdysseyHead(nn.Module):
    """Dropout, layers of linear, norm, ReLU and dropout, and a last linear."""

    def __init__(self, inputs: int, width: int, layers: int, outputs: int, dropout: float) -> None:
        super().__init__()
        widths = [inputs, *[width] * layers]
        self.inp_drop = nn.Dropout(dropout)
        self.fc = nn.ModuleList(
            nn.Sequential(nn.Linear(before, after), nn.LayerNorm(after), nn.ReLU(), nn.Dropout(dropout))
            for before, after in pairwise(widths)
        )
        self.out = nn.Sequential(nn.Linear(width, outputs))

    def forward(self, x: Tensor) -> Tensor:
        x = self.inp_drop(x)
        for layer in self.fc:
            x = layer(x)
        return self.out(x)


class Odyssey(Dimensional):
    """WavLM, attentive statistics of its last states, and a head.

    Parameters
    ----------
    config : transformers.WavLMConfig
    mean, std : float
        Recordings are taken as ``(x - mean) / (std + 1e-6)``; the constants of its training data.
    order : sequence of str
        Names of the outputs.
    layers : int
        Hidden layers of the head.
    dropout : float
    """

    def __init__(
        self,
        config: Any,
        mean: float,
        std: float,
        order: Sequence[str] = ADV,
        *,
        layers: int = 1,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(order)
        self.mean, self.std = mean, std
        width = config.hidden_size
        self.ssl_model = transformers_class("WavLMModel")(config)
        self.pool_model = AttentiveStatistics(width)
        self.ser_model = _OdysseyHead(2 * width, width, layers, len(self.order), dropout)

    @classmethod
    def load(cls, source: str | Path = ODYSSEY) -> Odyssey:
        """From a folder or the hub: ``config.json`` and the weights.

        Its ``preprocessor_config.json`` is not read: the published one holds no more than ``{"mean": 10}``, and the
        mean and deviation that the model card uses stand in ``config.json``.

        Raises
        ------
        EdgeSerError
            Something is missing, damaged, or another model's.
        """
        at = Source(source)
        about = at.json("config.json")
        if about.get("model_type") != "ser" or about.get("ssl_type") != _WAVLM_LARGE:
            raise EdgeSerError(
                f"{at} is a {about.get('model_type')!r} on {about.get('ssl_type')!r}, "
                f"not the 'ser' on {_WAVLM_LARGE!r} that Odyssey is"
            )
        needed = (
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "mean",
            "std",
            "classifier_hidden_layers",
        )
        if missing := [name for name in needed if not isinstance(about.get(name), (int, float))]:
            raise EdgeSerError(
                f"{at}/config.json lacks {', '.join(missing)}; get the current one of {ODYSSEY}"
            )
        weights = at.weights()
        order, sizes = output_order(about, at), _wavlm_large(about, weights, at)
        with described(at):
            model = cls(
                transformers_class("WavLMConfig")(**sizes),
                float(about["mean"]),
                float(about["std"]),
                order,
                layers=int(about["classifier_hidden_layers"]),
                dropout=float(about.get("classifier_dropout_prob", 0.5)),
            )
        fill(model, weights, str(at), unused=frozenset({"ssl_model.masked_spec_embed"}))
        return model.eval()

    def about(self) -> dict[str, Any]:
        """What the answers depend on beside the weights."""
        return super().about() | {"mean": self.mean, "std": self.std}

    def prepare(self, wave: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The training data's mean and deviation, the same for every recording."""
        return ((wave - np.float32(self.mean)) / np.float32(self.std + 1e-6)).astype(np.float32)

    def forward(self, x: Tensor) -> Tensor:
        """Prepared recordings of one length, (B, n), to the outputs (B, 3) in the model's own order."""
        return self.ser_model(self.pool_model(self.ssl_model(x).last_hidden_state))


def _wavlm_large(about: Mapping[str, Any], weights: Mapping[str, Tensor], at: Source) -> dict[str, Any]:
    """WavLM large with the sizes of this model: those that its config.json leaves out are read off the tensors."""
    try:
        convolutions = [
            weights[f"ssl_model.feature_extractor.conv_layers.{i}.conv.weight"].shape for i in range(7)
        ]
        hidden = weights["ssl_model.encoder.layers.0.feed_forward.intermediate_dense.weight"].shape[0]
        buckets = weights["ssl_model.encoder.layers.0.attention.rel_attn_embed.weight"].shape[0]
        positions = weights["ssl_model.encoder.pos_conv_embed.conv.parametrizations.weight.original1"].shape
    except KeyError as error:
        raise EdgeSerError(f"{at} has no tensor {error.args[0]}; it is not a model of this kind") from error
    width = int(about["hidden_size"])
    return {
        "hidden_size": width,
        "num_hidden_layers": int(about["num_hidden_layers"]),
        "num_attention_heads": int(about["num_attention_heads"]),
        "intermediate_size": hidden,
        "conv_dim": [shape[0] for shape in convolutions],
        "conv_kernel": [shape[2] for shape in convolutions],
        "conv_stride": [5, 2, 2, 2, 2, 2, 2],
        "conv_bias": False,
        "num_buckets": buckets,
        "max_bucket_distance": 800,
        "num_conv_pos_embeddings": positions[2],
        "num_conv_pos_embedding_groups": width // positions[1],
        "feat_extract_norm": "layer",
        "do_stable_layer_norm": True,
        "mask_time_prob": 0.075,
    }
