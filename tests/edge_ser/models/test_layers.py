"""Padding takes no part, whatever the layers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from edge_ser.models.layers import ConvNorm, blank, max_pool, mean_frames, thinned  # noqa: E402

shapes = st.lists(st.tuples(st.sampled_from([1, 3, 5, 7]), st.sampled_from([1, 2])), min_size=1, max_size=4)


@settings(max_examples=30)
@given(shapes, st.integers(1, 40), st.integers(1, 40), st.booleans(), st.integers(0, 2**31))
def test_a_clip_beside_a_longer_one_is_as_it_is_alone(
    shapes: list[tuple[int, int]], short: int, more: int, pooled: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    convs = [ConvNorm(2, 2, kernel, stride=stride).eval() for kernel, stride in shapes]
    for conv in convs:
        torch.nn.init.normal_(conv.norm.bias)

    def through(x: torch.Tensor, frames: torch.Tensor | None) -> torch.Tensor:
        for conv in convs:
            x, frames = conv(x, frames)
        if pooled:
            x, frames = max_pool(x, frames)
        return mean_frames(x, frames)

    clips = torch.randn(2, 2, short + more, 6)
    with torch.no_grad():
        together = through(clips, torch.tensor([short + more, short]))
        assert torch.allclose(together[:1], through(clips[:1], None), atol=1e-5)
        assert torch.allclose(together[1:], through(clips[1:, :, :short], None), atol=1e-5)


def test_blanks_are_zeros_even_over_what_is_no_number() -> None:
    x = torch.full((1, 1, 4, 2), float("nan"))
    x[:, :, :3] = 1.0
    assert blank(x, torch.tensor([3])).sum() == 6.0
    assert blank(x, None) is x


@pytest.mark.parametrize(("frames", "kept"), [(1, 1), (2, 1), (3, 2), (400, 200)])
def test_a_stride_keeps_every_other_frame(frames: int, kept: int) -> None:
    assert thinned(torch.tensor([frames]), 2) == torch.tensor([kept])
    assert ConvNorm(1, 1, 3, stride=2)(torch.zeros(1, 1, frames, 4), None)[0].shape[2] == kept
    assert thinned(torch.tensor([frames]), 1) == torch.tensor([frames])
    assert thinned(None, 2) is None


@pytest.mark.parametrize(("groups", "width"), [(1, torch.bfloat16), (4, torch.float32)])
def test_a_depthwise_layer_trains_in_float32_beside_others_in_bfloat16(
    groups: int, width: torch.dtype
) -> None:
    torch.manual_seed(0)
    conv = ConvNorm(4, 4, 3, groups=groups)
    x = torch.randn(2, 4, 8, 6)
    seen: list[torch.dtype] = []
    conv.conv.register_forward_hook(lambda *args: seen.append(args[2].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        y, _ = conv(x, None)
    y.float().sum().backward()
    assert seen == [width] and bool(torch.isfinite(conv.conv.weight.grad).all())
    plain, _ = conv(x, None)
    assert torch.allclose(y.float(), plain, atol=0.1 if groups == 1 else 1e-5)
