"""Is batch normalisation folded into the weights without a shift? Each layer, folded against as trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.parity import hard_sounds, recordings
from export.quantise import hear

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edge_ser.models.base import Network

__all__ = ["BIAS_LIMIT", "ERROR_LIMIT", "Folded", "check_folding", "folding_errors"]

#: Of a layer's largest output: what rounding may make of one value, and of a channel's mean, where errors of either
#: sign cancel and a shift does not.
ERROR_LIMIT, BIAS_LIMIT = 1e-4, 1e-5


class Folded(NamedTuple):
    """A layer of the folded network against the trained one's normalisation, on the same recordings.

    Attributes
    ----------
    layer : str
    largest : float
        Greatest difference, as a share of the layer's largest output.
    bias : float
        Greatest mean difference of a channel, as the same share.
    """

    layer: str
    largest: float
    bias: float

    @property
    def ok(self) -> bool:
        """Neither is more than rounding."""
        return self.largest <= ERROR_LIMIT and self.bias <= BIAS_LIMIT


def folding_errors(model: Network, folded: Network, features: Sequence[np.ndarray]) -> list[Folded]:
    """Compare layer by layer, in the order of the network.

    Parameters
    ----------
    model : Network
        As trained, in inference mode.
    folded : Network
        Of `Network.fold`.
    features : sequence of array
        What `export.quantise.observe` takes; what a layer gives is kept in memory, so a few.

    Raises
    ------
    EdgeSerError
        A normalisation of the trained network has no counterpart.
    """
    names = [name for name, module in model.named_modules() if _compared(name, module)]
    there = {name for name, _ in folded.named_modules()}
    if missing := [name for name in names if name not in there]:
        raise EdgeSerError(
            f"the folded network has no layer {missing[0]}; its fold() leaves out a normalisation"
        )
    wanted, given = (_outputs(network, names, features) for network in (model, folded))
    rows = []
    for name in names:
        size = max(float(np.abs(one).max(initial=0.0)) for one in wanted[name]) or 1.0
        apart = [a.astype(np.float64) - b for a, b in zip(given[name], wanted[name], strict=True)]
        # (batch, channels, ...), but for the heads, whose channels are last
        flat = np.concatenate([np.moveaxis(one, _channels(name), 0).reshape(one.shape[_channels(name)], -1)
                               for one in apart], 1)  # fmt: skip
        rows.append(Folded(name, float(np.abs(flat).max()) / size, float(np.abs(flat.mean(1)).max()) / size))
    return rows


def check_folding(model: Network, folded: Network, given: Callable[[np.ndarray], np.ndarray]) -> list[Folded]:
    """Refuse a fold that does more than round, on a few seconds of the package's recording and of noise.

    Parameters
    ----------
    model, folded : Network
        As `folding_errors` takes them.
    given : callable
        What the networks hear of a recording (n,), as `export.quantise.observe` takes it.

    Raises
    ------
    EdgeSerError
        Some layer's outputs are shifted or differ.
    """
    waves = [*recordings(seconds=_SECONDS).values(), hard_sounds(_SECONDS)["noise"]]
    rows = folding_errors(model, folded, [given(wave) for wave in waves])
    for row in rows:
        if not row.ok:
            raise EdgeSerError(
                f"folding batch normalisation changes {row.layer}: values by {row.largest:.1e} of its largest (limit "
                f"{ERROR_LIMIT:g}), means by {row.bias:.1e} (limit {BIAS_LIMIT:g}); its fold() is wrong, or its batch "
                "statistics are broken"
            )
    return rows


_SECONDS = 3.0
_HEADS = ("attend", "emotion", "adv")


def _compared(name: str, module: nn.Module) -> bool:
    """Each normalisation behind a convolution, and the heads, which one before the heads is folded into."""
    from torch import nn

    return (name.endswith(".norm") and isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)) or name in _HEADS


def _channels(name: str) -> int:
    return -1 if name in ("emotion", "adv") else 1


def _outputs(
    model: Network, names: Sequence[str], features: Sequence[np.ndarray]
) -> dict[str, list[np.ndarray]]:
    kept: dict[str, list[np.ndarray]] = {name: [] for name in names}

    def keep(name: str) -> Any:
        def hook(_: nn.Module, __: tuple[Tensor, ...], given: Tensor) -> None:
            kept[name].append(given.numpy().copy())

        return hook

    hear(model, features, {name: keep(name) for name in names})
    return kept
