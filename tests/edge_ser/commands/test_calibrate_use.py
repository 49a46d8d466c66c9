"""``edge-ser calibrate``: options that have no effect, and values out of their range."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_ser.cli import main


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--no-detector", "--figures", "f", "--coverage", "0.8"],
            "--coverage is of the rule that --predictions",
        ),
        (
            ["--no-detector", "--predictions", "p", "--speech", "emodb"],
            "--speech is of a detector that is fitted",
        ),
        (["--detector-of", "m", "--sounds", "esc10"], "--sounds is of .*, and --detector-of fits none"),
        (["--detector-of", "m", "--per-speaker", "5"], "--per-speaker is of .*, and --detector-of fits none"),
    ],
)
def test_what_has_no_effect_is_refused(
    words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", *words, "--out", str(tmp_path / "new")]) == 2
    assert re.search(sentence, capsys.readouterr().err) and not (tmp_path / "new").exists()


@pytest.mark.parametrize("clips", ["0", "-1", "2.5"])
def test_a_speaker_has_at_least_one_clip(
    clips: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["calibrate", "--per-speaker", clips, "--out", str(tmp_path / "new")])
    assert refused.value.code == 2
    assert f"--per-speaker: a whole number from 1 on, not {clips!r}" in capsys.readouterr().err
