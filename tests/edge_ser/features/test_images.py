"""Spectrograms as images: sizes as torch makes them, silence as -1, loudness untold."""

import dataclasses

import numpy as np
import pytest

from edge_ser.dsp import MelSpec, log_mel
from edge_ser.errors import EdgeSerError
from edge_ser.features.images import fitted_width, mel_image, resized

SPEC = MelSpec(n_fft=1024, win_length=1024, hop_length=256, n_mels=40, fmin=0.0, padding="center")


def wave(seconds: float = 0.5) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, round(16000 * seconds)).astype(np.float32)


@pytest.mark.parametrize("size", [(7, 9), (20, 5), (1, 1), (13, 31), (12, 30)])
def test_resizing_is_torchs(size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    image = np.random.default_rng(1).normal(size=(12, 30)).astype(np.float32)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(image)[None, None], size, mode="bilinear", align_corners=False
    )
    assert np.allclose(resized(image, *size), theirs[0, 0].numpy(), atol=1e-5)


def test_shorter_ones_are_padded_and_longer_ones_interpolated() -> None:
    image = np.arange(12, dtype=np.float32).reshape(2, 6)
    padded = fitted_width(image, 8, -1.0)
    assert padded.shape == (2, 8) and (padded[:, 6:] == -1).all() and (padded[:, :6] == image).all()
    assert (fitted_width(image, 6, -1.0) == image).all()
    assert np.allclose(fitted_width(image, 3, -1.0), image.reshape(2, 3, 2).mean(2))


def test_an_image_ends_at_its_loudest_point_and_does_not_tell_loudness() -> None:
    image = mel_image(wave(), SPEC, 50, span_db=80)
    assert image.shape == (40, 50) and image.dtype == np.float32
    assert mel_image(wave(), SPEC, span_db=80).max() == 1.0 and image.min() >= -1.0
    louder, softer = (mel_image(wave() * gain, SPEC, span_db=80) for gain in (1.0, 0.1))
    assert np.allclose(louder, softer, atol=1e-4)
    quiet = np.concatenate([wave(), np.zeros(16000, np.float32)])
    assert (mel_image(quiet, SPEC, span_db=80)[:, -10:] == -1).all()
    # 40 dB softer than the loudest are half of 80 dB down, and how the front end scales its values does not matter
    soft = np.concatenate([wave(), wave() * 0.01])
    image = mel_image(soft, SPEC, span_db=80)
    assert np.allclose(image[:, 40:55], image[:, 9:24] - 1, atol=0.6) and -0.3 < image[:, 40:55].max() < 0.3
    scaled = dataclasses.replace(SPEC, mean=-50.0, scale=20.0)
    assert np.allclose(mel_image(soft, scaled, span_db=80), image, atol=1e-4)
    assert np.array_equal(mel_image(wave(), SPEC, 100), resized(mel_image(wave(), SPEC), 40, 100))
    assert (mel_image(wave(), SPEC, 100, "pad", 80.0)[:, -10:] == -1).all()


@pytest.mark.parametrize("spec", [SPEC, MelSpec(), MelSpec(mean=-50.0, scale=20.0), MelSpec(power=1.0)])
def test_silence_is_black_with_a_span_and_the_floor_without(spec: MelSpec) -> None:
    still = np.zeros(8000, np.float32)
    assert (mel_image(still, spec, 50, "pad", 80.0) == -1).all()
    assert np.ptp(mel_image(still, spec, 100, "pad")) < 1e-5


def test_without_a_span_it_is_what_networks_hear() -> None:
    spec = MelSpec(mean=-50.0, scale=20.0)
    assert np.array_equal(mel_image(wave(), spec), log_mel(wave(), spec).T)
    assert np.allclose(mel_image(wave(), spec, 100, "pad")[:, -1], (-100 + 50) / 20)


def test_what_is_refused() -> None:
    with pytest.raises(EdgeSerError, match="decibels"):
        mel_image(wave(), MelSpec(log="ln"), 10)
    with pytest.raises(EdgeSerError, match="decibels"):
        mel_image(wave(), SPEC, 10, span_db=0)
    with pytest.raises(EdgeSerError, match="decibels"):
        mel_image(wave(), SPEC, 10, span_db=float("nan"))
    with pytest.raises(EdgeSerError, match="less than one frame"):
        mel_image(wave(0.001), MelSpec(), 10)
    for bad in (np.zeros((0, 3)), np.zeros(3), np.zeros((2, 2, 2))):
        with pytest.raises(EdgeSerError, match="cannot be made"):
            resized(bad, 2, 2)
    for size in ((0, 2), (2, 0), (-1, 2)):
        with pytest.raises(EdgeSerError, match="cannot be made"):
            resized(np.zeros((3, 3)), *size)
    for bad in (np.zeros(3), np.zeros((2, 0))):
        with pytest.raises(EdgeSerError, match="cannot be made"):
            fitted_width(bad, 2, 0.0)
