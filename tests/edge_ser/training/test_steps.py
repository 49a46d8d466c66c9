"""The fit of any loss."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edge_ser.errors import EdgeSerError
from edge_ser.training.steps import Pace, fit_steps

PACE = Pace(epochs=6, steps=4, lr=0.05)


def model() -> nn.Linear:
    torch.manual_seed(3)
    return nn.Linear(2, 1)


def batches(_: int, rng: np.random.Generator) -> Iterator[Tensor]:
    for _step in range(4):
        yield torch.from_numpy(rng.normal(0, 1, (8, 2))).float()


def loss(net: nn.Linear, x: Tensor) -> dict[str, Tensor]:
    return {"fit": ((net(x)[:, 0] - x[:, 0] + 2 * x[:, 1]) ** 2).mean(), "size": 1e-4 * (net.weight**2).sum()}


def test_it_learns_and_tells() -> None:
    net, seen = model(), []
    records, losses = fit_steps(net, batches, loss, Pace(30, 4, lr=0.1), report=seen.append)
    assert records == seen and [r["epoch"] for r in records] == list(range(1, 31))
    assert records[-1]["loss"] < 0.01 * records[0]["loss"]
    assert records[0]["loss"] == pytest.approx(records[0]["fit_loss"] + records[0]["size_loss"])
    np.testing.assert_allclose(net.weight.detach().numpy(), [[1, -2]], atol=0.05)
    assert not net.training
    assert len(losses) == 120 and np.mean(losses[:4]) == pytest.approx(records[0]["loss"], rel=1e-5)


@pytest.mark.parametrize("one_cycle", [True, False])
def test_a_stopped_fit_goes_on_as_if_it_had_not_been(tmp_path: Path, one_cycle: bool) -> None:
    pace = Pace(6, 4, lr=0.05, one_cycle=one_cycle)
    whole = model()
    course = fit_steps(whole, batches, loss, pace, seed=1)

    class Stop(Exception):
        pass

    def stop(record: dict[str, float]) -> None:
        if record["epoch"] == 3:
            raise Stop

    import edge_ser.training.steps as module

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stop):
        patch.setattr(module, "_SAVE_S", -1.0)
        fit_steps(model(), batches, loss, pace, seed=1, folder=tmp_path, report=stop)
    again = model()
    assert fit_steps(again, batches, loss, pace, seed=1, folder=tmp_path) == course
    assert torch.equal(again.weight, whole.weight)
    done = model()
    assert fit_steps(done, batches, loss, pace, seed=1, folder=tmp_path) == course  # nothing is left to do
    assert torch.equal(done.weight, whole.weight)
    with pytest.raises(EdgeSerError, match="of another fit"):
        fit_steps(model(), batches, loss, pace, seed=2, folder=tmp_path)


def test_a_loss_that_is_no_number_and_batches_that_are_missing() -> None:
    with pytest.raises(EdgeSerError, match="no longer a number in epoch 1"):
        fit_steps(model(), batches, lambda net, x: {"fit": net(x).sum() * float("nan")}, PACE)
    with pytest.raises(EdgeSerError, match="4 batches, and 5 were to come"):
        fit_steps(model(), batches, loss, Pace(1, 5))
    with pytest.raises(EdgeSerError, match="at least 1"):
        Pace(0, 1)
