"""``edge-ser verify``."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from edge_ser.audio import write_wav
from edge_ser.cli import main
from edge_ser.evaluation.parity import LIMITS, Limit

KEYS = {"name", "engine", "precision", "max_abs_error", "limit", "ok"}


def test_json(numpy_bundle, tmp_path, capsys):
    write_wav(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.3, 0.3, 16000).astype(np.float32))
    assert main(["verify", str(numpy_bundle.path), str(tmp_path / "a.wav"), "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is True
    assert document["model"] == "tiny"
    assert all(set(check) >= KEYS for check in document["checks"])


def test_a_failed_check_is_exit_1(numpy_bundle, capsys, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setitem(LIMITS, "fp32", Limit(1e-12))
    assert main(["verify", str(numpy_bundle.path), "-o", "json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["ok"] is False
    assert "answers numpy fp32: FAILED: against torch" in err


@pytest.mark.parametrize("seconds", ["-1", "0", "0.2", "nan", "inf"])
def test_less_than_a_step_of_each_recording_is_the_options_fault(numpy_bundle, capsys, seconds):
    assert main(["verify", str(numpy_bundle.path), "--seconds", seconds]) == 2
    error = capsys.readouterr().err
    assert error.startswith(
        f"edge-ser: --seconds {seconds} of each recording cannot be heard; give 0.25 or more"
    )


def test_bad_use(numpy_bundle, tmp_path, capsys):
    shutil.copytree(numpy_bundle.path, tmp_path / "copy")
    (tmp_path / "copy" / "weights.safetensors").write_bytes(b"")
    for words, argv in {
        "is damaged": ["verify", str(tmp_path / "copy")],
        "no model or bundle folder": ["verify", str(tmp_path / "none")],
        "none.wav": ["verify", str(numpy_bundle.path), "none.wav"],
    }.items():
        assert main(argv) == 2
        error = capsys.readouterr().err
        assert error.startswith("edge-ser: ")
        assert words in error
        assert error.count("\n") == 1
