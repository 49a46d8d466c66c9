"""Deploying to a real sshd on loopback: well, killed at every step, onto a full disk, with a wrong key."""

import itertools
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import edge_ser
from edge_ser.cli import main
from edge_ser.deploy import STEPS, Plan, Target, deploy, read_hosts
from edge_ser.errors import EdgeSerError
from tests.support import program_wheel

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
MISSING = [name for name in ("ssh", "ssh-keygen", "rsync", "flock") if shutil.which(name) is None]
MISSING += [] if Path(SSHD).exists() else ["sshd"]
needs_sshd = pytest.mark.skipif(
    bool(MISSING),
    reason=f"{', '.join(MISSING)} not installed (apt install openssh-server openssh-client rsync)",
)

# What stands for edge-ser on the board: the service is a file that says which release runs.
FAKE = """
import json, os, pathlib, signal, sys
here = pathlib.Path(sys.prefix)
board = here.parent.parent
def main():
    words = sys.argv[1:]
    if words[0] == "bench":
        if (board / "no-bench").exists(): sys.exit("bench failed")
        print(json.dumps({"machine": {}, "runs": [{"engine": "numpy", "ok": True, "duty_cycle": 0.01,
              "step_ms": {"p50": 1.0}, "rss_mb": {"peak": 30.0}}]}))
    if words[0] == "service":
        if VERSION in (board / "kills").read_text().split() if (board / "kills").exists() else ():
            os.kill(os.getppid(), signal.SIGKILL)
            sys.exit(1)
        if (board / "bad").exists() and VERSION in (board / "bad").read_text().split():
            print("systemctl restart: Job failed", file=sys.stderr)
            sys.exit(2)
        (board / "running").write_text(VERSION + " " + words[words.index("--listen") + 1])
"""


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    """An sshd of our own on a high port, for this user and one key."""
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host", "user", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "authorized").write_text((folder / "user.pub").read_text())
    port = 20_000 + os.getpid() % 20_000
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"PidFile {folder}/pid\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "UsePAM no\nPermitRootLogin prohibit-password\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it puts its processes that talk to strangers
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "config"], stderr=(folder / "log").open("w"))
    for _ in range(100):
        if "listening" in (folder / "log").read_text():
            break
        time.sleep(0.05)
    else:
        pytest.skip(f"sshd does not start: {(folder / 'log').read_text()}")

    def target(key="user"):
        options = (
            f"UserKnownHostsFile={folder}/known",
            "StrictHostKeyChecking=accept-new",
            "IdentitiesOnly=yes",
        )
        return Target(f"{os.environ.get('USER', 'root')}@127.0.0.1", port, str(folder / key), options)

    yield target
    server.terminate()
    server.wait()


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    return {version: program_wheel(folder, version, FAKE) for version in ("1.0", "2.0")}


@pytest.fixture
def plans(tmp_path, wheels):
    return {
        version: Plan(
            [path], index=False, prefix=str(tmp_path / "board"), listen="arecord --doze", need_kb=1000
        )
        for version, path in wheels.items()
    }


def state(plan):
    """What runs on the board, which release the link names, and whether a switch is unfinished."""
    board = Path(plan.prefix)
    running = (board / "running").read_text().split()[0] if (board / "running").exists() else None
    link = (board / "current").resolve().name if (board / "current").is_symlink() else None
    return running, link, (board / "switching").exists()


