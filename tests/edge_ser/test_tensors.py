"""The safetensors reader trusts nothing, and what it wrote it reads."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ser.errors import EdgeSerError
from edge_ser.tensors import (
    DTYPES,
    pack_tensors,
    read_metadata,
    read_safetensors,
    unpack_tensors,
    write_safetensors,
)

SAMPLE = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b.c": np.array([1, -2], np.int64),
    "scalar": np.array(3, np.int8),
    "none": np.zeros((0, 4), np.float16),
    "flags": np.array([True, False]),
}


@st.composite
def arrays(draw):
    dtype = DTYPES[draw(st.sampled_from(sorted(DTYPES)))]
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    raw = np.random.default_rng(draw(st.integers(0, 2**32))).integers(
        0, 255, (*shape, dtype.itemsize), np.uint8
    )
    if dtype == np.bool_:
        raw &= 1
    return raw.view(dtype).reshape(shape)


@given(st.dictionaries(st.text(min_size=1).filter(lambda t: t != "__metadata__"), arrays(), max_size=6))
def test_round_trip(tensors):
    data = pack_tensors(tensors, {"note": "é"} if tensors else None)
    back, metadata = unpack_tensors(data, "it")
    assert metadata == ({"note": "é"} if tensors else {})
    assert set(back) == set(tensors)
    for name, array in tensors.items():
        assert back[name].dtype == array.dtype
        assert back[name].shape == array.shape
        assert back[name].tobytes() == array.tobytes()


def test_same_bytes_whatever_the_order():
    assert pack_tensors(SAMPLE) == pack_tensors(dict(reversed(SAMPLE.items())))


def test_big_endian_and_strided_arrays_are_written_by_value(tmp_path):
    values = np.arange(12, dtype=">f4").reshape(3, 4)[:, ::2]
    write_safetensors(tmp_path / "x.safetensors", {"x": values})
    assert np.array_equal(read_safetensors(tmp_path / "x.safetensors")["x"], values)


def test_the_reference_implementation_reads_it(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy", reason="the safetensors package is not installed")
    write_safetensors(tmp_path / "x.safetensors", SAMPLE, {"k": "v"})
    theirs = safetensors.load_file(tmp_path / "x.safetensors")
    assert set(theirs) == set(SAMPLE)
    assert all(np.array_equal(theirs[name], SAMPLE[name]) for name in SAMPLE)
    safetensors.save_file(SAMPLE, tmp_path / "y.safetensors", {"k": "v"})
    ours = read_safetensors(tmp_path / "y.safetensors")
    assert all(np.array_equal(ours[name], SAMPLE[name]) for name in SAMPLE)
    assert read_metadata(tmp_path / "y.safetensors") == {"k": "v"}


def test_arrays_are_writable(tmp_path):
    write_safetensors(tmp_path / "x.safetensors", SAMPLE)
    read_safetensors(tmp_path / "x.safetensors")["a"][0, 0] = 7


def test_writing_is_all_or_nothing(tmp_path):
    target = tmp_path / "x.safetensors"
    write_safetensors(target, SAMPLE)
    before = target.read_bytes()
    with pytest.raises(EdgeSerError, match="complex"):
        write_safetensors(target, {"z": np.zeros(2, complex)})
    assert target.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]
    with pytest.raises(EdgeSerError, match="folder"):
        write_safetensors(tmp_path, SAMPLE)
    with pytest.raises(EdgeSerError, match="cannot write"):
        write_safetensors(tmp_path / "no" / "x.safetensors", SAMPLE)


def file_of(header, body=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + body


def entry(shape=(2,), offsets=(0, 8), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


HOSTILE = {
    "empty": b"",
    "short": b"\0" * 7,
    "header longer than the file": file_of({"a": entry()}, length=1 << 20),
    "header of 2**63 bytes": file_of({}, length=1 << 63),
    "not JSON": file_of(b"{not json"),
    "not UTF-8": file_of(b'{"\xff": 1}'),
    "a list": file_of([1]),
    "deep nesting": file_of(b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    "name twice": file_of(b'{"a":1,"a":1}'),
    "NaN": file_of(b'{"a":NaN}'),
    "a number of 5000 digits": file_of(b'{"a":' + b"9" * 5000 + b"}"),
    "overlap": file_of({"a": entry(), "b": entry(offsets=(4, 12))}, b"\0" * 12),
    "the same place": file_of({"a": entry(), "b": entry()}, b"\0" * 8),
    "hole": file_of({"a": entry(), "b": entry(offsets=(12, 20))}, b"\0" * 20),
    "does not begin at 0": file_of({"a": entry(offsets=(4, 12))}, b"\0" * 12),
    "beyond the file": file_of({"a": entry()}, b"\0" * 7),
    "trailing bytes": file_of({"a": entry()}, b"\0" * 9),
    "backwards": file_of({"a": entry(offsets=(8, 0))}, b"\0" * 8),
    "negative offset": file_of({"a": entry(offsets=(-8, 0))}, b"\0" * 8),
    "shape too large": file_of({"a": entry(shape=(2, 2))}, b"\0" * 8),
    "shape of 2**96 values": file_of({"a": entry(shape=(2**48 - 1,) * 2)}, b"\0" * 8),
    "negative shape": file_of({"a": entry(shape=(-2,))}, b"\0" * 8),
    "true as a size": file_of({"a": entry(shape=(True, 2))}, b"\0" * 8),
    "a float as a size": file_of({"a": entry(shape=(2.0,))}, b"\0" * 8),
    "hundred dimensions": file_of({"a": entry(shape=(1,) * 99 + (2,))}, b"\0" * 8),
    "unknown dtype": file_of({"a": entry(dtype="BF16")}, b"\0" * 8),
    "dtype of a wrong type": file_of({"a": entry(dtype=["F32"])}, b"\0" * 8),
    "lacks a place": file_of({"a": {"dtype": "F32", "shape": [2]}}, b"\0" * 8),
    "says too much": file_of({"a": {**entry(), "more": 1}}, b"\0" * 8),
    "entry is text": file_of({"a": "F32"}, b"\0" * 8),
    "neither true nor false": file_of({"a": entry(dtype="BOOL", offsets=(0, 2))}, b"\0\2"),
    "metadata of numbers": file_of({"__metadata__": {"a": 1}}),
    "metadata is a list": file_of({"__metadata__": []}),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_files_are_refused_with_a_sentence(data):
    with pytest.raises(EdgeSerError) as caught:
        unpack_tensors(data, "x.safetensors")
    sentence = str(caught.value)
    assert sentence.startswith("x.safetensors")
    assert "\n" not in sentence
    assert len(sentence) < 300


@settings(max_examples=400)
@given(st.integers(0, 2**32))
def test_mutations_never_crash(seed):
    chance = random.Random(seed)
    data = bytearray(pack_tensors(SAMPLE, {"k": "v"}))
    for _ in range(chance.randint(1, 4)):
        kind = chance.randrange(4)
        at = chance.randrange(len(data)) if data else 0
        if kind == 0 and data:
            data[at] = chance.randrange(256)
        elif kind == 1:
            data.insert(at, chance.choice(b'0123456789{}[]",:-.eE\0'))
        elif kind == 2 and data:
            del data[at : at + chance.randint(1, 8)]
        else:
            del data[len(data) - chance.randint(0, len(data)) :]
    try:
        tensors, _ = unpack_tensors(bytes(data), "x.safetensors")
    except EdgeSerError:
        return
    assert sum(array.nbytes for array in tensors.values()) <= len(data)


@pytest.mark.parametrize("name", ["missing.safetensors", "."])
def test_no_such_file(tmp_path, name):
    with pytest.raises(EdgeSerError, match="is not a file"):
        read_safetensors(tmp_path / name)


def test_names_and_metadata_that_cannot_be_written():
    with pytest.raises(EdgeSerError, match="name"):
        pack_tensors({"__metadata__": np.zeros(1)})
    with pytest.raises(EdgeSerError, match="text"):
        pack_tensors({}, {"a": 1})
