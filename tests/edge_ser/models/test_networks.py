"""What holds of every network in the table."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")

from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.models import ARCHITECTURES, architecture, build_model, describe  # noqa: E402
from edge_ser.models.base import ClipNetwork, Network  # noqa: E402
from edge_ser.models.counting import cost_of  # noqa: E402
from edge_ser.models.stream72k import Stream72k, Stream72kConfig  # noqa: E402
from tests.edge_ser.models.networks import LABELS, lively  # noqa: E402

WHOLE = [name for name, row in ARCHITECTURES.items() if issubclass(row.model, ClipNetwork)]


@pytest.fixture(scope="module", params=WHOLE)
def model(request: pytest.FixtureRequest) -> Network:
    return lively(request.param)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_description_builds_the_network_again(name: str) -> None:
    config = ARCHITECTURES[name].config(labels=LABELS)
    with torch.device("meta"):
        built = build_model(name, json.loads(json.dumps(config.to_dict())))
    assert type(built) is ARCHITECTURES[name].model
    assert built.config == config and built.config.labels == LABELS
    with pytest.raises(EdgeSerError, match="colour"):
        build_model(name, config.to_dict() | {"colour": 1})
    with pytest.raises(EdgeSerError, match="lacks labels"):
        build_model(name, {k: v for k, v in config.to_dict().items() if k != "labels"})


def test_what_is_not_in_the_table_is_refused() -> None:
    with pytest.raises(EdgeSerError, match="unknown network 'vgg'; there are: stream72k, wav2small-72k"):
        architecture("vgg")
    with pytest.raises(EdgeSerError, match="no folded form"):
        build_model("wav2small-72k", ARCHITECTURES["wav2small-72k"].config(labels=()).to_dict(), folded=True)


def test_padding_takes_no_part(model: Network) -> None:
    bands = model.config.n_mels
    clips = 10 * torch.randn(3, 77, bands, generator=torch.Generator().manual_seed(1))
    lengths = (77, 50, 33)
    padded = clips.clone()
    for row, length in enumerate(lengths):
        padded[row, length:] = 1e6
    with torch.inference_mode():
        together = model.pool(padded, torch.tensor(lengths))
        for row, length in enumerate(lengths):
            alone = model.pool(clips[row : row + 1, :length], torch.tensor([length]))[0]
            assert torch.allclose(alone, together[row], rtol=1e-3, atol=1e-4 * float(alone.abs().max()))


def test_answers_have_their_shapes_and_gradients_reach_every_weight_that_is_trained(model: Network) -> None:
    frames = torch.tensor([40, 35])
    features = torch.randn(2, 40, model.config.n_mels, generator=torch.Generator().manual_seed(2))
    model.zero_grad()
    pooled = model.train().pool(features, frames)
    adv, logits = model.answer(pooled)
    assert pooled.shape == (2, model.hidden) and adv.shape == (2, 3) and logits.shape == (2, 4)
    (adv.sum() + logits.sum()).backward()
    model.eval()
    for name, weight in model.named_parameters():
        assert (weight.grad is not None) == weight.requires_grad, name
        assert weight.grad is None or torch.isfinite(weight.grad).all(), name


def test_without_labels_there_is_no_emotion_head() -> None:
    for name in ("stream72k", "mobilenetv4-s", "wav2small-17k"):
        model = lively(name, labels=())
        assert not [key for key in model.state_dict() if key.startswith("emotion")]
        adv, logits = model.answer(torch.zeros(5, 2, model.hidden))
        assert adv.shape == (5, 2, 3) and logits.shape == (5, 2, 0)


def test_the_form_without_padding_can_be_exported() -> None:
    model = lively("mobilenetv4-s")

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.inner.answer(self.inner.body(features, None))

    features = torch.randn(1, 80, 64, generator=torch.Generator().manual_seed(3))
    exported = torch.export.export(Whole(), (features,)).module()
    with torch.inference_mode():
        for one, other in zip(exported(features), model.clip(features, torch.tensor([80])), strict=True):
            assert torch.allclose(one, other, atol=1e-5)


def test_the_table_counts_what_the_networks_hold() -> None:
    rows = {row["name"]: row for row in describe(tuple(ARCHITECTURES))}
    assert list(rows) == list(ARCHITECTURES) and all(row["exports"] for row in rows.values())
    small = rows["wav2small-72k"]
    assert (small["parameters"], small["frozen"], small["buffers"]) == (67_577, 5082, 189)
    assert rows["wav2small-17k"]["parameters"] + rows["wav2small-17k"]["frozen"] == 15_888
    assert rows["mobilenetv4-s"]["parameters"] == 2_496_291
    assert [name for name, row in rows.items() if row["streams"]] == ["stream72k"]
    named = lively("mobilenetv4-s")
    assert named.count_parameters() == 2_496_291 + len(LABELS) * rows["mobilenetv4-s"]["per_class"]
    # 5 s of the 72 K network without its front end: 391 MMAC less 2500 frames of STFT and mel bands
    assert 5 * small["macs_per_second"] == pytest.approx(391e6 - 2500 * (2 * 33 * 64 + 33 * 26), rel=2e-3)
    assert 1e9 < rows["cnn14"]["macs_per_second"] < 2e9


def test_the_count_agrees_with_the_streaming_networks_own_formula() -> None:
    model = Stream72k(Stream72kConfig(labels=LABELS, stem=(8, 16)))
    cost, seconds = model.cost(model.spec)
    assert seconds == 0.25
    assert cost.macs / seconds == pytest.approx(model.macs_per_second(model.spec), rel=0.01)
    assert cost.activation_bytes == 4 * 20 * 8 * 32  # the first convolution of a step


def test_the_count_is_that_of_sums_by_hand() -> None:
    layers = torch.nn.Sequential(
        torch.nn.Conv1d(2, 6, 5, groups=2),
        torch.nn.BatchNorm1d(6),
        torch.nn.Flatten(),
        torch.nn.Linear(36, 4),
    )
    cost, out = cost_of(layers.eval(), lambda: layers(torch.zeros(1, 2, 10)))
    assert cost == (6 * 6 * 5 + 36 * 4, 36 * 4)
    assert out.shape == (1, 4)
    cost_of(layers, lambda: layers(torch.zeros(1, 2, 10)))
    assert not any(layer._forward_hooks for layer in layers)  # nothing is left behind
