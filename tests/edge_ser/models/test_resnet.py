"""ResNet-50: the published count and shape."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from edge_ser.models.base import NetworkConfig  # noqa: E402
from edge_ser.models.resnet import ResNet50  # noqa: E402


def test_count() -> None:
    """25 557 032 with three input channels and 1000 classes, as ResNet-50 is known."""
    with torch.device("meta"):
        ours = ResNet50(NetworkConfig(labels=())).count_parameters()
    assert ours + (3 - 1) * 7 * 7 * 64 + (1000 - 3) * 2049 == 25_557_032


def test_it_has_fifty_layers_and_halves_five_times() -> None:
    with torch.device("meta"):
        model = ResNet50(NetworkConfig(labels=())).eval()
        shapes = []
        model.blocks[-1].register_forward_hook(lambda module, inputs, output: shapes.append(output[0].shape))
        pooled = model.body(torch.zeros(2, 400, 64), None)
    shortcuts = sum(block.shortcut is not None for block in model.blocks)
    convolutions = sum(isinstance(module, torch.nn.Conv2d) for module in model.modules())
    assert convolutions - shortcuts + 1 == 50  # and the linear layer
    assert shapes == [(2, 2048, 13, 2)] and pooled.shape == (2, 2048)
