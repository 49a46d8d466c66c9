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


@pytest.mark.parametrize("option", [["--corpus", "ravdess"], ["--hold-out", "0"]])
def test_what_a_pipeline_is_fitted_on_is_not_of_a_checkpoint(option, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("export.exporter.export_checkpoint", lambda *_, **__: pytest.fail("work for nothing"))
    command = ["export", str(tmp_path / "a.safetensors"), "--out", str(tmp_path / "new")]
    assert main([*command, *option]) == 2
    assert "--corpus and --hold-out belong to a pipeline" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "least"), [("--calibration-clips", 1), ("--calibration-seed", 0)])
def test_what_is_drawn_for_ranges_is_counted_from_its_least(option, least, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("export.exporter.export_checkpoint", lambda *_, **__: ([], None))
    command = ["export", str(tmp_path / "a.safetensors"), "--out", str(tmp_path / "new"), "--format", "int8"]
    assert main([*command, option, str(least)]) == 1  # nothing was made
    capsys.readouterr()
    assert main([*command, option, str(least - 1)]) == 2
    assert f"{option} must be at least {least}, not {least - 1}" in capsys.readouterr().err
