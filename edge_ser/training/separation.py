"""Losses of separated sources, which come in no order: the permutation that costs least counts (arXiv 1607.00325)."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from edge_ser.errors import EdgeSerError

__all__ = ["least_permutation", "si_snr_loss", "spectral_l1"]

#: Mean square of what counts as silence: -120 dB of the error, -160 dB of what was found.
_NOISE, _FOUND = 1e-12, 1e-16


def si_snr_loss(estimates: Tensor, targets: Tensor) -> Tensor:
    """Minus `edge_ser.evaluation.separation.si_snr`, in dB, with a gradient everywhere.

    Parameters
    ----------
    estimates, targets : Tensor (..., n)
        In -1..1; their other dimensions are broadcast.

    Returns
    -------
    Tensor (...)
        Finite: a perfect estimate of mean square `p` costs ``-10 log10(p / 1e-12)``, silence in the place of a target
        40, and a target that is silent the more the louder its estimate is.
    """
    x = estimates - estimates.mean(-1, keepdim=True)
    s = targets - targets.mean(-1, keepdim=True)
    scale = (x * s).mean(-1, keepdim=True) / (s * s).mean(-1, keepdim=True).clamp(min=_FOUND)
    found = scale * s
    signal, noise = (found**2).mean(-1), ((x - found) ** 2).mean(-1)
    return 10 * (torch.log10(noise + _NOISE) - torch.log10(signal + _FOUND))


def spectral_l1(estimates: Tensor, targets: Tensor) -> Tensor:
    """Mean absolute difference of magnitudes: spectra (..., frames, bins), complex, to (...)."""
    return (estimates.abs() - targets.abs()).abs().mean((-2, -1))


def least_permutation(costs: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cost of the order of estimates that costs least.

    Parameters
    ----------
    costs : Tensor (B, S, S)
        ``[b, i, k]`` is what estimate `k` costs as source `i`.

    Returns
    -------
    least : Tensor (B,)
        Mean over the sources.
    orders : Tensor (B, S) int64
        The estimate of each source.

    Raises
    ------
    EdgeSerError
        Not as many estimates as sources, or more than six.
    """
    batch, count = costs.shape[0], costs.shape[-1]
    if costs.shape != (batch, count, count) or not 1 <= count <= 6:
        raise EdgeSerError(
            f"costs must have the shape (batch, sources, sources) of 1 to 6, not {tuple(costs.shape)}"
        )
    orders = torch.tensor(list(itertools.permutations(range(count))), device=costs.device)
    each = costs[:, torch.arange(count, device=costs.device), orders].mean(2)  # (B, permutations)
    best = each.argmin(1)
    return each[torch.arange(batch, device=costs.device), best], orders[best]
