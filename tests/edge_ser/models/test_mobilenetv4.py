"""MobileNetV4-Conv: the paper's blocks and the published counts."""

from __future__ import annotations

from collections import Counter

import pytest

torch = pytest.importorskip("torch")

from edge_ser.models.base import NetworkConfig  # noqa: E402
from edge_ser.models.mobilenetv4 import MobileNetV4L, MobileNetV4M, MobileNetV4S, Uib  # noqa: E402

# timm counts these with three input channels and 1000 classes; the paper rounds them to 3.8, 9.7 and 32.6 M.
PUBLISHED = {MobileNetV4S: 3_774_024, MobileNetV4M: 9_715_512, MobileNetV4L: 32_590_864}


@pytest.mark.parametrize("network", PUBLISHED)
def test_counts(network: type[MobileNetV4S]) -> None:
    with torch.device("meta"):
        ours = network(NetworkConfig(labels=())).count_parameters()
    more_classes, more_channels = (1000 - 3) * (1280 + 1), (3 - 1) * 3 * 3 * network.stem
    assert ours + more_classes + more_channels == PUBLISHED[network]


def test_the_small_one_has_2_496_291() -> None:
    assert MobileNetV4S(NetworkConfig(labels=())).count_parameters() == 2_496_291
    assert MobileNetV4S(NetworkConfig(labels=("angry", "sad"))).count_parameters() == 2_496_291 + 2 * 1281


def test_the_blocks_are_the_papers() -> None:
    def kinds(network: type[MobileNetV4S]) -> Counter[str]:
        return Counter(row.kind for row in network.rows if isinstance(row, Uib) for _ in range(row.repeat))

    assert kinds(MobileNetV4S) == {"ExtraDW": 3, "IB": 8, "ConvNext": 1}
    assert kinds(MobileNetV4M) == {"ExtraDW": 13, "ConvNext": 4, "FFN": 4}
    assert kinds(MobileNetV4L) == {"ExtraDW": 19, "ConvNext": 7}


@pytest.mark.parametrize("network", PUBLISHED)
def test_each_halves_frames_and_bands_five_times(network: type[MobileNetV4S]) -> None:
    with torch.device("meta"):
        model = network(NetworkConfig(labels=())).eval()
        shapes = []
        model.blocks[-1].register_forward_hook(lambda module, inputs, output: shapes.append(output[0].shape))
        pooled = model.body(torch.zeros(2, 400, 64), None)
    assert shapes == [(2, 960, 13, 2)] and pooled.shape == (2, 1280)


def test_blocks_that_keep_their_shape_add_their_input() -> None:
    model = MobileNetV4S(NetworkConfig(labels=()))
    skips = [block.skips for block in model.blocks if hasattr(block, "skips")]
    assert skips == [False, *[True] * 5, False, *[True] * 5]
