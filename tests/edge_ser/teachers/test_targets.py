"""The store of targets: what was added comes back, under content, whole or not at all."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ser.audio import load_audio, write_wav
from edge_ser.errors import EdgeSerError
from edge_ser.teachers.targets import Targets, TargetStore, content_key

LABELS = ("angry", "calm")


def _key(i):
    return content_key(np.full(3, i, np.float32))


def _targets(i, hint=4):
    rng = np.random.default_rng(i)
    return Targets(rng.uniform(0, 1, 3), rng.normal(0, 4, 2), rng.normal(0, 1, hint))


def _store(folder, teacher="t", **options):
    return TargetStore(folder, teacher, LABELS, 4, **options)


def _same(got, given):
    for one, other in zip(got, given, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_array_equal(one, np.asarray(other).astype(np.float16).astype(np.float32))


def test_what_was_added_comes_back_before_and_after_it_is_written(tmp_path):
    store = _store(tmp_path / "a" / "b", shard_size=3)
    for i in range(7):
        store.add(_key(i), _targets(i))
    assert len(store) == 7 and len(list((tmp_path / "a" / "b").glob("*.npz"))) == 2
    for i in range(7):
        _same(store.get(_key(i)), _targets(i))
    store.flush()
    store.flush()  # nothing more to write
    again = TargetStore.open(tmp_path / "a" / "b")
    assert (again.teacher_id, again.labels, again.hint_size, len(again)) == ("t", LABELS, 4, 7)
    for i in range(7):
        _same(again.get(_key(i)), _targets(i))
    assert len(list((tmp_path / "a" / "b").glob("*.npz"))) == 3


@settings(max_examples=25)
@given(st.lists(st.integers(0, 20), max_size=25), st.integers(1, 6), st.integers(0, 25))
def test_any_order_any_shards_any_stop_give_the_same_store(tmp_path_factory, order, size, stop):
    folder = tmp_path_factory.mktemp("store")
    store = _store(folder, shard_size=size)
    for i in order[:stop]:
        store.add(_key(i), _targets(i))
    lost = len(store) % size  # never flushed: as if killed here
    store = _store(folder, shard_size=size)
    assert len(store) == len(set(order[:stop])) - lost
    for key in store.missing(_key(i) for i in order):
        store.add(key, _targets(next(i for i in order if _key(i) == key)))
    store.flush()
    again = _store(folder)
    assert len(again) == len(set(order)) and again.missing(_key(i) for i in order) == []
    for i in order:
        _same(again.get(_key(i)), _targets(i))


def test_what_is_not_given_comes_back_as_none(tmp_path):
    store = TargetStore(tmp_path, "t", LABELS, 4)
    store.add(_key(0), Targets(adv=np.ones(3)))
    store.add(_key(1), Targets(logits=np.zeros(2)))
    store.add(_key(2), Targets())
    store.flush()
    again = TargetStore.open(tmp_path)
    assert [[part is not None for part in again.get(_key(i))] for i in range(3)] == [
        [True, False, False],
        [False, True, False],
        [False, False, False],
    ]
    bare = TargetStore(tmp_path / "bare", "t")
    bare.add(_key(0), Targets(np.ones(3), np.zeros(0), None))
    assert bare.get(_key(0)).logits is None


def test_a_second_addition_changes_nothing(tmp_path):
    store = _store(tmp_path)
    store.add(_key(0), _targets(0))
    store.add(_key(0), _targets(1))
    store.flush()
    store.add(_key(0), _targets(2))
    store.flush()
    _same(store.get(_key(0)), _targets(0))
    assert len(store) == 1 and len(list(tmp_path.glob("*.npz"))) == 1


def test_missing_names_each_once_in_order(tmp_path):
    store = _store(tmp_path)
    store.add(_key(1), _targets(1))
    assert store.missing([_key(3), _key(1), _key(2), _key(3)]) == [_key(3), _key(2)]
    assert _key(1) in store and _key(2) not in store


def test_a_key_is_of_the_samples_not_of_the_file(tmp_path):
    x = (np.random.default_rng(0).integers(-9000, 9000, 800) / 32768).astype(np.float32)
    write_wav(tmp_path / "a.wav", x)
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "another name.flac", x, 16000)
    keys = {content_key(load_audio(tmp_path / name)) for name in ("a.wav", "another name.flac")}
    assert keys == {content_key(x), content_key(x.astype(np.float64)), content_key(x[:])}
    assert content_key(x[:-1]) not in keys and content_key(np.append(x, np.float32(0))) not in keys
    assert content_key(np.repeat(x, 2)[::2]) in keys


def test_another_teachers_folder_is_refused_and_its_shards_never_serve(tmp_path):
    ours = _store(tmp_path / "ours", "one")
    ours.add(_key(0), _targets(0))
    ours.flush()
    with pytest.raises(
        EdgeSerError, match="ours holds the targets of another teacher .*its teacher is one, this"
    ):
        _store(tmp_path / "ours", "two")
    with pytest.raises(EdgeSerError, match="its labels is .*give each teacher a folder of its own"):
        TargetStore(tmp_path / "ours", "one", ("sad",), 4)
    with pytest.raises(EdgeSerError, match="its hint_size is 4, this teacher's 9"):
        TargetStore(tmp_path / "ours", "one", LABELS, 9)
    theirs = _store(tmp_path / "theirs", "two")
    for shard in (tmp_path / "ours").glob("*.npz"):
        (tmp_path / "theirs" / shard.name).write_bytes(shard.read_bytes())
    theirs.reload()
    assert _key(0) not in theirs and theirs.missing([_key(0)]) == [_key(0)]


def test_processes_see_each_others_shards_and_folders_merge_by_copying(tmp_path):
    one, two = _store(tmp_path / "a"), _store(tmp_path / "a")
    one.add(_key(0), _targets(0))
    one.flush()
    two.add(_key(0), _targets(0))
    two.add(_key(1), _targets(1))
    assert two.reload() == 0 and len(two) == 2  # the pending one is dropped for the one that is there
    two.flush()
    assert one.reload() == 1
    _same(one.get(_key(1)), _targets(1))
    other = _store(tmp_path / "b")
    other.add(_key(2), _targets(2))
    other.flush()
    for shard in (tmp_path / "a").glob("*.npz"):
        (tmp_path / "b" / shard.name).write_bytes(shard.read_bytes())
    assert other.reload() == 2
    for i in range(3):
        _same(other.get(_key(i)), _targets(i))


@pytest.mark.parametrize("how", ["flip", "cut", "empty"])
def test_a_damaged_shard_is_named_and_its_removal_brings_only_its_own_back(tmp_path, how):
    store = _store(tmp_path, shard_size=2)
    for i in range(4):
        store.add(_key(i), _targets(i))
    bad = sorted(tmp_path.glob("*.npz"))[0]
    data = bytearray(bad.read_bytes())
    if how == "flip":
        data[len(data) // 2] ^= 1
    bad.write_bytes({"flip": bytes(data), "cut": bytes(data[:50]), "empty": b""}[how])
    with pytest.raises(EdgeSerError, match=f"{bad.name} is damaged .*remove it and run edge-ser label again"):
        _store(tmp_path)
    bad.unlink()
    again = _store(tmp_path)
    assert len(again) == 2 and len(again.missing(_key(i) for i in range(4))) == 2


def test_a_foreign_file_under_a_shards_name_is_said(tmp_path):
    import hashlib

    store = _store(tmp_path)
    (tmp_path / f"targets-{hashlib.sha256(b'x').hexdigest()[:32]}.npz").write_bytes(b"x")
    with pytest.raises(EdgeSerError, match="is no shard of targets"):
        store.reload()
    (tmp_path / "notes.npz").write_bytes(b"not a shard's name: left alone")


@pytest.mark.parametrize(
    ("targets", "says"),
    [
        (Targets(adv=np.ones(2)), r"adv is of shape \(2,\), its store expects \(3,\)"),
        (Targets(logits=np.ones(3)), r"logits is of shape \(3,\)"),
        (Targets(hint=np.ones((1, 4))), "hint is of shape"),
        (Targets(adv=np.array([0.0, np.nan, 1.0])), "adv holds a value that is no number"),
        (Targets(hint=np.full(4, 7e4)), "hint holds a value .*beyond 65504"),
        (Targets(logits=np.array([np.inf, 0])), "logits holds a value"),
    ],
)
def test_targets_that_do_not_fit_are_refused(tmp_path, targets, says):
    store = _store(tmp_path)
    with pytest.raises(EdgeSerError, match=says):
        store.add(_key(0), targets)
    assert len(store) == 0


@pytest.mark.parametrize("key", ["", "abc", "z" * 64, 3, "ab" * 31])
def test_what_is_no_key_is_refused(tmp_path, key):
    with pytest.raises(EdgeSerError, match="no key of a recording"):
        _store(tmp_path).get(key)


def test_targets_that_are_not_there_are_said(tmp_path):
    with pytest.raises(
        EdgeSerError, match=f"no targets of this recording .{_key(0)[:12]}.*run edge-ser label"
    ):
        _store(tmp_path).get(_key(0))
    with pytest.raises(EdgeSerError, match="holds no teacher's targets .no store.json"):
        TargetStore.open(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"format": 2}, "of format 2, this edge-ser reads 1"),
        ({"format": 1, "teacher": 3, "labels": [], "hint_size": 0}, r"is damaged \(its teacher\)"),
        ({"format": 1, "teacher": "t"}, r"is damaged \(its labels, hint_size\)"),
        (None, "store.json is damaged"),
    ],
)
def test_a_damaged_description_is_said(tmp_path, document, says):
    (tmp_path / "store.json").write_text("{" if document is None else json.dumps(document))
    with pytest.raises(EdgeSerError, match=says):
        TargetStore.open(tmp_path)


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgeSerError, match="cannot write .*file/store.*choose a folder"):
        _store(tmp_path / "file" / "store")


def test_a_disk_that_refuses_loses_nothing_in_memory(tmp_path, monkeypatch):
    import edge_ser.teachers.targets as module

    store = _store(tmp_path)
    store.add(_key(0), _targets(0))

    def refuse(*_):
        raise EdgeSerError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_shard", refuse)
        with pytest.raises(EdgeSerError, match="full"):
            store.flush()
    store.flush()
    assert len(TargetStore.open(tmp_path)) == 1


def test_a_store_is_small(tmp_path):
    store = TargetStore(tmp_path, "t", LABELS, 512, shard_size=100)
    for i in range(100):
        store.add(_key(i), _targets(i, 512))
    [shard] = tmp_path.glob("*.npz")
    assert shard.stat().st_size < 100 * (2 * (3 + 2 + 512) + 32 + 20)
