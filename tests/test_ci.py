""".ci/run: what it asks for before it does it."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / ".ci" / "run"
BASH, GREP = shutil.which("bash"), shutil.which("grep")


def ci(folder, commands):
    """.ci/run by root where there are these commands alone, with what they do; `make` says what it was to make."""
    for name, does in ({"id": "echo 0", "make": 'echo "$1"'} | commands).items():
        path = folder / name
        path.write_text(f"#!{BASH}\n{does}\n")
        path.chmod(0o755)
    (folder / "dirname").symlink_to(str(shutil.which("dirname")))
    run = subprocess.run(
        [str(BASH), SCRIPT], env={"PATH": str(folder)}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run


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
    run = ci(tmp_path, dict.fromkeys(there, ""))
    assert run.stdout == made
    assert ("not tried" in run.stderr) == (made == "test\n")


@pytest.mark.skipif(BASH is None, reason="there is no bash")
@pytest.mark.parametrize("fails", ["update", "install"])
def test_without_the_mirrors_it_tests_what_it_can(tmp_path, fails) -> None:
    dpkg = {
        "dpkg-query": '[ "${@: -1}" != rsync ] && echo "install ok installed"',
        "grep": f'exec {GREP} "$@"',
    }
    run = ci(tmp_path, {"apt-get": f"[ $1 != {fails} ]", **dpkg})
    assert run.stdout == "test\n" and "cannot install rsync: tests that need them are skipped" in run.stderr
