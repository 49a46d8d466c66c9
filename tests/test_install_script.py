"""scripts/install.sh: for one user or for all, with nothing removed that it has not made."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import program_wheel

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "install.sh"
#: What stands for edge-ser: it reads what it is to hear, and says its version.
PROGRAM = """
import sys
def main():
    print("edge-ser", VERSION) if sys.argv[1:] == ["--version"] else sys.stdin.buffer.read()
"""

pytestmark = pytest.mark.skipif(shutil.which("sh") is None, reason="there is no shell")


@pytest.fixture
def install(tmp_path):
    """Runs the script as the user whose number is given, with a wheel that needs nothing."""

    def run(user, *options, version="1.0", umask=0o022, ok=True):
        put_command(tmp_path, "id", f"echo {user}")
        words = ["--wheel", program_wheel(tmp_path, version, PROGRAM), "--find-links", tmp_path]
        done = subprocess.run(
            ["sh", SCRIPT, "--extras", "none", "--python", sys.executable, *words, *options],
            env=os.environ | {"HOME": str(tmp_path / "home"), "PATH": f"{tmp_path}/commands:{os.environ['PATH']}"},
            cwd=tmp_path, capture_output=True, text=True, check=False, umask=umask,
        )  # fmt: skip
        assert (done.returncode == 0) == ok, done.stderr
        return done

    return run


def put_command(folder, name, does):
    path = folder / "commands" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--extras",), "install: --extras lacks its value; --help says what there is\n"),
        (("--python", "nobodys-python"), "install: there is no nobodys-python; sudo apt install python3, or"),
        (("--help",), "Installs edge-ser on Raspberry Pi OS"),
        (("--nonsense",), "Installs edge-ser on Raspberry Pi OS"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_made(tmp_path, words, said):
    done = subprocess.run(
        ["sh", SCRIPT, "--prefix", tmp_path / "ser", "--bin", tmp_path / "bin", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (1, 2) and done.stderr.startswith(said)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_user_gets_it_at_home(install, tmp_path):
    done = install(1000)
    link = tmp_path / "home/.local/bin/edge-ser"
    assert done.stdout == "edge-ser 1.0\n" and f"add {link.parent} to PATH" in done.stderr
    assert link.resolve().is_relative_to(tmp_path / "home/.local/share/edge-ser")


@pytest.mark.slow
def test_all_users_may_run_what_root_installs_and_only_its_own_is_removed(install, tmp_path):
    where = ("--prefix", "opt", "--bin", "bin")  # seen from the folder that it is called in
    kept = tmp_path / "opt/releases/keep"
    kept.mkdir(parents=True)
    install(0, *where, umask=0o077)
    link = tmp_path / "bin/edge-ser"
    first = link.resolve().parents[1]
    assert first.parent == tmp_path / "opt" and not (tmp_path / "home/.local").exists()
    for place in (link.parent, first, link.resolve(), *first.glob("lib/python*/site-packages/*.py")):
        assert place.stat().st_mode & 0o005 == (0o004 if place.suffix == ".py" else 0o005), place
    assert install(0, *where, version="2.0").stdout == "edge-ser 2.0\n"
    assert link.resolve().parents[1] != first and not first.exists() and kept.exists()


def test_root_installs_where_a_service_sees_it_and_sudo_finds_it(install, tmp_path):
    # Only as far as the folders that it wants: the rest would change this machine. Debian's secure_path has the second.
    put_command(tmp_path, "mkdir", f'echo "$@" > {tmp_path}/folders; exit 1')
    install(0, ok=False)
    assert (tmp_path / "folders").read_text() == "-p /usr/local/lib/edge-ser /usr/local/bin\n"
