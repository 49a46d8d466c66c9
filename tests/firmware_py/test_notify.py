"""What a listener tells the service manager: that it hears, that it lives, that it ends."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from firmware_py.notify import Notifier

ROOT = Path(__file__).parents[2]


def test_the_manager_hears(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "30000000"})
        clock = [100.0]
        monkeypatch.setattr("firmware_py.notify.time.monotonic", lambda: clock[0])
        heard = []
        for seconds in (0, 4, 4, 4, 4, 4, 4):  # a word at 0, 12 and 24 s
            clock[0] += seconds
            notifier.alive(True)
        notifier.say("STOPPING=1")
        while not heard or heard[-1] != b"STOPPING=1":
            heard.append(manager.recv(100))
    assert heard == [b"READY=1", *[b"WATCHDOG=1"] * 3, b"STOPPING=1"]  # each 10 of the 30 s
    notifier.say("nobody hears this, and nothing breaks")


@pytest.mark.skipif(sys.platform != "linux", reason="names without a file are Linux's")
def test_a_manager_that_has_a_name_and_no_file_hears_too():
    name = f"edge-ser-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name)
        manager.settimeout(5)
        Notifier({"NOTIFY_SOCKET": "@" + name}).alive(True)
        assert manager.recv(100) == b"READY=1"


def test_a_manager_that_takes_nothing_holds_nobody_up(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        talk = threading.Thread(target=lambda: [notifier.say("x" * 1000) for _ in range(1000)], daemon=True)
        talk.start()
        talk.join(5)
        assert not talk.is_alive()


def test_without_a_manager_nothing_is_said():
    Notifier({}).alive(True)


@pytest.mark.parametrize("arecord", ["echo 'arecord: no such device' >&2; exit 1", "exec sleep 60"])
def test_a_service_without_a_microphone_is_never_ready(tmp_path, numpy_bundle, arecord):
    said, status = listening(tmp_path, numpy_bundle, arecord)
    assert status == 2 and b"READY=1" not in said
    assert b"WATCHDOG=1" in said  # it lived, and looked


def test_a_service_that_hears_is_ready(tmp_path, numpy_bundle):
    said, status = listening(tmp_path, numpy_bundle, "cat /dev/zero", "--duration", "0.5")
    assert status == 0 and said.count(b"READY=1") == 1


def listening(folder, bundle, arecord, *options):
    """What the manager is told by a listener whose arecord does as the shell line says, and how that ends."""
    (folder / "arecord").write_text(f"#!/bin/sh\n{arecord}\n")
    (folder / "arecord").chmod(0o755)
    words = ["listen", "arecord", "--model", bundle.path, "--engine", "numpy", "-o", "jsonl", *options]
    environment = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "3000000"}
    environment["PATH"] = f"{folder}:{os.environ['PATH']}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(folder / "notify"))
        run = subprocess.run(
            [sys.executable, "-m", "edge_ser", *words], env=os.environ | environment, cwd=ROOT,
            capture_output=True, timeout=60,
        )  # fmt: skip
        manager.setblocking(False)
        said = []
        with contextlib.suppress(BlockingIOError):
            while True:
                said.append(manager.recv(100))
    return said, run.returncode
