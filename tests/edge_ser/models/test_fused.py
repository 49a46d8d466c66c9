"""The layers of training against torch's own in double precision."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from edge_ser.models import ARCHITECTURES
from edge_ser.models.fused import causal_depthwise, conv_pool_relu, norm_pool_relu, norm_relu, pool_relu
from edge_ser.models.stream72k import Stream72k, Stream72kConfig

#: Images, as the layers on them are drawn.
_IMAGES: dict[str, Any] = {
    "seed": st.integers(0, 2**31),
    "batch": st.integers(1, 3),
    "high": st.integers(2, 9),
    "broad": st.integers(2, 9),
    "channels": st.integers(1, 40),
}


def _close(ours: Tensor | None, theirs: Tensor | None, atol: float = 1e-5) -> None:
    assert ours is not None and theirs is not None
    scale = max(1.0, float(theirs.detach().abs().max()))
    torch.testing.assert_close(ours.double(), theirs.double(), rtol=0, atol=atol * scale)


@given(
    seed=st.integers(0, 2**31),
    batch=st.integers(1, 3),
    frames=st.integers(1, 20),
    channels=st.integers(1, 19),
    kernel=st.integers(1, 6),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 5),
)
def test_a_causal_depthwise_convolution_is_torchs_behind_silence(
    seed: int, batch: int, frames: int, channels: int, kernel: int, stride: int, dilation: int
) -> None:
    torch.manual_seed(seed)
    frames *= stride
    conv = nn.Conv1d(
        channels, channels, kernel, groups=channels, stride=stride, dilation=dilation, bias=False
    )
    exact = copy.deepcopy(conv).double()
    x = torch.randn(batch, frames, channels, requires_grad=True)
    same = x.detach().double().requires_grad_()
    context = (kernel - 1) * dilation - (stride - 1)
    before = F.pad(same.transpose(1, 2), (max(context, 0), 0))[:, :, max(-context, 0) :]
    expected = exact(before).transpose(1, 2)
    got = causal_depthwise(x, conv)
    _close(got, expected)
    pull = torch.randn(got.shape)
    (got * pull).sum().backward()
    (expected * pull).sum().backward()
    _close(x.grad, same.grad)
    _close(conv.weight.grad, exact.weight.grad)


@given(
    seed=st.integers(0, 2**31),
    rows=st.integers(4, 200),
    channels=st.integers(1, 150),
    level=st.sampled_from([0.0, -3.0, 10.0]),
    more=st.booleans(),
)
def test_norm_and_relu_are_torchs(seed: int, rows: int, channels: int, level: float, more: bool) -> None:
    torch.manual_seed(seed)
    norm = nn.BatchNorm1d(channels)
    with torch.no_grad():
        norm.weight.uniform_(-1, 2)
        norm.bias.uniform_(-1, 1)
    exact = copy.deepcopy(norm).double()
    # Far fewer ties at the ReLU's corner than rounding could move; the level is large beside the spread, as in silence.
    x = (level + torch.randn(rows, channels)).requires_grad_()
    beside = torch.randn(rows, channels).requires_grad_()
    same, beside64 = (t.detach().double().requires_grad_() for t in (x, beside))
    before = exact(same) + (beside64 if more else 0)
    expected = F.relu(before)
    got = norm_relu(x, norm, beside if more else None)
    _close(got, expected, 2e-4)
    _close(norm.running_mean, exact.running_mean)
    _close(norm.running_var, exact.running_var, 1e-4)
    assert int(norm.num_batches_tracked or 0) == 1
    pull = torch.randn(got.shape) * (
        before.detach().abs() > 1e-3
    )  # where both are on the same side of the corner
    (got * pull).sum().backward()
    (expected * pull).sum().backward()
    _close(x.grad, same.grad, 2e-3)
    _close(norm.weight.grad, exact.weight.grad, 1e-3)
    _close(norm.bias.grad, exact.bias.grad, 1e-4)
    if more:
        _close(beside.grad, beside64.grad)


def _decided(before: Tensor) -> Tensor:
    """Where the largest of 2 x 2 is no near tie, with another or with 0, which rounding might turn: (B, h, w, C)."""
    batch, channels, high, broad = before.shape
    four = F.unfold(before.detach().reshape(-1, 1, high, broad), 2, stride=2).sort(1).values
    apart = torch.minimum(four[:, 3] - four[:, 2], four[:, 3].abs()) > 1e-3
    return apart.view(batch, channels, high // 2, broad // 2).permute(0, 2, 3, 1)


@given(**_IMAGES, level=st.sampled_from([0.0, -3.0, 10.0]))
def test_norm_pool_and_relu_are_torchs(
    seed: int, batch: int, high: int, broad: int, channels: int, level: float
) -> None:
    torch.manual_seed(seed)
    norm = nn.BatchNorm2d(channels)
    with torch.no_grad():
        norm.weight.uniform_(-1, 2)
        norm.bias.uniform_(-1, 1)
    exact = copy.deepcopy(norm).double()
    x = (level + torch.randn(batch, high, broad, channels)).requires_grad_()
    same = x.detach().double().requires_grad_()
    before = exact(same.permute(0, 3, 1, 2))
    expected = F.relu(F.max_pool2d(before, 2)).permute(0, 2, 3, 1)
    got = norm_pool_relu(x, norm)
    _close(got, expected, 2e-4)
    _close(norm.running_mean, exact.running_mean)
    _close(norm.running_var, exact.running_var, 1e-4)
    pull = torch.randn(got.shape) * _decided(before)
    (got * pull).sum().backward()
    (expected * pull).sum().backward()
    _close(x.grad, same.grad, 2e-3)
    _close(norm.weight.grad, exact.weight.grad, 1e-3)
    _close(norm.bias.grad, exact.bias.grad, 1e-4)


@given(**_IMAGES)
def test_a_first_convolution_pool_and_relu_are_torchs(
    seed: int, batch: int, high: int, broad: int, channels: int
) -> None:
    torch.manual_seed(seed)
    conv = nn.Conv2d(1, channels, 3, padding=1)
    exact = copy.deepcopy(conv).double()
    images = torch.randn(batch, broad, high).transpose(1, 2)  # as networks are given them
    before = exact(images.double()[:, None])
    expected = F.relu(F.max_pool2d(before, 2)).permute(0, 2, 3, 1)
    got = conv_pool_relu(images, conv)
    _close(got, expected)
    pull = torch.randn(got.shape) * _decided(before)
    (got * pull).sum().backward()
    (expected * pull).sum().backward()
    _close(conv.weight.grad, exact.weight.grad)
    _close(
        conv.bias.grad if conv.bias is not None else None, exact.bias.grad if exact.bias is not None else None
    )


@given(**_IMAGES)
def test_pool_and_relu_are_torchs(seed: int, batch: int, high: int, broad: int, channels: int) -> None:
    torch.manual_seed(seed)
    x = torch.randn(batch, high, broad, channels).requires_grad_()
    same = x.detach().double().requires_grad_()
    expected = F.relu(F.max_pool2d(same.permute(0, 3, 1, 2), 2)).permute(0, 2, 3, 1)
    got = pool_relu(x)
    pull = torch.randn(got.shape)
    (got * pull).sum().backward()
    (expected * pull).sum().backward()
    assert torch.equal(got.double(), expected)
    _close(x.grad, same.grad)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_dropout_drops_its_share_and_keeps_the_mean(first: bool, kind: torch.dtype) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 16, 3, padding=1)
    nn.init.zeros_(conv.weight)
    assert conv.bias is not None
    nn.init.ones_(conv.bias)
    x = torch.ones(2, 66, 62, 16, dtype=kind).requires_grad_()

    def passed(share: float) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=kind == torch.bfloat16):
            return conv_pool_relu(torch.randn(2, 66, 62), conv, share) if first else pool_relu(x, share)

    y = passed(0.25)
    kept = y != 0
    assert y.dtype == kind and abs(float(kept.float().mean()) - 0.75) < 0.01
    assert torch.equal(y[kept], torch.full_like(y[kept], 4 / 3))
    # of each channel and column alike: no pattern in how bits are dealt out
    for axes in ((0, 1, 2), (0, 1, 3)):
        assert float((kept.float().mean(axes) - 0.75).abs().max()) < 0.05
    y.sum().backward()
    if first:
        assert conv.bias.grad is not None
        assert torch.allclose(conv.bias.grad, y.float().sum((0, 1, 2)), rtol=1e-2)
    else:
        assert x.grad is not None and torch.equal(x.grad[:, ::2, ::2], y)
        assert int((x.grad != 0).sum()) == int(kept.sum())  # of equals, the first
    torch.manual_seed(1)
    again = passed(0.25)
    assert not torch.equal(again != 0, kept)
    torch.manual_seed(1)
    passed_again = passed(0.25)
    assert torch.equal(again, passed_again) or first  # the images are drawn too


@pytest.mark.parametrize("name", ["pooled-cnn-3", "cnn-3"])
def test_networks_on_images_train_on_the_function_that_they_run(name: str) -> None:
    torch.manual_seed(1)
    row = ARCHITECTURES[name]
    model: Any = row.model(row.config(labels=("angry", "sad"), n_mels=128)).train()
    model.dropout.p = 0.0
    plain = copy.deepcopy(model).double()
    features = torch.randn(3, 128, 128)
    logits = model(features)
    # torch's own layers: inference's way, with the statistics of the batch
    if name == "cnn-3":
        x = features.double().transpose(1, 2)[:, None]
        for layer in plain.stack:
            x = F.relu(F.max_pool2d(layer.norm(layer.conv(x)), 2))
        x = x.flatten(1)
        for full in plain.full_layers:
            x = F.relu(full(x))
        expected = plain.emotion(x)
    else:
        expected = plain.eval()(features.double())
    _close(logits, expected, 1e-5)
    logits.square().sum().backward()
    expected.square().sum().backward()
    for (key, ours), theirs in zip(model.named_parameters(), plain.parameters(), strict=True):
        if ours.grad is not None:
            assert torch.allclose(
                ours.grad.double(), theirs.grad, rtol=1e-3, atol=1e-4 * float(theirs.grad.abs().max())
            ), key


def test_norm_pool_and_relu_round_to_bfloat16_as_torch_does() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6, 6, 16).bfloat16()
    wide = x.float().requires_grad_()
    half = x.clone().requires_grad_()
    got, exact = norm_pool_relu(half, nn.BatchNorm2d(16)), norm_pool_relu(wide, nn.BatchNorm2d(16))
    assert got.dtype == torch.bfloat16 and torch.equal(got, exact.bfloat16())
    got.sum().backward()
    exact.sum().backward()
    assert half.grad is not None and wide.grad is not None
    assert half.grad.dtype == torch.bfloat16 and torch.equal(half.grad, wide.grad.bfloat16())


def test_any_leading_shape_and_half_precision_are_taken() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 5, 8).bfloat16().requires_grad_()
    y = norm_relu(x, nn.BatchNorm2d(8))
    assert y.dtype == torch.float32 and y.shape == x.shape
    y.sum().backward()
    assert x.grad is not None and x.grad.dtype == torch.bfloat16


def test_statistics_stay_where_they_are_without_momentum() -> None:
    norm = nn.BatchNorm1d(4)
    norm.momentum = 0.0
    norm_relu(torch.randn(9, 4) + 5, norm)
    assert norm.running_mean is not None and norm.running_mean.abs().max() == 0


@pytest.mark.parametrize(("stem", "halve"), [((8,), -1), ((8, 16), 1), ((4, 8), 0), ((8, 16), -1)])
def test_the_student_trains_on_the_function_that_it_runs(stem: tuple[int, ...], halve: int) -> None:
    torch.manual_seed(1)
    config = Stream72kConfig(labels=("angry", "sad"), n_mels=16, stem=stem, halve=halve, channels=8)
    model = Stream72k(config).train()
    plain = copy.deepcopy(model).double()
    features = torch.randn(5, 60, 16)
    frames = torch.tensor([60, 40, 20, 60, 50])

    pooled = model.pool(features, frames)
    x, _ = plain.trunk(features.double(), tuple(s.double() for s in plain.initial_state(5)))
    valid = (2 * torch.arange(30)[None] < frames[:, None]).double()
    expected = plain._merge(plain._moments(x, valid))
    _close(pooled, expected, 1e-4)
    pull = torch.randn(pooled.shape)
    (pooled * pull).sum().backward()
    (expected * pull).sum().backward()
    for (name, ours), theirs in zip(model.named_parameters(), plain.parameters(), strict=True):
        if theirs.grad is not None:
            assert ours.grad is not None, name
            _close(ours.grad, theirs.grad, 1e-3)
    for ours_, theirs_ in zip(model.buffers(), plain.buffers(), strict=True):
        _close(ours_, theirs_, 1e-4)
