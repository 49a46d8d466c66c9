"""Checkpoints: what was saved comes back, and what is none is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_ser.dsp import MelSpec  # noqa: E402
from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.models.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from edge_ser.models.stream72k import Stream72k, Stream72kConfig  # noqa: E402
from edge_ser.tensors import write_safetensors  # noqa: E402
from tests.edge_ser.models.networks import lively  # noqa: E402

CONFIG = Stream72kConfig(labels=("angry", "sad"), stem=(2,), channels=8, dilations=(1,), heads=2)
META = {
    "architecture": "stream72k",
    "config": CONFIG.to_dict(),
    "spec": MelSpec().to_dict(),
    "training": {"seed": 0},
}


@pytest.fixture
def model() -> Stream72k:
    torch.manual_seed(0)
    return Stream72k(CONFIG).eval()


@pytest.mark.parametrize("half", [False, True])
def test_round_trip(tmp_path: Path, model: Stream72k, half: bool) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, META, half=half)
    loaded, meta = load_checkpoint(path)
    assert not loaded.training and meta["training"] == {"seed": 0}
    assert MelSpec.from_dict(meta["spec"]) == MelSpec() and loaded.config == CONFIG
    for name, tensor in model.state_dict().items():
        expected = tensor.half().float() if half and tensor.is_floating_point() else tensor
        assert torch.equal(loaded.state_dict()[name], expected), name


def test_half_precision_is_half_the_size(tmp_path: Path, model: Stream72k) -> None:
    sizes = []
    for half in (False, True):
        save_checkpoint(tmp_path / "m.safetensors", model, META | {"training": {}}, half=half)
        sizes.append((tmp_path / "m.safetensors").stat().st_size)
    values = sum(t.numel() for t in model.state_dict().values() if t.is_floating_point())
    assert sizes[0] - sizes[1] == pytest.approx(2 * values, abs=200)  # the header names other types


@pytest.mark.parametrize("name", ["wav2small-17k", "mobilenetv4-s"])
def test_another_network_comes_back_as_itself(tmp_path: Path, name: str) -> None:
    model = lively(name)
    meta = META | {"architecture": name, "config": model.config.to_dict(), "spec": model.spec.to_dict()}
    save_checkpoint(tmp_path / "m.safetensors", model, meta)
    loaded, _ = load_checkpoint(tmp_path / "m.safetensors")
    assert type(loaded) is type(model) and not loaded.training
    for key, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], tensor), key
    assert loaded.count_parameters() == model.count_parameters()  # what is frozen is frozen again


def test_half_precision_spares_the_front_end_and_what_it_cannot_hold(tmp_path: Path) -> None:
    model = lively("wav2small-17k")
    model.before[0].norm.running_var.fill_(1e5)  # of features in dB
    meta = META | {"architecture": "wav2small-17k", "config": model.config.to_dict()}
    save_checkpoint(tmp_path / "m.safetensors", model, meta, half=True)
    loaded = load_checkpoint(tmp_path / "m.safetensors")[0].state_dict()
    for key in ("front_end.real.weight", "front_end.mel.weight", "before.0.norm.running_var"):
        assert torch.equal(loaded[key], model.state_dict()[key]), key
    assert torch.equal(loaded["adv.weight"], model.adv.weight.half().float())


@pytest.mark.parametrize(
    "meta", [{}, {"architecture": "stream72k"}, META | {"config": {}}, META | {"architecture": "x"}]
)
def test_an_incomplete_description_is_refused(
    tmp_path: Path, model: Stream72k, meta: dict[str, object]
) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, meta)
    with pytest.raises(EdgeSerError):
        load_checkpoint(path)


def test_weights_of_another_shape_are_refused(tmp_path: Path, model: Stream72k) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, META | {"config": CONFIG.to_dict() | {"channels": 16}})
    with pytest.raises(EdgeSerError, match="does not fit"):
        load_checkpoint(path)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    write_safetensors(path, {"x": np.zeros(3, np.float32)}, {})
    with pytest.raises(EdgeSerError, match="not a checkpoint"):
        load_checkpoint(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(EdgeSerError):
        load_checkpoint(path)
