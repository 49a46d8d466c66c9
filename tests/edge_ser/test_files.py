"""Digests without OpenSSL, the folders of a user who may have none, and files written whole or not at all."""

import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ser.errors import EdgeSerError
from edge_ser.files import (
    check_place,
    expand_user,
    parse_json_object,
    sha256,
    user_cache,
    write_atomic,
    write_json,
)


@given(st.lists(st.binary(max_size=200)))
def test_the_digest_is_that_of_hashlib(pieces):
    ours = sha256(b"".join(pieces[:1]))
    for piece in pieces[1:]:
        ours.update(piece)
    assert ours.hexdigest() == hashlib.sha256(b"".join(pieces)).hexdigest()


def test_a_python_without_its_own_takes_that_of_openssl(monkeypatch):
    for name in ("_sha2", "_sha256"):
        monkeypatch.setitem(sys.modules, name, None)
    assert type(sha256()) is type(hashlib.sha256())
    assert sha256(b"abc").hexdigest() == hashlib.sha256(b"abc").hexdigest()


def test_listening_loads_no_openssl(numpy_bundle):
    pytest.importorskip("_sha2" if sys.version_info >= (3, 12) else "_sha256")
    program = (
        "import sys\nfrom edge_ser.bundle import load_bundle\nimport edge_ser.commands.listen\n"
        f"load_bundle({str(numpy_bundle.path)!r}).file('numpy', 'fp32')\nprint('_hashlib' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_a_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand_user("~/a") == tmp_path / "a" and expand_user(Path("~")) == tmp_path
    assert expand_user("a/~") == Path("a/~")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert user_cache() == tmp_path / ".cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert user_cache() == tmp_path / "x"


def test_no_home(homeless, monkeypatch, tmp_path):
    assert expand_user("~/a") == Path("~/a") and user_cache() is None
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache() == tmp_path


def test_nobodys_home_stays_as_it_is_written():
    assert expand_user("~nobody-of-that-name/a") == Path("~nobody-of-that-name/a")


def test_a_file_is_replaced_whole_and_a_link_stays_a_link(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"before")
    link.symlink_to(target)
    write_atomic(link, b"after")
    assert link.is_symlink() and target.read_bytes() == b"after"
    link.unlink()
    link.symlink_to(tmp_path / "missing" / "file")
    with pytest.raises(EdgeSerError, match="link: No such file or directory"):
        write_atomic(link, b"x")
    with pytest.raises(EdgeSerError, match="is a folder"):
        write_atomic(tmp_path, b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "target"]  # nothing is left aside


def test_a_place_that_cannot_be_written_is_told_before_there_is_something_to_write(tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "new" / "deep" / "x.json", tmp_path / "file", "/dev/stdout", "x.json"):
        check_place(place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    bad = [(tmp_path, "is a folder"), (tmp_path / "file" / "deep" / "x.json", "is no folder")]
    for place, why in [*bad, (tmp_path / ("x" * 300), "name too long")]:
        with pytest.raises(EdgeSerError, match=why):
            check_place(place)
    with pytest.raises(EdgeSerError, match="cannot write"):
        write_json(tmp_path / "file" / "deep" / "x.json", {})


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name here")
def test_what_is_no_file_is_written_to_and_stays(tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_atomic(pipe, b"through")
    reader.join(10)
    assert got == [b"through"] and pipe.is_fifo()
    program = "from edge_ser.files import write_atomic; write_atomic('/dev/stdout', b'out')"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ran.stdout == b"out" and Path("/dev/stdout").is_symlink()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_device_that_refuses():
    with pytest.raises(EdgeSerError, match="No space left on device"):
        write_atomic("/dev/full", b"x")
    assert not Path("/dev/full").is_file()


def test_a_name_that_is_no_utf8_comes_back_from_json(tmp_path):
    name = os.fsdecode(b"a\xff.wav")
    write_json(tmp_path / "x.json", {"file": name})
    assert parse_json_object((tmp_path / "x.json").read_bytes(), "x") == {"file": name}
