"""The service: its unit is what systemd takes, hardened, and put back where a new one does not start."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import edge_ser
from edge_ser.cli import main
from edge_ser.errors import EdgeSerError
from firmware_py.service import SystemdHost, Unit

PROGRAM = "/usr/bin/env"
ROOT = Path(__file__).parents[2]
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def unit(**changes):
    return Unit([PROGRAM, "-m", "edge_ser", "listen", "arecord", "--exec", 'echo "$X" 100%'], **changes)


def test_words_are_quoted_as_systemd_reads_them():
    assert f'ExecStart={PROGRAM} "" a\\\\b "c;d" "e\'f"\n' in Unit([PROGRAM, "", "a\\b", "c;d", "e'f"]).text()
    assert (
        "ExecStart=" + PROGRAM + ' -m edge_ser listen arecord --exec "echo \\"$$X\\" 100%%"' in unit().text()
    )
    with pytest.raises(EdgeSerError, match="line break"):
        Unit(["/bin/true", "a\nb"]).text()
    with pytest.raises(EdgeSerError, match=r"text in UTF-8, and 'mic:\\udcff' is none"):
        Unit(["/bin/true", "mic:\udcff"]).text()  # a byte of a name that is no text


def test_what_it_writes_lies_in_a_folder_of_its_name():
    text = Unit(["/bin/true"], memory_mb=16, name="ear").text()
    assert "StateDirectory=ear\nWorkingDirectory=/var/lib/ear\n" in text and "MemoryMax=16M\n" in text
    assert "MemoryMax=96M\n" in unit().text()


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"command": ["listen"]}, "absolute path"), ({"command": []}, "absolute"), ({"name": "a b"}, "no name"),
     ({"name": "ear.service"}, r"leave out \.service at its end"), ({"name": "ear.timer"}, r"leave out \.timer"),
     ({"name": "a" * 101}, "up to 100"), ({"memory_mb": 1e5}, "limits nothing"),
     ({"memory_mb": 15.9}, "less than Python"),
     ({"memory_mb": 2}, "less than Python"), ({"memory_mb": float("nan")}, "less than Python"),
     ({"memory_mb": float("inf")}, "limits nothing"), ({"memory_mb": 1e6}, "limits nothing"),
     ({"name": "-a"}, "no name"), ({"name": "../a"}, "no name"), ({"name": ""}, "no name")],
)  # fmt: skip
def test_units_that_cannot_be(changes, words):
    with pytest.raises(EdgeSerError, match=words):
        Unit(**({"command": ["/bin/true"]} | changes))


@pytest.mark.parametrize("program", ["/home/pi/.local/bin/edge-ser", "/root/x", "/run/user/1000/x"])
def test_what_the_unit_hides_from_itself_is_refused(tmp_path, program):
    assert "ProtectHome=yes" in unit().text()
    with pytest.raises(EdgeSerError, match=rf"and {program} lies in one; install edge-ser for all users"):
        Unit([program])
    (tmp_path / "edge-ser").symlink_to(program)  # as pipx and install.sh do it
    with pytest.raises(EdgeSerError, match=rf"and {program} lies in one"):
        Unit([str(tmp_path / "edge-ser")])
    Unit(["/homestead/x"])


def test_the_interpreter_and_the_package_count_as_well(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", [PROGRAM])
    monkeypatch.setattr(sys, "executable", "/home/pi/.pyenv/bin/python")
    assert main(["service", "show"]) == 2
    assert "/home/pi/.pyenv/bin/python lies in one" in capsys.readouterr().err
    monkeypatch.setattr(sys, "executable", PROGRAM)
    monkeypatch.setattr(edge_ser, "__path__", ["/home/pi/checkout/edge_ser"])
    assert main(["service", "install", "--root", str(tmp_path)]) == 2
    assert "/home/pi/checkout/edge_ser lies in one" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(edge_ser, "__path__", ["/opt/edge_ser"])
    assert main(["service", "show"]) == 0
    assert f"ExecStart={PROGRAM} listen arecord" in capsys.readouterr().out


@needs_systemd
def test_systemd_takes_it(tmp_path):
    path = SystemdHost(tmp_path).install(unit(memory_mb=64))
    assert "MemoryMax=64M" in path.read_text()
    assert (path.parent / "multi-user.target.wants" / "edge-ser.service").resolve() == path
    run = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", path],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    assert "edge-ser.service" not in run.stderr, run.stderr  # not so much as a warning of ours


@needs_systemd
def test_it_is_hardened(tmp_path):
    path = SystemdHost(tmp_path).install(unit())
    run = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", path],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr


class FakeSystemctl:
    """Notes what is asked; refuses what the test says."""

    def __init__(self, folder, refuses="nothing", says=""):
        self.log = folder / "log"
        self.path = folder / "systemctl"
        self.path.write_text(
            f'#!/bin/sh\n[ "$1" = --no-pager ] && shift\necho "$@" >> {self.log}\necho "{says}"\n'
            f'case "$*" in {refuses}) echo "Job failed." >&2; exit 1;; esac\n'
        )
        self.path.chmod(0o755)

    def asked(self):
        return self.log.read_text().splitlines() if self.log.exists() else []


class Host(SystemdHost):
    def __init__(self, root, systemctl):
        super().__init__(root, systemctl=str(systemctl.path))
        self._live = True


def test_install_starts_it_and_remove_ends_it(tmp_path):
    systemctl = FakeSystemctl(tmp_path)
    host = Host(tmp_path, systemctl)
    assert host.install(unit()).exists()
    assert systemctl.asked() == ["daemon-reload", "enable edge-ser", "restart edge-ser"]
    assert host.remove("edge-ser")
    assert systemctl.asked()[3:] == ["disable --now edge-ser", "daemon-reload"]
    assert not host.path("edge-ser").exists() and not host.remove("edge-ser")


def test_one_that_does_not_start_leaves_the_old_one(tmp_path):
    Host(tmp_path, FakeSystemctl(tmp_path)).install(Unit(["/bin/true", "old"]))
    (tmp_path / "log").unlink()
    systemctl = FakeSystemctl(tmp_path, refuses='"restart edge-ser"')
    systemctl.path.write_text(
        systemctl.path.read_text().replace(
            "case", f"grep -q old {tmp_path}/etc/systemd/system/edge-ser.service && exit\ncase"
        )
    )
    host = Host(tmp_path, systemctl)
    with pytest.raises(EdgeSerError, match="systemctl restart edge-ser: Job failed"):
        host.install(Unit(["/bin/true", "new"]))
    assert "ExecStart=/bin/true old" in host.path("edge-ser").read_text()
    assert systemctl.asked()[-2:] == ["daemon-reload", "restart edge-ser"]


def test_where_neither_the_new_nor_the_old_one_starts_both_is_said(tmp_path):
    Host(tmp_path, FakeSystemctl(tmp_path)).install(Unit(["/bin/true", "old"]))
    host = Host(tmp_path, FakeSystemctl(tmp_path, refuses='"restart edge-ser"'))
    with pytest.raises(
        EdgeSerError, match="Job failed.; the service that was there before is back, and does"
    ):
        host.install(Unit(["/bin/true", "new"]))
    assert "ExecStart=/bin/true old" in host.path("edge-ser").read_text()


def test_a_first_one_that_does_not_start_leaves_nothing(tmp_path):
    host = Host(tmp_path, FakeSystemctl(tmp_path, refuses='"restart edge-ser"'))
    with pytest.raises(EdgeSerError, match="restart edge-ser"):
        host.install(unit())
    assert not host.path("edge-ser").exists()
    assert (tmp_path / "log").read_text().splitlines()[-2:] == ["disable --now edge-ser", "daemon-reload"]


def test_one_that_is_given_up_while_it_starts_leaves_what_was_there(tmp_path):
    class GivenUp(Host):
        def _run(self, *words):
            if words[0] == "restart" and "new" in self.path("edge-ser").read_text():
                raise KeyboardInterrupt
            return super()._run(*words)

    host = GivenUp(tmp_path, FakeSystemctl(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        host.install(Unit(["/bin/true", "new"]))
    assert not host.path("edge-ser").exists()
    host.install(Unit(["/bin/true", "old"]))
    with pytest.raises(KeyboardInterrupt):
        host.install(Unit(["/bin/true", "new"]))
    assert "ExecStart=/bin/true old" in host.path("edge-ser").read_text()


@pytest.mark.parametrize("refuses", ["*", None])
def test_where_systemd_takes_nothing_no_unit_is_left_and_its_first_word_is_told(tmp_path, refuses):
    """It is not what the system was started with, or not there; taking back fails alike, and is no news."""
    fake = FakeSystemctl(tmp_path, refuses=refuses)
    if refuses is None:
        fake.path.unlink()
    host = Host(tmp_path, fake)
    with pytest.raises(
        EdgeSerError, match="no systemd here" if refuses is None else "systemctl daemon-reload"
    ):
        host.install(unit())
    assert not host.path("edge-ser").exists()


def test_what_systemctl_says_is_told_on_whichever_stream_it_comes(tmp_path):
    fake = FakeSystemctl(tmp_path)
    for line, said in (
        ("echo first; echo last", "last"),
        ("echo out; echo err >&2", "err"),
        (":", "status 5"),
    ):
        fake.path.write_text(f"#!/bin/sh\n{line}\nexit 5\n")
        with pytest.raises(EdgeSerError, match=f"^systemctl show ear --property=.*: {said}$"):
            Host(tmp_path, fake).status("ear")


def test_in_an_image_it_is_enabled_once_and_removed_with_its_link(tmp_path):
    host = SystemdHost(tmp_path, systemctl="no-such-program")
    assert not host.live and SystemdHost().live and SystemdHost("/../").live
    path = host.install(unit())
    assert host.install(unit(memory_mb=64)) == path and "MemoryMax=64M" in path.read_text()
    wants = path.parent / "multi-user.target.wants" / path.name
    assert os.readlink(wants) == "../edge-ser.service"
    assert host.remove("edge-ser") and not wants.is_symlink() and not path.exists()
    path.touch()  # one that is not enabled
    assert host.remove("edge-ser") and not path.exists()


@pytest.mark.parametrize("root", ["absent", "file", ""])
def test_an_image_that_is_no_folder(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(EdgeSerError, match=f"there is no system image '{root}'; name its folder"):
        SystemdHost(root)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_without_the_right_to_write_sudo_is_advised(tmp_path, monkeypatch):
    host = SystemdHost(tmp_path)
    asked = []
    monkeypatch.setattr(os, "access", lambda path, mode: asked.append((path, mode)))
    with pytest.raises(
        EdgeSerError, match=r"edge-ser\.service can be written by root only; run it with sudo"
    ):
        host.install(unit())
    assert not list(tmp_path.iterdir()) and asked == [(tmp_path, os.W_OK)]  # the nearest that is there
    monkeypatch.undo()
    path = host.install(unit())
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(EdgeSerError, match="run it with sudo"):
        host.remove("edge-ser")
    assert path.exists()


def test_status(tmp_path):
    fake = FakeSystemctl(tmp_path, says="ActiveState=active\nNRestarts=2\nWhat=a=b\n\nno pair")
    assert Host(tmp_path, fake).status("edge-ser") == {
        "ActiveState": "active",
        "NRestarts": "2",
        "What": "a=b",
    }
    assert fake.asked()[0].startswith("show edge-ser --property=LoadState,ActiveState,SubState,Result,")
    with pytest.raises(EdgeSerError, match="there is no systemd here"):
        SystemdHost(systemctl="no-such-program").status("x")


def test_a_name_that_is_a_way_elsewhere_or_an_option_reaches_nothing(tmp_path, capsys):
    fake = FakeSystemctl(tmp_path)
    other = tmp_path / "other.service"
    other.touch()
    host = SystemdHost(tmp_path, systemctl=str(fake.path), journalctl=str(fake.path))
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    for name in ("../../../other", "--all", ""):
        for act in (host.remove, host.status, host.logs):
            with pytest.raises(EdgeSerError, match="is no name for a service"):
                act(name)
    assert other.exists() and fake.asked() == []
    assert main(["deploy", "pi@nowhere.invalid", "--service", "a b"]) == 2  # before a wheel is built
    assert "'a b' is no name for a service" in capsys.readouterr().err


def test_the_command(tmp_path, capsys):
    assert main(["service", "show", "--program", "/bin/true", "--listen", "mic:usb --doze"]) == 0
    assert "ExecStart=/bin/true listen mic:usb --doze\n" in capsys.readouterr().out
    (tmp_path / "b.toml").write_text("rss_mb = 64\n")
    root = ["--root", str(tmp_path), "--program", "/bin/true"]
    assert main(["service", "install", *root, "--budget", str(tmp_path / "b.toml")]) == 0
    text = (tmp_path / "etc/systemd/system/edge-ser.service").read_text()
    assert "MemoryMax=64M" in text and "listen arecord --doze" in text
    assert main(["service", "remove", *root[:2]]) == 0
    assert main(["service", "remove", *root[:2]]) == 2
    (tmp_path / "b.toml").write_text("p99_ms = 64\n")
    assert main(["service", "install", *root, "--budget", str(tmp_path / "b.toml")]) == 2


def test_a_program_that_is_named_is_the_one_that_runs(tmp_path, capsys):
    """Also one that only the image has; where the service is to run here, it must be there."""
    program = "/opt/edge-ser/current/bin/edge-ser"
    assert main(["service", "install", "--root", str(tmp_path), "--program", program]) == 0
    text = (tmp_path / "etc/systemd/system/edge-ser.service").read_text()
    assert f"ExecStart={program} listen arecord" in text
    capsys.readouterr()
    for missing in ("/no/such/edge-ser", "/usr"):
        assert main(["service", "install", "--program", missing]) == 2
        assert f"{missing} is no program that can be run here" in capsys.readouterr().err
    assert main(["service", "show", "--program", "bin/edge-ser"]) == 2
    assert "absolute path" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["--bad x", "mic --channel left", "'mic", "mic other"])
def test_what_listen_does_not_take_is_refused_before_a_service_is_made_of_it(tmp_path, words, capsys):
    root = ["--root", str(tmp_path), "--program", "/bin/true"]
    assert main(["service", "install", *root, "--listen", words]) == 2
    assert "edge-ser listen does not take" in capsys.readouterr().err and not list(tmp_path.iterdir())
    assert main(["deploy", "pi@nowhere.invalid", "--wheel", "absent.whl", "--listen", words]) == 2
    assert "edge-ser listen does not take" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("service", "logs", "--lines", "-4"), ("deploy", "pi@h", "--jobs", "0")])
def test_counts_are_from_one_on(words, capsys):
    with pytest.raises(SystemExit) as exit:
        main(list(words))
    assert exit.value.code == 2 and "a whole number from 1 on" in capsys.readouterr().err
