"""scripts/demo.sh: what it says last is true."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_the_picture_is_where_it_says(tmp_path) -> None:
    program = tmp_path / "edge-ser"
    program.write_text('#!/bin/sh\n[ "$1" != predict ] || : > "$4"\n')
    program.chmod(0o755)
    script = str(ROOT / "scripts" / "demo.sh")
    done = subprocess.run(
        ["bash", script, program, tmp_path / "out"], capture_output=True, text=True, check=True
    )
    said = done.stdout.strip().splitlines()[-1]
    assert said.startswith(f"The picture is {tmp_path}/out/speech.png.") and f"  {program} listen" in said
    assert (tmp_path / "out/speech.png").exists()
