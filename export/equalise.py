"""Channels of even size, before their values share one int8 scale.

Of two layers with a ReLU between them the first may be divided, channel by channel, by what the second is multiplied
by: the function is the same, and a channel of small values no longer drowns in the step of a large one (Nagel et al.
2019, arXiv 1906.04721).
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from export.quantise import Observed

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edge_ser.models.base import ClipNetwork
    from edge_ser.models.stream72k import Stream72k

__all__ = ["equalised"]

#: Least share of the largest channel's peak that a channel is brought up from. What is small in the calibration set
#: may be larger elsewhere, and has room up to here; a channel that it never shows stays as it is.
_LEAST = 0.05


class _Pair(NamedTuple):
    """Two layers, and how much of the unevenness the second takes.

    All of it (1) where it has a scale for each channel, as a depthwise convolution does; half of it where its channels
    meet in one scale, which would become uneven instead.
    """

    first: str
    second: str
    power: float
    rectified: bool = True  # a ReLU is between them, behind which nothing is below 0


def equalised(model: Stream72k | ClipNetwork, observed: Mapping[str, Observed]) -> Stream72k | ClipNetwork:
    """The same function with even channels where integer arithmetic begins and ends.

    Parameters
    ----------
    model : Stream72k or ClipNetwork
        Folded; it stays as it is.
    observed : mapping
        What `observe` noted of it.

    Returns
    -------
    Stream72k or ClipNetwork
        The state ``down`` of a stream has other scales than the model's; no stream changes forms on its way.
    """
    import torch

    even = copy.deepcopy(model)
    with torch.no_grad():
        for pair in _pairs(model):
            met = observed[pair.first]
            peaks = torch.from_numpy(met.peaks if pair.rectified else np.maximum(met.peaks, -met.depths))
            share = (peaks / peaks.max()).clamp_min(_LEAST) ** pair.power if peaks.any() else peaks
            share = torch.where(peaks > 0, share, 1.0)
            _move(even.get_submodule(pair.first), even.get_submodule(pair.second), share.float())
    return even


def _pairs(model: Stream72k | ClipNetwork) -> Iterator[_Pair]:
    from edge_ser.models.base import ClipNetwork

    if isinstance(model, ClipNetwork):
        for one, other in itertools.chain.from_iterable(map(itertools.pairwise, model.chains())):
            first, second = (_convolution(model, name) for name in (one, other))
            depthwise = model.get_parameter(f"{second}.weight").shape[1] == 1
            active = getattr(model.get_submodule(one), "active", False)
            yield _Pair(first, second, 1.0 if depthwise else 0.5, active)
        return
    yield _Pair(f"stem.{len(model.stem) - 1}.conv", "mix.conv", 0.5)
    yield _Pair("mix.conv", "down.conv", 1.0)
    for index in range(len(model.blocks)):
        block = f"blocks.{index}"
        yield _Pair(f"{block}.depthwise.conv", f"{block}.pointwise.conv", 0.5)


def _convolution(model: ClipNetwork, name: str) -> str:
    from edge_ser.models.layers import ConvNorm

    return f"{name}.conv" if isinstance(model.get_submodule(name), ConvNorm) else name


def _move(first: nn.Module, second: nn.Module, share: Tensor) -> None:
    """Divide the outputs of one layer and multiply the inputs of the next."""
    for name in ("weight", "bias"):
        value = first.get_parameter(name)
        value.div_(share.reshape(-1, *[1] * (value.dim() - 1)))
    weight = second.get_parameter("weight")
    if weight.shape[1] == 1:  # depthwise: an output for each input
        weight.mul_(share.reshape(-1, *[1] * (weight.dim() - 1)))
    else:  # after the stem each channel comes as several bands, side by side
        each = share.repeat_interleave(weight.shape[1] // len(share))
        weight.mul_(each.reshape(1, -1, *[1] * (weight.dim() - 2)))
