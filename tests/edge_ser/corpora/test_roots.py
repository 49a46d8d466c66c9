"""Where corpora are looked for."""

from __future__ import annotations

import pytest

from edge_ser.corpora import data_root, load_corpus, load_sounds, roots
from edge_ser.errors import EdgeSerError


def test_the_variable_comes_first(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_SER_DATA", str(tmp_path))
    assert data_root() == tmp_path
    with pytest.raises(
        EdgeSerError, match=r"the corpus emodb is not in .*; get it from emodb.bilderbar.info"
    ):
        load_corpus("emodb")
    monkeypatch.setenv("EDGE_SER_DATA", str(tmp_path / "gone"))
    with pytest.raises(EdgeSerError, match=r"EDGE_SER_DATA is '.*gone', which is not a folder"):
        data_root()


def test_a_home_of_nobody_is_not_there(monkeypatch):
    away = "~nobody-of-that-name/data"
    monkeypatch.setenv("EDGE_SER_DATA", away)
    with pytest.raises(EdgeSerError, match="EDGE_SER_DATA is '~nobody-of-that-name/data', which is not a"):
        data_root()
    with pytest.raises(EdgeSerError, match="nor a folder nor a CSV table"):
        load_corpus(away)
    with pytest.raises(EdgeSerError, match="nor a folder"):
        load_sounds(away)


def test_then_beside_the_working_directory_then_beside_the_checkout(tmp_path, monkeypatch):
    monkeypatch.delenv("EDGE_SER_DATA", raising=False)
    here, there = tmp_path / "a", tmp_path / "b"
    for base in (here, there):
        (base / "work").mkdir(parents=True)
    monkeypatch.chdir(here / "work")
    monkeypatch.setattr(roots, "__file__", str(there / "work" / "edge_ser" / "corpora" / "roots.py"))
    with pytest.raises(EdgeSerError, match="set EDGE_SER_DATA to a folder that holds one folder per corpus"):
        data_root()
    (there / "shared" / "data").mkdir(parents=True)
    assert data_root() == there / "shared" / "data"
    (here / "shared" / "data").mkdir(parents=True)
    assert data_root() == here / "shared" / "data"
