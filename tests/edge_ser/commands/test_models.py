"""``edge-ser models``."""

from __future__ import annotations

import json
import shutil
import sys

import pytest

import edge_ser.bundle as bundle_module
from edge_ser.cli import main


@pytest.fixture
def shipped(numpy_bundle, tmp_path, monkeypatch):
    """A package with one good and, where a test adds it, one damaged bundle."""
    shutil.copytree(numpy_bundle.path, tmp_path / "tiny")
    monkeypatch.setattr(bundle_module, "SHIPPED", tmp_path)
    return tmp_path


def test_json(shipped, capsys):
    assert main(["models", "-o", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["models"]
    assert row["name"] == "tiny"
    assert row["parameters"] <= 72_000
    assert row["macs_per_second"] > 0
    assert row["variants"] == ["numpy fp32"]
    assert row["labels"][0] == "neutral"
    assert row["licence"]
    assert row["error"] is None


def test_a_damaged_one_is_listed_with_its_error(shipped, capsys):
    shutil.copytree(shipped / "tiny", shipped / "worn")
    (shipped / "worn" / "weights.safetensors").write_bytes(b"")
    assert main(["models"]) == 1
    out = capsys.readouterr().out
    assert "| tiny" in out
    assert "is damaged (0 bytes" in out


def test_one_of_yours(shipped, capsys):
    assert main(["models", str(shipped / "tiny")]) == 0
    assert main(["models", str(shipped / "none")]) == 2
    assert "no model or bundle folder" in capsys.readouterr().err


def test_none_at_all(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bundle_module, "SHIPPED", tmp_path)
    assert main(["models", "-o", "json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"models": []}
    assert "no model comes with this installation" in err


def test_networks(capsys):
    pytest.importorskip("torch")
    assert main(["models", "--networks", "-o", "json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["networks"]}
    assert rows["wav2small-72k"]["parameters"] + rows["wav2small-72k"]["frozen"] == 72_659
    assert rows["mobilenetv4-s"]["parameters"] == 2_496_291
    assert rows["stream72k"]["streams"] is True
    assert rows["random-forest"]["parameters"] is None and rows["mlp"]["parameters"] > 200_000
    assert set(rows["cnn14"]) >= {"hidden", "buffers", "macs_per_second", "activation_bytes", "about"}


def test_networks_for_people_and_with_a_model_beside(monkeypatch, capsys):
    models = pytest.importorskip("edge_ser.models")
    row = models.describe(["resnet50"])
    monkeypatch.setattr(models, "describe", lambda: row)
    assert main(["models", "--networks"]) == 0
    out = capsys.readouterr().out
    assert "| resnet50 |   23507907 |" in out and "| 1600 KB" in out
    assert main(["models", "--networks", "tiny"]) == 2
    assert "name no model with it" in capsys.readouterr().err


def test_networks_need_torch(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["models", "--networks"]) == 2
    assert "pip install 'edge-ser[train]'" in capsys.readouterr().err


def test_of_several_that_are_named_the_damaged_one_is_a_row(shipped, capsys):
    assert main(["models", "tiny", "none", "-o", "json"]) == 1
    good, bad = json.loads(capsys.readouterr().out)["models"]
    assert good["error"] is None and good["name"] == "tiny"
    assert bad["name"] == "none" and "no model or bundle folder" in bad["error"]


def test_the_shipped_one_is_as_large_as_its_smallest_file_and_as_good_as_it_says(capsys):
    assert main(["models", "stream72k", "-o", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["models"]
    folder = bundle_module.SHIPPED / "stream72k"
    files = [path for path in folder.iterdir() if path.suffix in (".onnx", ".tflite", ".safetensors")]
    assert len(files) == 6 and row["kb"] == round(min(path.stat().st_size for path in files) / 1024, 1)
    value, corpus = row["figure"].split(" on ")
    assert abs(float(value) - row["figures"][0]["uar"]["mean"]) <= 0.0005 and len(value) == 5
    assert corpus == row["figures"][0]["corpus"]
