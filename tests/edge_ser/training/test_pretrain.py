"""Layer-wise pretraining: each layer learns to give its input back, and the ones under it stay."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.models.mel_cnn import ConvStack  # noqa: E402
from edge_ser.training.pretrain import pretrain_stack  # noqa: E402


def images(n: int = 24) -> np.ndarray:
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 1, (n, 16, 1)) + rng.normal(0, 1, (n, 1, 16))
    return rows.astype(np.float32)


def stack() -> ConvStack:
    torch.manual_seed(0)
    return ConvStack((8, 16))


def test_every_layers_loss_falls_and_the_same_seed_gives_the_same() -> None:
    one, other = stack(), stack()
    records = pretrain_stack(one, images(), epochs=8, batch=8, lr=0.01)
    assert [record["epoch"] for record in records] == list(range(1, 17))
    for layer in (1, 2):
        losses = [record["loss"] for record in records if record["layer"] == layer]
        assert losses[-1] < 0.7 * losses[0]
    assert pretrain_stack(other, images(), epochs=8, batch=8, lr=0.01) == records
    for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_layer_under_the_one_that_learns_stays() -> None:
    seen = []
    one = stack()

    def report(record):
        seen.append(
            (record["layer"], one[0].conv.weight.detach().clone(), one[1].conv.weight.detach().clone())
        )

    pretrain_stack(one, images(), epochs=2, batch=8, report=report)
    assert torch.equal(seen[1][2], seen[0][2]) and not torch.equal(seen[1][1], seen[0][1])
    assert torch.equal(seen[3][1], seen[1][1]) and not torch.equal(seen[3][2], seen[2][2])


def test_what_is_refused() -> None:
    for bad, batch in ((images(1), 8), (images(4)[0], 8), (images(4), 1)):
        with pytest.raises(EdgeSerError, match="two images"):
            pretrain_stack(stack(), bad, batch=batch)
    with pytest.raises(EdgeSerError, match="is no number"):
        pretrain_stack(stack(), images() * np.nan, epochs=1)
    assert pretrain_stack(stack(), images(), epochs=0) == []
