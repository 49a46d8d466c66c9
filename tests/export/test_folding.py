"""Folding batch normalisation moves no layer, and one that does is found and named."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.models import build_model  # noqa: E402
from export.folding import BIAS_LIMIT, ERROR_LIMIT, Folded, check_folding, folding_errors  # noqa: E402
from tests.support import CONFIG  # noqa: E402

LABELS = ["angry", "happy", "neutral", "sad"]
SHAPES = {"stream72k": (3, 20, 64), "wav2small-17k": (400, 26), "mobilenetv4-s": (100, 64)}


def trained(name):
    """Statistics far from their start, some variances small: there folding scales most."""
    torch.manual_seed(3)
    config = CONFIG if name == "stream72k" else {"labels": LABELS, "n_mels": SHAPES[name][-1]}
    model = build_model(name, config).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.5)
            module.running_var.uniform_(0.02, 2.0)
            with torch.no_grad():
                module.weight.uniform_(-1.5, 1.5)
                module.bias.normal_()
    return model


@pytest.mark.parametrize("name", SHAPES)
def test_every_layer_is_as_trained_and_none_is_shifted(name):
    model = trained(name)
    features = [np.random.default_rng(i).normal(-0.5, 1, SHAPES[name]).astype(np.float32) for i in range(2)]
    rows = folding_errors(model, model.fold(), features)
    norms = sum(isinstance(m, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d) for m in model.modules())
    assert len(rows) >= norms
    assert all(row.ok for row in rows), max(rows, key=lambda row: row.bias)
    assert max(row.bias for row in rows) < BIAS_LIMIT / 2


def test_a_biased_fold_is_found_where_it_is():
    """The variance's epsilon forgotten in one layer: every value is wrong by little, and all to one side."""
    model = trained("stream72k")
    folded = model.fold()
    norm = model.blocks[1].pointwise.norm
    with torch.no_grad():
        scale = torch.sqrt((norm.running_var + norm.eps) / norm.running_var)
        conv = folded.blocks[1].pointwise.conv
        conv.weight.mul_(scale[:, None, None])
        conv.bias.add_(
            norm.running_mean * norm.weight / torch.sqrt(norm.running_var + norm.eps) * (1 - scale)
        )
    features = [np.random.default_rng(0).normal(-0.5, 1, SHAPES["stream72k"]).astype(np.float32)]
    rows = {row.layer: row for row in folding_errors(model, folded, features)}
    assert rows["blocks.0.pointwise.norm"].ok
    assert not rows["blocks.1.pointwise.norm"].ok
    with pytest.raises(EdgeSerError, match=r"folding batch normalisation changes blocks\.1\.pointwise\.norm"):
        check_folding(model, folded, lambda wave: features[0])


@pytest.mark.parametrize(
    ("largest", "bias", "ok"), [(1e-4, 1e-5, True), (1.1e-4, 0.0, False), (1e-4, 1.1e-5, False)]
)
def test_either_limit_refuses(largest, bias, ok):
    assert Folded("mix.norm", largest, bias).ok is ok


@pytest.mark.parametrize("layer", ["blocks.1.pointwise.conv", "emotion"])
def test_shifts_that_cancel_between_channels_are_shifts(layer):
    """One channel is raised by what another is lowered: each mean is off by as much as each value."""
    model = trained("stream72k")
    folded = model.fold()
    with torch.no_grad():
        folded.get_submodule(layer).bias[:2] += torch.tensor([0.5, -0.5])
    features = [np.random.default_rng(0).normal(-0.5, 1, SHAPES["stream72k"]).astype(np.float32)]
    rows = {row.layer: row for row in folding_errors(model, folded, features)}
    row = rows[layer.replace(".conv", ".norm")]
    assert row.bias == pytest.approx(row.largest, rel=1e-3) and not row.ok


def test_a_normalisation_that_is_gone_is_an_error():
    model = trained("stream72k")
    folded = model.fold()
    del folded.blocks[0].pointwise.norm
    with pytest.raises(EdgeSerError, match=r"no layer blocks\.0\.pointwise\.norm"):
        folding_errors(model, folded, [np.zeros(SHAPES["stream72k"], np.float32)])
    assert ERROR_LIMIT > BIAS_LIMIT
