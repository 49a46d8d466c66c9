"""CNN14: the published count, and clips of any length."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.models.base import NetworkConfig  # noqa: E402
from edge_ser.models.cnn14 import Cnn14  # noqa: E402
from tests.edge_ser.models.networks import lively  # noqa: E402


def test_count() -> None:
    """80 753 615 with AudioSet's 527 classes in place of our three dimensions (arXiv 1912.10211, table III)."""
    with torch.device("meta"):
        ours = Cnn14(NetworkConfig(labels=())).count_parameters()
    assert ours + (527 - 3) * 2049 == 80_753_615
    pairs = zip((1, 64, 128, 256, 512, 1024), (64, 128, 256, 512, 1024, 2048), strict=True)
    by_hand = sum(9 * (i * o + o * o) + 4 * o for i, o in pairs) + 2 * 64 + 2048 * 2049 + 3 * 2049
    assert ours == by_hand


def test_a_clip_shorter_than_the_network_halves_is_heard_with_zeros_after_it() -> None:
    model = lively("cnn14")
    features = torch.randn(2, 40, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        alone = model.pool(features[1:, :9], torch.tensor([9]))
        together = model.pool(features, torch.tensor([40, 9]))
        one_frame = model.pool(features[:1, :1], torch.tensor([1]))
    assert torch.allclose(alone, together[1:], rtol=1e-4, atol=1e-4)
    assert torch.isfinite(one_frame).all()


def test_too_few_bands_are_refused() -> None:
    with pytest.raises(EdgeSerError, match="at least 32 bands"), torch.device("meta"):
        Cnn14(NetworkConfig(labels=(), n_mels=16))
