"""Rotation of a log at its edges: an opening that fails, a limit in bytes, an account that cannot be kept."""

import errno
import os
import subprocess
import sys

import pytest

from edge_ser.errors import EdgeSerError
from firmware_py.sinks import RotatingFile


def test_a_file_that_could_not_be_opened_after_a_rotation_is_opened_later(tmp_path, monkeypatch):
    out = RotatingFile(tmp_path / "log", limit=10, keep=2)
    out.put("first\n")

    def too_many(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", too_many)
        with pytest.raises(OSError, match="Too many"):
            out.put("second\n")
    out.put("third\n")
    out.close()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "log.1": "first\n",
        "log": "third\n",
    }


def test_a_limit_is_of_bytes(tmp_path):
    out = RotatingFile(tmp_path / "log", limit=10, keep=1)
    for _ in range(2):
        out.put("üü\n")  # five bytes
    assert not (tmp_path / "log.1").exists()
    out.put("üü\n")
    out.put("üüü\n")  # four more characters, and seven bytes
    out.close()
    assert (tmp_path / "log.1").read_text() == "üü\n" and (tmp_path / "log").read_text() == "üüü\n"
    for limit, keep in ((0, 1), (1, -1)):
        with pytest.raises(EdgeSerError, match="cannot be kept; give 1 and 0 at least"):
            RotatingFile(tmp_path / "log", limit=limit, keep=keep)


def test_a_pipe_is_written_to_without_an_end(tmp_path):
    """It holds nothing, so there is nothing to put aside."""
    os.mkfifo(tmp_path / "log")
    reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    out = RotatingFile(tmp_path / "log", limit=1, keep=1)
    out.put("first\n", "head\n")
    out.put("second\n", "other\n")
    out.close()
    assert os.read(reader, 100) == b"head\nfirst\nsecond\n"
    os.close(reader)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_log_may_be_descriptor_0(tmp_path):
    """Where standard input is closed the next file that is opened has its number."""
    program = (
        "import os, sys; from firmware_py.sinks import RotatingFile; os.close(0); out = RotatingFile(sys.argv[1]);"
        "out.put('first\\n'); out.put('second\\n'); out.close(); print(os.open(os.devnull, os.O_RDONLY))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "log"], capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "log").read_text() == "first\nsecond\n"
    assert run.stdout == "0\n"  # closed, and free again
