"""Digests without OpenSSL."""

import hashlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ser.files import sha256


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
