"""Augmentation of pictures and waveforms."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("scipy")

from edge_ser.training.pictures import AUGMENTATIONS, crop, flip_frequency, flip_time, mask, rotate
from edge_ser.training.waves import speed_shift_and_gain

PICTURE = np.random.default_rng(0).uniform(-1, 1, (1, 20, 60)).astype(np.float32)


@pytest.mark.parametrize("name", [name for name, change in AUGMENTATIONS.items() if change is not None])
def test_shapes_stay_and_chance_is_the_generators(name: str) -> None:
    change = AUGMENTATIONS[name]
    before = PICTURE.copy()
    made = [change((PICTURE, np.ones(3)), np.random.default_rng(seed)) for seed in (1, 1, 2, 3, 4, 5)]
    for image, other in made:
        assert image.shape == PICTURE.shape
        assert image.dtype == np.float32
        assert -1 <= image.min() <= image.max() <= 1
        np.testing.assert_array_equal(other, np.ones(3))
    np.testing.assert_array_equal(made[0][0], made[1][0])
    assert any((image != made[0][0]).any() for image, _ in made)
    np.testing.assert_array_equal(PICTURE, before)  # the example itself is kept


def test_flips_are_mirrors() -> None:
    for change, axis in ((flip_time, 2), (flip_frequency, 1)):
        made = {change((PICTURE,), np.random.default_rng(seed))[0].tobytes() for seed in range(20)}
        assert made == {PICTURE.tobytes(), np.flip(PICTURE, axis).tobytes()}


def test_a_ramp_is_cropped_to_a_ramp_and_turned_about_its_middle() -> None:
    ramp = np.broadcast_to(np.linspace(-1, 1, 61, dtype=np.float32), (1, 21, 61))
    for seed in range(5):
        part = crop((ramp,), np.random.default_rng(seed))[0]
        assert (np.diff(part[0, 0]) >= -1e-6).all()
        assert np.ptp(part) >= 0.75 * 2
        turned = rotate((ramp,), np.random.default_rng(seed))[0]
        assert turned[0, 10, 30] == pytest.approx(0, abs=1e-3)


def test_masks_are_stretches_of_the_mean() -> None:
    made = mask((PICTURE,), np.random.default_rng(3))[0]
    changed = made != PICTURE
    assert changed.any()
    assert changed.mean() < 0.9
    np.testing.assert_allclose(made[changed], PICTURE.mean(), atol=1e-6)


def test_a_waveform_is_played_faster_moved_and_scaled() -> None:
    wave = np.arange(1, 1001, dtype=np.float32)[None]
    slopes = []
    for seed in range(30):
        (made,) = speed_shift_and_gain((wave,), np.random.default_rng(seed))
        assert made.shape == wave.shape and made.dtype == np.float32
        heard = made[made > 0]
        assert len(heard) >= 740  # a tenth of it moved out, the rest played in 85 % of the time
        slopes.append(heard[1] - heard[0])
        np.testing.assert_allclose(np.diff(heard), slopes[-1], rtol=2e-2)
    assert 1 / (1.18 * 1.42) < min(slopes) < 0.9 and 1.1 < max(slopes) < 1.18 * 1.42  # speed times gain