@needs_sshd
@pytest.mark.slow
def test_deployed_well_then_killed_at_every_step(sshd, plans):
    old, new = plans["1.0"], plans["2.0"]
    steps = []
    result = deploy(sshd(), old, steps.append)
    assert tuple(steps) == STEPS
    assert result["before"] == "" and result["bench"]["runs"][0]["engine"] == "numpy"
    assert result["board"]["arch"] == os.uname().machine and int(result["board"]["free_mb"]) > 0
    assert state(old) == ("1.0", old.release, False)
    assert (Path(old.prefix) / "running").read_text() == "1.0 arecord --doze"

    for victim in STEPS[: STEPS.index("switch") + 1]:

        def killed(step, victim=victim):
            if step == victim:
                os._exit(9)

        child = multiprocessing.get_context("fork").Process(target=deploy, args=(sshd(), new, killed))
        child.start()
        child.join(60)
        assert child.exitcode == 9
        assert state(old) == ("1.0", old.release, False), victim

    # killed on the board, in the middle of the switch: the old one still runs, and the next deploy undoes the rest
    board = Path(new.prefix)
    (board / "kills").write_text("2.0")
    with pytest.raises(EdgeSerError, match="switch"):
        deploy(sshd(), new)
    assert state(new) == ("1.0", new.release, True)
    with pytest.raises(EdgeSerError, match="needed"):  # a deploy that ends right after its check
        deploy(sshd(), Plan(new.wheels, prefix=new.prefix, need_kb=1 << 40))
    assert state(old) == ("1.0", old.release, False)
    (board / "kills").unlink()

    # a release whose service does not start
    (board / "bad").write_text("2.0")
    with pytest.raises(EdgeSerError, match="does not start with the new release; the old one is back"):
        deploy(sshd(), new)
    assert state(old) == ("1.0", old.release, False)
    (board / "bad").unlink()

    # and at last well; the one before is kept, what was uploaded is not
    assert deploy(sshd(), new)["before"] == old.release
    assert state(new) == ("2.0", new.release, False)
    assert {path.name for path in (board / "releases").iterdir()} == {old.release, new.release}
    assert not (board / "incoming").exists()

    # another deploy at the same time is refused
    lock = subprocess.Popen(["flock", board / "lock", "sleep", "30"])
    time.sleep(0.3)
    with pytest.raises(EdgeSerError, match="another deploy is at work"):
        deploy(sshd(), new)
    lock.send_signal(signal.SIGTERM)
    lock.wait()


@pytest.fixture
def board(tmp_path):
    """Takes steps of the board's side without ssh, with releases that hold nothing but that they are whole."""
    script = (Path(edge_ser.__file__).parent / "deploy.sh").read_bytes()
    prefix = tmp_path / "board"

    class Board:
        clock = itertools.count(1_000_000_000, 60)

        def step(self, name, release, deploy, *arguments):
            words = ["sh", "-s", "--", name, str(prefix), release, deploy, *arguments]
            return subprocess.run(words, input=script, capture_output=True, check=False)

        def begin(self, release, deploy):
            """Check and build."""
            assert self.step("check", release, deploy, sys.executable, "", "1").returncode == 0
            whole = prefix / "releases" / release / "whole"
            if not whole.exists():
                whole.parent.mkdir()
                whole.touch()
                os.utime(whole, (next(self.clock),) * 2)

        def deploy(self, release):
            self.begin(release, release)
            switched = self.step("switch", release, release, "", "")
            before = switched.stdout.decode().strip().removeprefix("before=")
            assert self.step("tidy", release, release, before).returncode == 0

        def releases(self):
            return (prefix / "current").resolve().name, {path.name for path in prefix.glob("releases/*")}

    return Board()


@pytest.mark.skipif(bool({"rsync", "flock"} & set(MISSING)), reason="rsync or flock is not installed")
def test_the_last_two_releases_are_kept(board):
    board.deploy("a")
    assert board.releases() == ("a", {"a"})
    board.deploy("b")
    board.deploy("b")  # again, unchanged
    assert board.releases() == ("b", {"a", "b"})
    board.deploy("c")
    assert board.releases() == ("c", {"b", "c"})
    board.deploy("b")  # back to what there was
    assert board.releases() == ("b", {"b", "c"})
    board.begin("d", "d")  # and no further
    board.deploy("b")
    assert board.releases() == ("b", {"b", "d"})


