"""What several tests of networks need."""

from __future__ import annotations

import torch

from edge_ser.models import ARCHITECTURES
from edge_ser.models.base import Network

LABELS = ("angry", "happy", "neutral", "sad")


def lively(name: str, labels: tuple[str, ...] = LABELS) -> Network:
    """A network in inference mode with random weights and batch statistics far from their start."""
    row = ARCHITECTURES[name]
    torch.manual_seed(0)
    model = row.model(row.config(labels=labels))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, std=0.3)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
            torch.nn.init.normal_(module.bias, std=0.3)
    return model.eval()
