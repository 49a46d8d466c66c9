"""CNNs on mel images: their sizes are the published ones, and a clip's length is what it may be."""

import copy

import pytest

torch = pytest.importorskip("torch")

from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.models import describe  # noqa: E402
from edge_ser.models.mel_cnn import ConvStack, ImageConfig, MelCnn3, PooledCnn3  # noqa: E402
from tests.edge_ser.models.networks import LABELS, lively  # noqa: E402


def test_parameters_are_the_published_ones() -> None:
    rows = {row["name"]: row for row in describe(["cnn-3", "cnn-4", "cnn-5"])}
    for name, millions in (("cnn-3", 1.2), ("cnn-4", 1.8), ("cnn-5", 9.5)):
        row = rows[name]
        eight = (
            row["parameters"] - 3 * (row["hidden"] + 1) + 8 * row["per_class"]
        )  # no A/D/V head was published
        assert eight / 1e6 == pytest.approx(millions, abs=0.05), name


def test_by_hand() -> None:
    model = MelCnn3(ImageConfig(labels=LABELS))
    convolutions = 9 * (16 + 16 * 32 + 32 * 64) + 2 * (16 + 32 + 64)
    full = (64 * 16 * 16 + 1) * 72 + (72 + 1) * (len(LABELS) + 3)
    assert model.count_parameters() == convolutions + full


def test_every_length_is_seen_over_the_whole_width() -> None:
    model = lively("cnn-3")
    short = torch.randn(1, 40, 128, generator=torch.Generator().manual_seed(0))
    wide = torch.nn.functional.interpolate(short.transpose(1, 2)[:, None], (128, 128), mode="bilinear")
    with torch.inference_mode():
        assert torch.allclose(model(short), model(wide[:, 0].transpose(1, 2)), atol=1e-4)
        assert model(short).shape == (1, len(LABELS))


def test_stages_are_the_stack() -> None:
    torch.manual_seed(0)
    stack = ConvStack((4, 8)).eval()
    images = torch.randn(2, 1, 16, 16)
    assert torch.equal(stack(images), stack.stage(1, stack.stage(0, images)))


def test_a_stage_is_convolution_norm_relu_and_the_largest() -> None:
    torch.manual_seed(0)
    stack = ConvStack((4,))
    twin = copy.deepcopy(stack)
    images = torch.randn(3, 1, 8, 8, requires_grad=True)
    plain = torch.nn.functional.max_pool2d(torch.relu(twin[0].norm(twin[0].conv(images))), 2)
    assert torch.allclose(stack(images), plain, atol=1e-6)
    (slope,) = torch.autograd.grad(stack(images).square().sum(), images)
    (other,) = torch.autograd.grad(plain.square().sum(), images)
    assert torch.allclose(slope, other, atol=1e-6)


def test_a_mean_over_time_hears_any_length_and_low_from_high() -> None:
    model = lively("pooled-cnn-3")
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, 128)).shape == (1, len(LABELS))
        low = torch.zeros(1, 64, 128)
        low[:, :, :32] = 5.0
        assert not torch.allclose(model(low), model(low.flip(2)), atol=1e-3)


def test_bands_that_do_not_fit_are_refused() -> None:
    with pytest.raises(EdgeSerError, match="128 bands"):
        MelCnn3(ImageConfig(labels=LABELS, n_mels=64))
    with pytest.raises(EdgeSerError, match="multiple of 32"):
        PooledCnn3(ImageConfig(labels=LABELS, n_mels=100))
