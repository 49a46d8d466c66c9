"""scripts/check_runtimes.py: a runtime that cannot be had is a row, and no end of the others."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from scripts import check_runtimes


def test_what_pip_cannot_install(tmp_path, monkeypatch, capsys) -> None:
    def run(command, **_):
        if "install" in command:
            return SimpleNamespace(returncode=int("tflite-runtime==2.14.*" in command))
        if "list" in command:
            names = ("onnxruntime", "ai-edge-litert", "numpy")
            return SimpleNamespace(stdout=json.dumps([{"name": name, "version": "1.0"} for name in names]))
        checks = [{"engine": engine, "name": "answers", "ok": True} for engine in ("onnx", "litert")]
        return SimpleNamespace(returncode=0, stdout=json.dumps({"checks": checks}))

    monkeypatch.setattr(check_runtimes.venv, "create", lambda folder, with_pip: None)
    monkeypatch.setattr(check_runtimes, "recordings", lambda: {"it": [0.0] * 16000})
    monkeypatch.setattr(subprocess, "run", run)
    out = tmp_path / "runtimes.json"
    monkeypatch.setattr(sys, "argv", ["", "--out", str(out)])
    assert check_runtimes.main() == 1
    assert "litert: pip cannot install tflite-runtime==2.14.*, numpy<2\n" in capsys.readouterr().err
    rows = json.loads(out.read_text())["runtimes"]
    assert [row["ok"] for row in rows] == [True, False, True, True]
    assert rows[1]["versions"] == {"tflite-runtime": "==2.14.*", "numpy": "<2"} and not rows[1]["checks"]
    assert rows[2]["versions"] == {"onnxruntime": "1.0", "numpy": "1.0"}


def test_a_place_that_cannot_be_written_is_refused_first(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sys, "argv", ["", "--out", str(tmp_path / "file/runtimes.json")])
    with pytest.raises(SystemExit):
        check_runtimes.main()