@pytest.mark.skipif(bool({"rsync", "flock"} & set(MISSING)), reason="rsync or flock is not installed")
def test_of_two_deploys_at_once_the_one_that_began_last_goes_on(board):
    board.deploy("old")
    board.begin("a", "first")
    assert board.step("switch", "a", "first", "", "").returncode == 0
    board.begin("b", "second")
    assert board.step("switch", "b", "second", "", "").returncode == 0
    overtaken = board.step("tidy", "a", "first", "old")
    assert overtaken.returncode == 3 and b"another deploy has begun there since" in overtaken.stderr
    assert board.releases() == ("b", {"old", "a", "b"})
    assert board.step("tidy", "b", "second", "a").returncode == 0
    assert board.releases() == ("b", {"a", "b"})
    # and what runs is kept by whomever: here a hand moved the link in between
    assert board.step("tidy", "gone", "second", "a").returncode == 0
    assert board.releases() == ("b", {"a", "b"})


@needs_sshd
@pytest.mark.slow
def test_names_with_blanks_and_colons(sshd, wheels, tmp_path, monkeypatch):
    """The board's folder has a blank; here all lies in one whose name rsync could take for a host."""
    monkeypatch.chdir(tmp_path)
    model = Path("14:05 née/model")
    model.mkdir(parents=True)
    (model / "bundle.json").write_text("{}")
    wheel = shutil.copy(wheels["1.0"], model.parent)
    plan = Plan(
        [Path(wheel)], index=False, model=model, prefix=f"{tmp_path}/the board", need_kb=1000, listen="mic"
    )
    result = deploy(sshd(), plan)
    board = tmp_path / "the board"
    assert state(plan) == ("1.0", plan.release, False) and result["bench"]["runs"]
    assert (board / "current/model/bundle.json").read_text() == "{}"
    assert (board / "running").read_text() == f"1.0 mic --model '{board}/current/model'"
    changed = Plan(plan.wheels, index=False, model=model, prefix=plan.prefix, need_kb=1000, service="")
    assert changed.release == plan.release  # whatever listens is no part of it
    (model / "bundle.json").write_text("{ }")
    assert Plan(plan.wheels, model=model).release != plan.release


@needs_sshd
@pytest.mark.slow
def test_a_full_disk(sshd, plans, tmp_path):
    board = tmp_path / "board"
    board.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", board], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here (not root)")
    try:
        with pytest.raises(
            EdgeSerError, match=r"build: (no virtual environment can be made|pip cannot install)"
        ):
            deploy(sshd(), plans["1.0"])
        assert state(plans["1.0"]) == (None, None, False)
        assert list((board / "releases").iterdir()) == []
        with pytest.raises(EdgeSerError, match=r"are free in .*make room"):
            deploy(sshd(), Plan(plans["1.0"].wheels, index=False, prefix=str(board)))
    finally:
        subprocess.run(["umount", board], check=True)


@needs_sshd
def test_a_wrong_key_and_a_host_that_is_not_there(sshd, plans, tmp_path):
    with pytest.raises(
        EdgeSerError, match=r"ssh cannot log in or lost the connection at check .*Permission denied"
    ):
        deploy(sshd("other"), plans["1.0"])
    nobody = Target("nobody@127.0.0.1", 9, options=("UserKnownHostsFile=/dev/null",))
    with pytest.raises(EdgeSerError, match=r"ssh cannot log in .*refused"):
        deploy(nobody, plans["1.0"])
    assert not (tmp_path / "board").exists()


@needs_sshd
@pytest.mark.slow
def test_many_hosts_at_once(sshd, wheels, tmp_path, capsys):
    good = sshd()
    (tmp_path / "hosts").write_text(f"{good.host}  # the board\nno-such-user-here@127.0.0.1\n\n")
    status = main([
        "deploy", "--hosts", str(tmp_path / "hosts"), "--wheel", str(wheels["1.0"]), "--no-index",
        "--prefix", str(tmp_path / "board"), "--port", str(good.port), "--identity", good.identity,
        *[word for option in good.options for word in ("--ssh-option", option)],
        "--reports", str(tmp_path / "reports"), "-o", "json",
    ])  # fmt: skip
    out, err = capsys.readouterr()
    first, second = json.loads(out)["boards"]
    assert status == 1 and first["ok"] and not second["ok"] and "ssh cannot log in" in second["reason"]
    assert json.loads((tmp_path / "reports" / f"{good.host}.json").read_text()) == first["bench"]
    assert f"{good.host}: switch" in err


