"""Networks on pictures and on waveforms."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.parity import hard_sounds
from edge_ser.features.pictures import mel_picture, scaled_to
from edge_ser.models import build_model
from edge_ser.models.mel_cnn import ImageConfig, OnImages
from edge_ser.models.picture_cnn import OnPictures, PictureCnn, PictureResNet50
from edge_ser.models.waveform_cnn import WaveformCnn, WaveformConfig

LABELS = ("angry", "calm", "happy")


def test_shapes_and_counts() -> None:
    torch.manual_seed(0)
    waves = OnImages(WaveformCnn(WaveformConfig(LABELS, width=8)))
    pictures = OnPictures(PictureCnn(ImageConfig(LABELS)))
    cases = ((waves, (1, 48240)), (pictures, (1, 50, 150)), (pictures, (1, 50, 20)))
    for model, shape in cases:
        logits = model.eval()(torch.randn(2, *shape))
        assert logits.shape == (2, 3) and logits.isfinite().all()
    resnet = PictureResNet50(10).eval()
    with torch.inference_mode():
        assert resnet(torch.randn(1, 1, 64, 64)).shape == (1, 10)
    # as published for one channel and ten classes: 25 557 032 - 2 x 64 x 49 - (1000 - 10) x 2049
    assert sum(p.numel() for p in resnet.parameters()) == 25_557_032 - 6272 - 990 * 2049


def test_a_picture_may_move_in_time_and_not_in_frequency() -> None:
    torch.manual_seed(0)
    model = OnPictures(PictureCnn(ImageConfig(LABELS))).eval()
    picture = torch.zeros(1, 1, 50, 160)
    picture[..., 8:16, 64:80] = 1
    with torch.inference_mode():
        as_it_is = model(picture)
        torch.testing.assert_close(model(picture.roll(16, 3)), as_it_is, atol=1e-5, rtol=1e-4)
        assert (model(picture.roll(16, 2)) - as_it_is).abs().max() > 1e-3


@pytest.mark.parametrize(("sound", "seconds"), [("voice-like", 3.0), ("noise", 1.1), ("steps in level", 4.7)])
def test_a_network_draws_the_picture_that_it_was_trained_on(sound: str, seconds: float) -> None:
    wave = hard_sounds(seconds)[sound]
    # Where nothing sounds the rounding of two spectra would be drawn, which are not rounded alike.
    wave = wave + np.random.default_rng(0).normal(0, 1e-4, len(wave)).astype(np.float32)
    model = PictureCnn(ImageConfig(LABELS)).eval()
    wanted = scaled_to(mel_picture(wave), 50, 150) / 127.5 - 1
    drawn = model.drawn(torch.from_numpy(model.heard(wave, model.spec))[None], None)[0, 0]
    assert np.abs(drawn.numpy() - wanted).max() < 1.6 / 127.5  # greys rounded three times


def test_silence_is_a_picture_too() -> None:
    model = PictureCnn(ImageConfig(LABELS)).eval()
    features = torch.from_numpy(model.heard(np.zeros(16000, np.float32), model.spec))[None]
    assert torch.equal(model.drawn(features, None), torch.full((1, 1, 50, 150), -1.0))


def test_a_waveform_is_heard_as_features_of_one_band() -> None:
    torch.manual_seed(0)
    model = WaveformCnn(WaveformConfig(LABELS, width=4)).eval()
    wave = hard_sounds(1.0)["voice-like"]
    heard = torch.from_numpy(model.heard(wave, model.spec))[None]
    with torch.inference_mode():
        given = model.clip(heard, torch.tensor([len(wave)]))
        for one, other in zip(given, model.hear(torch.from_numpy(wave)[None]), strict=True):
            torch.testing.assert_close(one, other)


def test_impossible_shapes_are_refused() -> None:
    for config in (WaveformConfig(LABELS, width=0), WaveformConfig(LABELS, n_mels=2)):
        with pytest.raises(EdgeSerError, match="one band, channels and a stride of at least 1"):
            WaveformCnn(config)


def test_recipes_cannot_train_them_and_say_what_does() -> None:
    for name, config in (("cnn-1d", WaveformConfig(LABELS)), ("cnn-2d", ImageConfig(LABELS))):
        with pytest.raises(EdgeSerError, match="edge-ser study spectral-features"):
            build_model(name, config.to_dict()).check_crop(100)
