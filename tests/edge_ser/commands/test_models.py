"""``edge-ser models``."""

from __future__ import annotations

import json
import shutil

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
