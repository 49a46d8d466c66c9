"""Networks on pictures and on waveforms."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch

from edge_ser.errors import EdgeSerError
from edge_ser.models.picture_cnn import PictureCnn, PictureResNet50
from edge_ser.models.waveform_cnn import WaveformCnn


def test_shapes_and_counts() -> None:
    torch.manual_seed(0)
    cases = ((WaveformCnn(4, 8), (1, 48240)), (PictureCnn(3), (1, 50, 150)), (PictureCnn(3), (1, 50, 20)))
    for model, shape in cases:
        logits = model.eval()(torch.randn(2, *shape))
        assert logits.shape == (2, model.full[-1].out_features)
        assert logits.isfinite().all()
    resnet = PictureResNet50(10).eval()
    with torch.inference_mode():
        assert resnet(torch.randn(1, 1, 64, 64)).shape == (1, 10)
    # as published for one channel and ten classes: 25 557 032 - 2 x 64 x 49 - (1000 - 10) x 2049
    assert sum(p.numel() for p in resnet.parameters()) == 25_557_032 - 6272 - 990 * 2049


def test_a_picture_may_move_in_time_and_not_in_frequency() -> None:
    torch.manual_seed(0)
    model = PictureCnn(3).eval()
    picture = torch.zeros(1, 1, 48, 160)
    picture[..., 8:16, 64:80] = 1
    with torch.inference_mode():
        as_it_is = model(picture)
        torch.testing.assert_close(model(picture.roll(16, 3)), as_it_is, atol=1e-5, rtol=1e-4)
        assert (model(picture.roll(16, 2)) - as_it_is).abs().max() > 1e-3


def test_impossible_shapes_are_refused() -> None:
    with pytest.raises(EdgeSerError, match="cannot be halved 3 times"):
        PictureCnn(3, rows=7)
    with pytest.raises(EdgeSerError, match="at least 1"):
        WaveformCnn(0)
