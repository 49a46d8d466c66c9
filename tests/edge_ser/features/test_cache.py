"""The cache: what it gives back is what was put in, or nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from edge_ser.features.cache import Cache, CacheError, DamagedEntryError, cache_root

VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


@given(arrays(st.sampled_from([np.float32, np.float64, np.int16]), array_shapes(max_dims=3)))
def test_what_is_put_comes_back_to_the_bit(tmp_path_factory, values):
    cache = Cache(tmp_path_factory.mktemp("cache"))
    key = cache.key("content", {"n": 1})
    cache.put(key, values)
    back = cache.get(key)
    assert back.dtype == values.dtype and back.tobytes() == values.tobytes() and back.shape == values.shape


def test_nothing_is_found_before_it_is_put(cache):
    assert cache.get(cache.key("a", {})) is None
    assert not cache.folder.exists()


def test_a_key_depends_on_content_and_description_and_not_on_the_order_of_words():
    keys = {
        Cache.key("a", {"x": 1, "y": 2}),
        Cache.key("b", {"x": 1, "y": 2}),
        Cache.key("a", {"x": 1, "y": 3}),
    }
    assert len(keys) == 3
    assert Cache.key("a", {"y": 2, "x": 1}) in keys


@pytest.mark.parametrize("at", [0, 5, 25, 60, -1])
def test_a_flipped_bit_is_noticed(cache, at):
    key = cache.key("a", {})
    cache.put(key, VALUES)
    data = bytearray(cache.path(key).read_bytes())
    data[at] ^= 1
    cache.path(key).write_bytes(data)
    with pytest.raises(DamagedEntryError):
        cache.get(key)


def test_an_entry_cut_anywhere_is_noticed(cache):
    key = cache.key("a", {})
    cache.put(key, VALUES)
    whole = cache.path(key).read_bytes()
    for length in range(len(whole)):
        cache.path(key).write_bytes(whole[:length])
        with pytest.raises(DamagedEntryError):
            cache.get(key)
    cache.put(key, VALUES)
    assert (cache.get(key) == VALUES).all()


def test_an_entry_under_another_name_is_no_entry(cache):
    one, other = cache.key("a", {}), cache.key("b", {})
    cache.put(one, VALUES)
    cache.path(other).parent.mkdir(parents=True, exist_ok=True)
    cache.path(other).write_bytes(cache.path(one).read_bytes())
    with pytest.raises(DamagedEntryError):
        cache.get(other)


def test_a_write_that_fails_leaves_what_was_there(cache, monkeypatch):
    key = cache.key("a", {})
    cache.put(key, VALUES)

    def full(source, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(CacheError, match=r"cannot be used \(No space left on device\).*--no-cache"):
        cache.put(key, VALUES + 1)
    monkeypatch.undo()
    assert (cache.get(key) == VALUES).all()
    assert list(cache.folder.glob("aside-*")) == []


def test_what_killed_processes_left_is_swept_and_what_is_being_written_is_not(cache):
    cache.put(cache.key("a", {}), VALUES)
    old, new = cache.folder / "aside-old", cache.folder / "aside-new"
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    assert cache.sweep() == 1
    assert new.exists() and not old.exists()
    assert (cache.get(cache.key("a", {})) == VALUES).all()


def test_what_another_process_sweeps_first_is_not_counted(cache, monkeypatch):
    cache.folder.mkdir()
    for name in ("aside-a", "aside-b"):
        (cache.folder / name).write_bytes(b"half")
        os.utime(cache.folder / name, (time.time() - 7200,) * 2)
    unlink = Path.unlink

    def late(path, missing_ok=False):
        if path.name == "aside-a":
            unlink(path)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", late)
    assert cache.sweep() == 1
    assert list(cache.folder.iterdir()) == []


def test_what_is_no_number_is_neither_kept_nor_described(cache):
    with pytest.raises(ValueError):
        cache.put(cache.key("a", {}), np.array([{}]))
    assert not cache.folder.exists()
    with pytest.raises(ValueError):
        cache.key("a", {"threshold": float("nan")})


def test_a_file_in_the_folders_place_is_a_sentence(tmp_path):
    (tmp_path / "cache").write_text("not a folder")
    cache = Cache(tmp_path / "cache")
    with pytest.raises(CacheError, match="name another folder with --cache"):
        cache.put(cache.key("a", {}), VALUES)
    with pytest.raises(CacheError):
        cache.get(cache.key("a", {}))


def test_it_lies_where_xdg_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "edge-ser" / "features" == Cache().folder
    assert repr(Cache()) == f"Cache({str(cache_root())!r})"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Cache("~/mine").folder == tmp_path / "mine"
    for ignored in ("relative/path", ""):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert cache_root() == Path.home() / ".cache" / "edge-ser" / "features"


def test_without_a_home_folder_the_sentence_says_what_to_do(homeless, tmp_path):
    with pytest.raises(CacheError, match="no home folder .* --cache or XDG_CACHE_HOME, or do without"):
        Cache()
    assert Cache(tmp_path).folder == tmp_path
