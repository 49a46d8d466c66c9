"""Means of networks: of their weights, and only of networks that are alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.models.averaging import average_checkpoints  # noqa: E402
from edge_ser.models.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from edge_ser.models.stream72k import Stream72k, Stream72kConfig  # noqa: E402


def written(path: Path, seed: int, labels: tuple[str, ...] = ("angry", "sad"), **training: Any) -> Path:
    config = Stream72kConfig(labels=labels, stem=(2,), channels=16, dilations=(1, 2), heads=2)
    torch.manual_seed(seed)
    model = Stream72k(config)
    with torch.no_grad():
        for buffer in model.buffers():
            buffer += seed
    said = {"held_out_fold": 0, "clips": {"made": 8}, "seed": seed, "recipe": {"name": f"r{seed}"}} | training
    meta = {
        "architecture": "stream72k",
        "config": config.to_dict(),
        "spec": Stream72k.spec.to_dict(),
        "training": said,
    }
    save_checkpoint(path, model, meta)
    return path


def test_weights_and_statistics_are_the_mean_of_each(tmp_path: Path) -> None:
    paths = [written(tmp_path / f"{seed}.safetensors", seed) for seed in (1, 2, 4)]
    states = [load_checkpoint(path)[0].state_dict() for path in paths]
    model, meta = average_checkpoints(paths)
    assert not model.training
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            assert torch.allclose(value, sum(state[name] for state in states) / 3, atol=1e-6)
        else:
            assert torch.equal(value, states[0][name])
    assert meta["training"]["seed"] == 1 and meta["training"]["held_out_fold"] == 0
    assert meta["training"]["averaged"] == [
        {"recipe": {"name": f"r{s}"}, "seed": s, "share": 1 / 3} for s in (1, 2, 4)
    ]


def test_each_counts_by_its_weight(tmp_path: Path) -> None:
    paths = [written(tmp_path / f"{seed}.safetensors", seed) for seed in (1, 2)]
    one, two = (load_checkpoint(path)[0].state_dict() for path in paths)
    model, meta = average_checkpoints(paths, (3, 1))
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            assert torch.allclose(value, 0.75 * one[name] + 0.25 * two[name], atol=1e-6)
    assert [each["share"] for each in meta["training"]["averaged"]] == [0.75, 0.25]
    for wrong in ((1,), (1, 0), (1, float("nan")), (1, 2, 3)):
        with pytest.raises(EdgeSerError, match="2 weights above 0"):
            average_checkpoints(paths, wrong)
    with pytest.raises(EdgeSerError, match="have no sum"):
        average_checkpoints(paths, (1e308, 1e308))


def test_a_mean_of_a_mean_says_so(tmp_path: Path) -> None:
    one, two = (written(tmp_path / f"{seed}.safetensors", seed) for seed in (1, 2))
    save_checkpoint(tmp_path / "between.safetensors", *average_checkpoints([one, two], (3, 1)))
    _, meta = average_checkpoints([one, tmp_path / "between.safetensors"])
    last, between = meta["training"]["averaged"]
    assert "averaged" not in last and [each["share"] for each in between["averaged"]] == [0.75, 0.25]


def test_a_mean_has_heard_whom_any_of_its_networks_heard(tmp_path: Path) -> None:
    one, two = (written(tmp_path / f"{s}.safetensors", s, heard=["a", f"s{s}"]) for s in (1, 2))
    before = written(tmp_path / "3.safetensors", 3)  # it does not say
    assert average_checkpoints([before, one, two])[1]["training"]["heard"] == ["a", "s1", "s2"]
    assert "heard" not in average_checkpoints([before, before])[1]["training"]


def test_the_mean_of_one_network_twice_is_that_network(tmp_path: Path) -> None:
    path = written(tmp_path / "a.safetensors", 3)
    mean, alone = average_checkpoints([path, path])[0].state_dict(), load_checkpoint(path)[0].state_dict()
    assert all(torch.equal(value, alone[name]) for name, value in mean.items())


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"labels": ("angry", "happy")}, "different shapes or labels"),
        ({"held_out_fold": 1}, "different held-out folds"),
        ({"held_out_fold": None, "clips": {"made": 9}}, "different held-out folds and recordings"),
    ],
)
def test_networks_that_differ_have_none(tmp_path: Path, other: dict[str, Any], says: str) -> None:
    one = written(tmp_path / "one.safetensors", 1)
    two = written(tmp_path / "two.safetensors", 2, **other)
    with pytest.raises(EdgeSerError, match=says):
        average_checkpoints([one, two])


def test_one_network_has_none(tmp_path: Path) -> None:
    with pytest.raises(EdgeSerError, match="at least two"):
        average_checkpoints([written(tmp_path / "one.safetensors", 1)])
