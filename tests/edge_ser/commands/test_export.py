"""``edge-ser export``: options that could not have an effect are refused, not ignored."""

import pytest

from edge_ser.cli import main

pytest.importorskip("torch", reason="torch is not installed (extra 'export')")


@pytest.mark.parametrize(
    "option",
    [
        ["--calibrate", "sample"],
        ["--calibration", "mse"],
        ["--calibration-clips", "8"],
        ["--calibration-seed", "0"],
    ],
)
@pytest.mark.parametrize("formats", ["numpy", "onnx-fp32,tflite-fp16"])
def test_ranges_are_of_files_that_learn_some(option, formats, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("export.exporter.export_checkpoint", lambda *_, **__: pytest.fail("work for nothing"))
    command = ["export", str(tmp_path / "a.safetensors"), "--out", str(tmp_path / "new"), "--format", formats]
    assert main([*command, *option]) == 2
    said = (
        f"edge-ser: {option[0]} is of files that learn ranges, and --format {formats} makes none; add int8\n"
    )
    assert capsys.readouterr().err == said
