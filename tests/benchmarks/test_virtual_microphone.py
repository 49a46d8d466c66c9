"""The virtual microphone: no server is left behind by one that did not come to be."""

import shutil
import subprocess

import pytest

from benchmarks import virtual_microphone
from benchmarks.virtual_microphone import VirtualMicrophone


def test_a_server_that_does_not_answer_is_ended(tmp_path, monkeypatch) -> None:
    servers = []
    sleep = shutil.which("sleep")

    class Popen(subprocess.Popen):
        def __init__(self, command, **kwargs):
            assert command[0] == "pulseaudio"
            super().__init__([sleep, "60"], **kwargs)
            servers.append(self)

    def no_pactl(*_, **__):
        raise FileNotFoundError("pactl")

    monkeypatch.setattr(virtual_microphone.subprocess, "Popen", Popen)
    monkeypatch.setattr(virtual_microphone.subprocess, "run", no_pactl)
    with pytest.raises(FileNotFoundError, match="pactl"):
        VirtualMicrophone(tmp_path)
    assert [server.poll() is not None for server in servers] == [True]
