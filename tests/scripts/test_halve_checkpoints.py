"""scripts/halve_checkpoints.py: copies, and originals that stay."""

import sys

import pytest

pytest.importorskip("torch", reason="torch is not installed (extra 'train')")

from edge_ser.models import build_model
from edge_ser.models.checkpoint import save_checkpoint
from scripts import halve_checkpoints
from tests.support import CONFIG, SPEC


@pytest.fixture
def run(tmp_path, monkeypatch):
    model = build_model("stream72k", CONFIG)
    meta = {"architecture": "stream72k", "config": CONFIG, "spec": SPEC.to_dict(), "training": {}}
    (tmp_path / "run").mkdir()
    save_checkpoint(tmp_path / "run/fold0-seed0.safetensors", model, meta)

    def call(target):
        monkeypatch.setattr(sys, "argv", ["", str(tmp_path / "run"), str(target)])
        return halve_checkpoints.main()

    return call


def test_copies_are_half_as_large(run, tmp_path) -> None:
    assert run(tmp_path / "new/copies") == 0
    whole, half = (tmp_path / place / "fold0-seed0.safetensors" for place in ("run", "new/copies"))
    assert half.stat().st_size < 0.6 * whole.stat().st_size


def test_originals_are_not_replaced(run, tmp_path, capsys) -> None:
    original = tmp_path / "run/fold0-seed0.safetensors"
    before = original.read_bytes()
    (tmp_path / "link").symlink_to(tmp_path / "run")
    for target in (tmp_path / "run", tmp_path / "link"):
        assert run(target) == 2
        assert "holds the originals" in capsys.readouterr().err
    assert original.read_bytes() == before


def test_a_target_that_is_a_file(run, tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("")
    assert run(tmp_path / "file") == 2
    assert "is no folder" in capsys.readouterr().err
