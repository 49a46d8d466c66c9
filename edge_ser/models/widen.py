"""A wider stream72k that answers as a narrower one does, to go on learning from there (Net2Net, arXiv 1511.05641)."""

from __future__ import annotations

import torch
from torch import Tensor

from edge_ser.errors import EdgeSerError
from edge_ser.models.stream72k import Stream72k, Stream72kConfig

__all__ = ["can_widen", "widen"]

_WIDTHS = ("labels", "stem", "channels")  # fields that may differ
_APART = 0.5  # copies of a channel weigh 1 +- this before their weights are made to sum to the old one


def can_widen(narrow: Stream72kConfig, wide: Stream72kConfig) -> bool:
    """Whether `wide` has nothing but channels that `narrow` lacks, each count a whole multiple."""
    ours, theirs = ({**shape.to_dict(), **dict.fromkeys(_WIDTHS)} for shape in (wide, narrow))
    pairs = [*zip(wide.stem, narrow.stem, strict=False), (wide.channels, narrow.channels)]
    return ours == theirs and len(wide.stem) == len(narrow.stem) and all(w % n == 0 for w, n in pairs)


def widen(model: Stream72k, config: Stream72kConfig, seed: int) -> Stream72k:
    """A network of another width and the same function.

    Each channel is there several times. What hears it divides its weight among the copies, unevenly by chance, as equal
    copies would have equal gradients and stay one channel for good.

    Parameters
    ----------
    model : Stream72k
        Not folded.
    config : Stream72kConfig
        As `can_widen` asks; its labels are the model's.
    seed : int

    Returns
    -------
    Stream72k
        In the mode of `model`.

    Raises
    ------
    EdgeSerError
        The shapes differ in more than width, or not by whole multiples.
    """
    if model.folded or config.labels != model.config.labels or not can_widen(model.config, config):
        raise EdgeSerError(
            "a network is widened by whole multiples of its channels; leave the rest of its shape"
        )
    generator = torch.Generator().manual_seed(seed)
    old, wide = model.state_dict(), Stream72k(config)
    new: dict[str, Tensor] = {}
    for name, target in wide.state_dict().items():
        value = old[name]
        if value.ndim and target.shape[0] != value.shape[0]:
            value = value.repeat_interleave(target.shape[0] // value.shape[0], 0)
        if value.ndim > 1 and target.shape[1] != value.shape[1]:
            # the mix hears every band of every channel
            bands = config.mixed_bands if name == "mix.conv.weight" else 1
            value = _shared(value, target.shape[1] // value.shape[1], bands, generator)
        new[name] = value
    wide.load_state_dict(new)
    return wide.train(model.training)


def _shared(weight: Tensor, copies: int, bands: int, generator: torch.Generator) -> Tensor:
    """Weights (out, in, ...) of a layer that hears each channel, of so many bands, in so many copies."""
    out, inputs, *kernel = weight.shape
    each = weight.reshape(out, inputs // bands, 1, bands, *kernel)
    share = 1 + _APART * (2 * torch.rand(out, inputs // bands, copies, generator=generator) - 1)
    share = share / share.sum(2, keepdim=True)
    return (each * share.reshape(*share.shape, *[1] * (1 + len(kernel)))).reshape(
        out, inputs * copies, *kernel
    )
