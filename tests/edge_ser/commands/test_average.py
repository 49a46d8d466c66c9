"""The command that averages networks."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from edge_ser.cli import main  # noqa: E402
from edge_ser.models.checkpoint import load_checkpoint  # noqa: E402
from tests.edge_ser.models.test_averaging import written  # noqa: E402


def test_it_writes_one_network_and_replaces_none_unasked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(written(tmp_path / f"{seed}.safetensors", seed)) for seed in (1, 2)]
    out = tmp_path / "mean" / "fold0-seed0.safetensors"
    assert main(["average", *paths, "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert len(load_checkpoint(out)[1]["training"]["averaged"]) == 2
    before = out.read_bytes()
    assert main(["average", *paths[:1], paths[0], "--out", str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err and out.read_bytes() == before
    assert main(["average", *paths[:1], paths[0], "--out", str(out), "--overwrite"]) == 0
    assert out.read_bytes() != before


def test_a_file_that_is_none_is_refused_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "1.safetensors", 1)
    out = tmp_path / "mean.safetensors"
    assert main(["average", str(path), str(tmp_path / "none.safetensors"), "--out", str(out)]) == 2
    assert "none.safetensors" in capsys.readouterr().err and not out.exists()


def test_a_place_where_nothing_can_be_is_told_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    none = str(tmp_path / "none.safetensors")
    assert main(["average", none, none, "--out", str(tmp_path / "file" / "mean.safetensors")]) == 2
    assert f"cannot write {tmp_path / 'file' / 'mean.safetensors'}: " in capsys.readouterr().err


def test_weights_are_numbers_one_for_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(written(tmp_path / f"{seed}.safetensors", seed)) for seed in (1, 2)]
    out = tmp_path / "mean.safetensors"
    assert main(["average", *paths, "--weights", "3,1", "--out", str(out)]) == 0
    assert [one["share"] for one in load_checkpoint(out)[1]["training"]["averaged"]] == [0.75, 0.25]
    for wrong, says in (("3,a", "such as 3,1"), ("3", "2 weights above 0")):
        with pytest.raises(SystemExit) if wrong == "3,a" else contextlib.nullcontext():
            assert main(["average", *paths, "--weights", wrong, "--out", str(tmp_path / "no")]) == 2
        assert says in capsys.readouterr().err and not (tmp_path / "no").exists()
