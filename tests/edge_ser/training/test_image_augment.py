"""Masks and noise on images: within their widths, by their chance, never in place."""

import numpy as np
import pytest

pytest.importorskip("torch")

from edge_ser.errors import EdgeSerError
from edge_ser.training.image_augment import MaskAndNoise, masked


@pytest.mark.parametrize("axis", [0, 1])
def test_a_mask_is_one_stretch_of_at_most_its_width(axis: int) -> None:
    image = np.random.default_rng(0).normal(size=(12, 20)).astype(np.float32)
    widths = set()
    for seed in range(40):
        out = masked(image, axis, 5, np.random.default_rng(seed), fill=9.0)
        gone = np.flatnonzero((out == 9).all(axis=1 - axis))
        widths.add(len(gone))
        assert len(gone) <= 5 and (not len(gone) or gone[-1] - gone[0] + 1 == len(gone))
        assert (np.delete(out, gone, axis) == np.delete(image, gone, axis)).all()
    assert widths == set(range(6))
    assert not (image == 9).any()
    assert masked(image, axis, 99, np.random.default_rng(1)).shape == image.shape


def test_each_change_has_its_chance() -> None:
    image, other = np.ones((8, 8), np.float32), np.arange(3)
    rng = np.random.default_rng(0)
    changed = [MaskAndNoise(0.6, noise=1.0)((image, other), rng) for _ in range(300)]
    assert 0.5 < np.mean([not np.array_equal(one, image) for one, _ in changed]) < 0.7
    assert all(second is other for _, second in changed)
    assert all(one.dtype == np.float32 for one, _ in changed)
    assert np.array_equal(MaskAndNoise(0.0, 4, 4, 1.0)((image,), rng)[0], image)
    assert np.array_equal(MaskAndNoise()((image,), rng)[0], image)
    with pytest.raises(EdgeSerError, match="probability of 0 to 1"):
        MaskAndNoise(1.5)
    with pytest.raises(EdgeSerError, match="widths and noise"):
        MaskAndNoise(noise=-1)
