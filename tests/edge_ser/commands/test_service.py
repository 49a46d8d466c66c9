"""``edge-ser service`` with programs in the place of systemd's."""

import json
import os
import sys

import pytest

import edge_ser
from edge_ser.cli import main

SAYS = "#!/bin/sh\necho ActiveState=$STATE\necho LoadState=loaded\n"


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A folder in which alone programs are looked for."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(path, text):
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(("state", "ends"), [("active", 0), ("activating", 1), ("inactive", 1)])
def test_status_is_for_people_and_programs_and_1_where_it_does_not_run(
    path, monkeypatch, capsys, state, ends
):
    program(path / "systemctl", SAYS)
    monkeypatch.setenv("STATE", state)
    assert main(["service", "status"]) == ends
    assert capsys.readouterr().out.split() == ["ActiveState", state, "LoadState", "loaded"]
    assert main(["service", "status", "-o", "json"]) == ends
    assert json.loads(capsys.readouterr().out) == {"ActiveState": state, "LoadState": "loaded"}


def test_logs_are_journalctls_and_so_is_how_it_ends(path, capfd):
    program(path / "journalctl", '#!/bin/sh\necho "$@"\nexit 4\n')
    assert main(["service", "logs"]) == 4
    assert capfd.readouterr().out == "-u edge-ser -n 100 -o cat\n"
    assert main(["service", "logs", "--name", "ear", "--lines", "7", "--follow"]) == 4
    assert capfd.readouterr().out == "-u ear -n 7 -o cat -f\n"


def test_without_systemd_it_is_said_what_there_is_to_do(path, capsys):
    assert main(["service", "logs"]) == 2
    assert "journalctl is not here; see what the service wrote" in capsys.readouterr().err
    assert main(["service", "status"]) == 2
    assert "there is no systemd here; `edge-ser service show` prints the unit" in capsys.readouterr().err


def test_the_memory_limit_is_the_one_that_is_given(capsys):
    for options, limit in (((), "96M"), (("--memory-mb", "48.5"), "48.5M")):
        assert main(["service", "show", "--program", "/bin/true", *options]) == 0
        assert f"MemoryMax={limit}\n" in capsys.readouterr().out


def test_what_runs_is_what_was_started_or_else_this_python(path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    monkeypatch.setattr(edge_ser, "__path__", ["/opt/edge_ser"])
    monkeypatch.chdir(path)
    mine = program(path / "edge-ser", "#!/bin/sh\n")
    script = program(path / "__main__.py", "")
    data = path / "data"
    data.touch()
    module = "/usr/bin/python3 -m edge_ser"
    for word, runs in (("edge-ser", mine), ("./edge-ser", mine), (script, module), (str(data), module)):
        monkeypatch.setattr(sys, "argv", [word, "show"])
        assert main(["service", "show"]) == 0
        assert f"ExecStart={runs} listen arecord" in capsys.readouterr().out


@pytest.mark.parametrize("root", ["absent", ""])
def test_an_image_that_is_not_there_is_not_made(path, monkeypatch, capsys, root):
    monkeypatch.chdir(path)
    assert main(["service", "install", "--root", root, "--program", "/bin/true"]) == 2
    assert f"there is no system image '{root}'; name its folder" in capsys.readouterr().err
    assert not list(path.iterdir())


def test_what_no_unit_can_hold_leaves_no_folders(path, capsys):
    words = ["--program", "/bin/true", "--listen", "mic:" + os.fsdecode(b"\xff")]
    assert main(["service", "install", "--root", str(path), *words]) == 2
    assert "is text in UTF-8" in capsys.readouterr().err and not list(path.iterdir())
