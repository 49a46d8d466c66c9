"""Losses of separated sources."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.separation import si_snr, si_snr_of_sources
from edge_ser.training.separation import least_permutation, si_snr_loss, spectral_l1


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.floats(-2, 1), st.floats(0.3, 20))
def test_the_loss_is_minus_the_figure(seed: int, exponent: float, gain: float) -> None:
    rng = np.random.default_rng(seed)
    s = rng.normal(0.02, 0.1, 500)
    x = s + 10**exponent * rng.normal(0, 0.1, 500)
    loss = si_snr_loss(torch.from_numpy(gain * x), torch.from_numpy(s))
    assert float(loss) == pytest.approx(-si_snr(x, s), abs=0.01)


def test_gradients_are_finite_and_right() -> None:
    torch.manual_seed(0)
    s = 0.1 * torch.randn(3, 50, dtype=torch.float64)
    x = (s + 0.1 * torch.randn_like(s)).requires_grad_()
    assert torch.autograd.gradcheck(si_snr_loss, (x, s))
    for estimate, target in (
        (torch.zeros(50), s[0]),
        (s[0], torch.zeros(50)),
        (s[0], s[0]),
        (torch.zeros(50),) * 2,
    ):
        y = estimate.clone().float().requires_grad_()
        loss = si_snr_loss(y, target.float())
        loss.backward()
        assert torch.isfinite(loss) and y.grad is not None and torch.isfinite(y.grad).all()


def test_silence_costs_and_a_silent_target_wants_silence() -> None:
    s = 0.1 * torch.randn(200, generator=torch.Generator().manual_seed(0))
    silent = torch.zeros(200)
    assert float(si_snr_loss(silent, s)) == pytest.approx(40.0)
    assert si_snr_loss(s, silent) > si_snr_loss(0.1 * s, silent) > si_snr_loss(0.01 * s, silent)
    assert si_snr_loss(s, s) < -80


def test_the_order_that_costs_least() -> None:
    rng = np.random.default_rng(1)
    targets = rng.normal(0, 0.1, (4, 3, 300))
    estimates = targets[:, [2, 0, 1]] + rng.normal(0, 0.05, targets.shape)
    x, s = torch.from_numpy(estimates), torch.from_numpy(targets)
    least, orders = least_permutation(si_snr_loss(x[:, None], s[:, :, None]))
    for b in range(4):
        values, order = si_snr_of_sources(estimates[b], targets[b])
        assert tuple(orders[b].tolist()) == order == (1, 2, 0)
        assert float(least[b]) == pytest.approx(-values.mean(), abs=1e-3)
    with pytest.raises(EdgeSerError, match="sources"):
        least_permutation(torch.zeros(2, 3, 2))


def test_l1_of_magnitudes_does_not_hear_phases() -> None:
    x = torch.randn(2, 5, 9, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    assert float(spectral_l1(x, 1j * x).abs().max()) < 1e-6
    torch.testing.assert_close(spectral_l1(2 * x, x), x.abs().mean((1, 2)))