def test_what_cannot_be_deployed(tmp_path):
    for host in ("-oProxyCommand=true", "", "pi@a pi@b", "pi@a\t"):
        with pytest.raises(EdgeSerError, match="is no host; give USER@HOST$"):
            Target(host)
    for place in ("pi@board:2222", "pi@board:/opt", "ssh://pi@board", "pi@fe80::1"):
        with pytest.raises(EdgeSerError, match="is no host; give USER@HOST, a port by --port"):
            Target(place)
    for port in (0, 65536, -22):
        with pytest.raises(EdgeSerError, match=f"--port {port} is none of ssh's; give 1 to 65535"):
            Target("pi@board", port)
    (tmp_path / "key").touch()
    for key in (tmp_path / "absent", tmp_path):
        with pytest.raises(EdgeSerError, match=r"there is no key .*; give --identity the file"):
            Target("pi@board", identity=str(key))
    command = Target("pi@board", 65535, str(tmp_path / "key")).ssh("c")
    assert command[-4:] == ["-p", "65535", "-i", str(tmp_path / "key")]
    assert Target("pi@board", 1, "%d/key").ssh("c")[-4:] == [
        "-p",
        "1",
        "-i",
        "%d/key",
    ]  # a name for ssh to fill in
    assert not {"-p", "-i"} & set(Target("pi@board").ssh("c"))
    with pytest.raises(EdgeSerError, match="no wheel"):
        Plan([])
    with pytest.raises(EdgeSerError, match=r"hosts is no wheel; give --wheel a file that ends in \.whl"):
        Plan([tmp_path / "hosts"])
    with pytest.raises(EdgeSerError, match="cannot read"):
        Plan([tmp_path / "absent.whl"])
    with pytest.raises(EdgeSerError, match="absolute"):
        Plan([tmp_path / "absent.whl"], prefix="here")
    (tmp_path / "hosts").write_text("# nobody\n")
    with pytest.raises(EdgeSerError, match="names no host"):
        read_hosts(tmp_path / "hosts")
    (tmp_path / "hosts").write_bytes(b"pi@k\xfcche\n")
    with pytest.raises(EdgeSerError, match=r"hosts is no text in UTF-8; write one USER@HOST a line$"):
        read_hosts(tmp_path / "hosts")
    (tmp_path / "hosts").write_text("\ufeffpi@kitchen\r\n  pi@hall # upstairs\n#pi@shed\n")
    assert read_hosts(tmp_path / "hosts") == ["pi@kitchen", "pi@hall"]  # as an editor of Windows writes it
    with pytest.raises(EdgeSerError, match="cannot read the list of hosts .*: Is a directory"):
        read_hosts(tmp_path)
    assert main(["deploy"]) == 2


def test_a_service_needs_a_prefix_outside_of_homes(tmp_path, capsys):
    command = [
        "deploy",
        "pi@nowhere.invalid",
        "--prefix",
        "/home/pi/ser",
        "--wheel",
        str(tmp_path / "absent.whl"),
    ]
    assert main(command) == 2
    assert "sees no homes, and /home/pi/ser lies in one; name another --prefix" in capsys.readouterr().err
    assert main([*command, "--no-service"]) == 2
    assert "cannot read" in capsys.readouterr().err  # the wheel is the next thing that is asked for


def test_a_place_for_reports_that_cannot_be_is_told_before_anything_is_deployed(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["deploy", "pi@nowhere.invalid", "--reports", str(tmp_path / "file")]) == 2
    assert "is no folder" in capsys.readouterr().err
