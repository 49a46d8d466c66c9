""".ci/run: what it asks for before it does it."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / ".ci" / "run"
BASH = shutil.which("bash")


@pytest.mark.skipif(BASH is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("there", "made"),
    [
        ((), "test\n"),
        (("mmdebstrap",), "test\n"),
        (("qemu-aarch64-static",), "test\n"),
        (("mmdebstrap", "qemu-aarch64-static"), "test\narm\n"),
    ],
)
def test_the_arm_install_is_tried_where_both_of_its_tools_are(tmp_path, there, made) -> None:
    done = tmp_path / "made"
    commands = {"id": "echo 0", "make": f'echo "$1" >> {done}', **dict.fromkeys(there, "")}
    for name, does in commands.items():
        path = tmp_path / name
        path.write_text(f"#!{BASH}\n{does}\n")
        path.chmod(0o755)
    (tmp_path / "dirname").symlink_to(str(shutil.which("dirname")))
    run = subprocess.run(
        [str(BASH), SCRIPT], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert done.read_text() == made
    assert ("not tried" in run.stderr) == (made == "test\n")
