"""Digests without OpenSSL, and the folders of a user who may have none."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ser.files import expand_user, sha256, user_cache


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
