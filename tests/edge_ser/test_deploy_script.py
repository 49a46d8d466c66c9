"""The board's side of ``edge-ser deploy``, each step by itself: what it refuses, and what it undoes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import edge_ser

SCRIPT = (Path(edge_ser.__file__).parent / "deploy.sh").read_bytes()
NEEDED = (
    "awk",
    "cat",
    "df",
    "flock",
    "id",
    "install",
    "ln",
    "mkdir",
    "mv",
    "readlink",
    "rm",
    "rsync",
    "sed",
    "tr",
)

pytestmark = pytest.mark.skipif(
    any(shutil.which(name) is None for name in NEEDED),
    reason="rsync, flock or a tool of every Linux is not here",
)


@pytest.fixture
def programs(tmp_path):
    """A folder with the programs of a board."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in (*NEEDED, "uname"):
        (folder / name).symlink_to(shutil.which(name))
    (folder / "python3").symlink_to(sys.executable)
    return folder


@pytest.fixture
def step(tmp_path, programs):
    def take(*words, prefix=tmp_path / "board"):
        command = ["/bin/sh", "-s", "--", words[0], str(prefix), "new", "this", *words[1:]]
        return subprocess.run(
            command, input=SCRIPT, capture_output=True, env={"PATH": str(programs)}, check=False, timeout=60
        )

    return take


def said(run):
    """What a step that was refused says to people."""
    assert run.returncode == 3
    return run.stderr.decode().splitlines()[-1].removeprefix("edge-ser-deploy: ")


def check(step, room="1", **where):
    return step("check", "python3", "", room, **where)


@pytest.mark.parametrize(
    ("lacks", "advice"),
    [("flock", "flock is not installed; apt install util-linux"),
     ("rsync", "rsync is not installed; apt install rsync"),
     ("python3", "python3 is not installed; apt install python3 python3-venv")],
)  # fmt: skip
def test_what_a_board_lacks_is_named(step, programs, lacks, advice):
    (programs / lacks).unlink()
    assert said(check(step)) == advice


@pytest.mark.parametrize(
    ("fails", "advice"),
    [("version_info", "Python 3.9 is older than 3.11; use Raspberry Pi OS Bookworm or later"),
     ("ensurepip", "python3-venv is not installed; apt install python3-venv")],
)  # fmt: skip
def test_a_python_that_will_not_do(step, programs, fails, advice):
    (programs / "python3").unlink()
    (programs / "python3").write_text(f'#!/bin/sh\ncase "$*" in *{fails}*) exit 1;; esac\necho Python 3.9\n')
    (programs / "python3").chmod(0o755)
    assert said(check(step)) == advice


def test_a_place_that_cannot_be(step, tmp_path):
    (tmp_path / "file").touch()
    for prefix in (tmp_path / "file", tmp_path / "file" / "ser"):
        assert said(check(step, prefix=prefix)) == f"{prefix} cannot be made; name another --prefix"
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / "releases").touch()
    assert said(check(step)) == f"{tmp_path / 'board'} cannot be written; name another --prefix"


def test_a_board_says_what_it_is(step, tmp_path):
    run = check(step)
    assert run.returncode == 0, run.stderr
    fields = dict(line.split("=", 1) for line in run.stdout.decode().splitlines())
    assert fields.keys() == {"arch", "python", "board", "memory_mb", "free_mb", "before"}
    assert fields["arch"] == os.uname().machine and fields["before"] == ""
    assert fields["python"] == ".".join(map(str, sys.version_info[:3]))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
    assert int(fields["memory_mb"]) == pytest.approx(memory, rel=0.05)
    assert (tmp_path / "board" / "deploy").read_text() == "this\n"
    assert said(check(step, room=str(1 << 50))).endswith(f"and {1 << 40} are needed; make room")


def test_only_a_whole_release_takes_over(step, tmp_path):
    check(step)
    (tmp_path / "board" / "releases" / "new").mkdir()
    assert said(step("switch", "", "")) == "there is no whole release new"
    assert not (tmp_path / "board" / "current").is_symlink()


@pytest.mark.parametrize("before", ["", "gone"])
def test_a_first_switch_that_did_not_end_leaves_no_release_behind_the_link(step, tmp_path, before):
    """There is nothing to go back to, or it is not whole."""
    check(step)
    board = tmp_path / "board"
    (board / "current").symlink_to("releases/new")
    (board / "switching").write_text(f"{before}\near\nmic\n")
    run = check(step)
    assert run.returncode == 0 and f"undone={before}\n" in run.stdout.decode()
    assert not (board / "current").is_symlink() and not (board / "switching").exists()


@pytest.mark.parametrize("ends", [0, 1])
def test_a_switch_that_did_not_end_brings_the_old_service_back(step, tmp_path, ends):
    """Under its name and with its words; one that does not start, too, keeps nobody from deploying."""
    check(step)
    board = tmp_path / "board"
    old = board / "releases" / "old" / "bin"
    old.mkdir(parents=True)
    (old.parent / "whole").touch()
    (old / "edge-ser").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/words\nexit {ends}\n')
    (old / "edge-ser").chmod(0o755)
    (board / "current").symlink_to("releases/new")
    (board / "switching").write_text("old\near\nmic --exec 'a b'\n")
    run = check(step)
    assert run.returncode == 0 and b"before=old\n" in run.stdout and not (board / "switching").exists()
    assert os.readlink(board / "current") == "releases/old"
    if os.geteuid() == 0:  # else through sudo, which the board of this test has not
        words = (tmp_path / "words").read_text().splitlines()
        program = f"{board}/current/bin/edge-ser"
        assert words == [
            "service",
            "install",
            "--name",
            "ear",
            "--program",
            program,
            "--listen",
            "mic --exec 'a b'",
        ]
        assert (b"the old service did not start again" in run.stderr) == bool(ends)
