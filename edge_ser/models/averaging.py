"""The mean of networks that began alike: often better than each of them, and no larger than one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from edge_ser.errors import EdgeSerError
from edge_ser.models.base import Network
from edge_ser.models.checkpoint import load_checkpoint

__all__ = ["average_checkpoints"]

#: What has to be the same in all of them, and how it is called.
_SHARED = {
    "architecture": "networks",
    "config": "shapes or labels",
    "spec": "front ends",
}
#: The same of what they were trained on: a mean has heard whom any of its networks heard.
_HEARD = {
    "held_out_fold": "held-out folds",
    "clips": "recordings",
}


def average_checkpoints(
    paths: Sequence[str | Path], weights: Sequence[float] | None = None
) -> tuple[Network, dict[str, Any]]:
    """Average the weights of networks that went on from one start (model soups, arXiv 2203.05482).

    The start may be one of them: what it knew and fine-tuning forgot comes back (arXiv 2109.01903).

    Running statistics of normalisation are averaged as the weights are. Networks that began apart share no valley of
    the loss, and their mean is worth nothing: that cannot be seen in the files, so evaluate the mean.

    Parameters
    ----------
    paths : sequence of str or Path
        Checkpoints, at least two.
    weights : sequence of float, optional
        How much each counts, above 0; alike when left out. Their sum is of no account.

    Returns
    -------
    model : Network
        In inference mode.
    meta : dict
        Of the first, and ``training.averaged`` with the recipe, the seed and the share of each, and of what a mean is;
        ``training.heard`` are the speakers that any of them is known to have heard.

    Raises
    ------
    EdgeSerError
        Fewer than two, weights that are not one above 0 for each, a file that is no checkpoint, or two that differ in
        network, shape, labels, front end, held-out fold or recordings.
    """
    if len(paths) < 2:
        raise EdgeSerError("a mean is of at least two checkpoints: name more")
    if weights is None:
        weights = [1.0] * len(paths)
    if len(weights) != len(paths) or not all(0 < weight < math.inf for weight in weights):
        raise EdgeSerError(f"{len(paths)} checkpoints take {len(paths)} weights above 0, not {list(weights)}")
    if math.isinf(sum(weights)):  # every share would be 0, and so the network
        raise EdgeSerError(f"the weights {list(weights)} have no sum; give smaller ones, such as 3,1")
    shares = [weight / sum(weights) for weight in weights]
    loaded = [load_checkpoint(path) for path in paths]
    model, meta = loaded[0]
    for path, (_, other) in zip(paths[1:], loaded[1:], strict=True):
        differs = [what for key, what in _SHARED.items() if other[key] != meta[key]]
        differs += [w for key, w in _HEARD.items() if other["training"].get(key) != meta["training"].get(key)]
        if differs:
            raise EdgeSerError(
                f"{path} and {paths[0]} have different {' and '.join(differs)}: only alike networks have a mean"
            )
    states = [one.state_dict() for one, _ in loaded]
    model.load_state_dict({name: _mean([state[name] for state in states], shares) for name in states[0]})
    averaged = [
        {key: one["training"].get(key) for key in ("recipe", "seed")}
        | {"share": share}
        | {key: value for key, value in one["training"].items() if key == "averaged"}
        for (_, one), share in zip(loaded, shares, strict=True)
    ]
    about = meta["training"] | {"averaged": averaged}
    if heard := {name for _, one in loaded for name in one["training"].get("heard", ())}:
        about["heard"] = sorted(heard)
    return model, meta | {"training": about}


def _mean(tensors: Sequence[torch.Tensor], shares: Sequence[float]) -> torch.Tensor:
    first = tensors[0]
    if not first.is_floating_point():
        return first
    return (
        torch.stack([share * one.double() for share, one in zip(shares, tensors, strict=True)])
        .sum(0)
        .to(first.dtype)
    )
