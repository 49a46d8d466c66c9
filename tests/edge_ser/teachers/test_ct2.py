"""The reader of CTranslate2's files: what was packed comes back, and damage is said."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_ser.errors import EdgeSerError
from edge_ser.teachers.ct2 import read_ct2
from tests.edge_ser.teachers.small import pack_ct2

ARRAYS = st.sampled_from([np.float32, np.int8, np.int16, np.int32, np.float16]).flatmap(
    lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=0, max_dims=3, max_side=4))
)
VARIABLES = st.dictionaries(st.text("abc/_0", min_size=1, max_size=9), ARRAYS, max_size=4)


@settings(max_examples=60)
@given(VARIABLES)
def test_what_was_packed_comes_back(tmp_path_factory, variables):
    path = tmp_path_factory.mktemp("ct2") / "model.bin"
    path.write_bytes(pack_ct2(variables))
    found = read_ct2(path)
    assert set(found) == set(variables)
    for name, value in variables.items():
        assert found[name].dtype == value.dtype and found[name].shape == value.shape
        np.testing.assert_array_equal(found[name], value)
    assert set(read_ct2(path, "a")) == {name for name in variables if name.startswith("a")}


WHOLE = pack_ct2({"encoder/a": np.arange(6, dtype=np.float32).reshape(2, 3), "encoder/b": np.int16(3)})


@pytest.mark.parametrize("size", [0, 3, 5, 20, 40, 60])
def test_a_file_that_was_cut_off_is_said(tmp_path, size):
    path = tmp_path / "model.bin"
    path.write_bytes(WHOLE[:size])
    with pytest.raises(EdgeSerError, match="model.bin ends in the middle of a variable; get a fresh copy"):
        read_ct2(path)


@pytest.mark.parametrize(
    ("at", "value", "says"),
    [
        (0, struct.pack("<I", 5), r"version 6 \(its first number is 5\)"),
        (38, b"\x09", "'encoder/a' would have 9 dimensions"),
        (47, b"\x07", "'encoder/a' of type 7"),
        (39, struct.pack("<I", 3), "has 24 bytes"),
    ],
)
def test_damage_is_said(tmp_path, at, value, says):
    path = tmp_path / "model.bin"
    path.write_bytes(WHOLE[:at] + value + WHOLE[at + len(value) :])
    with pytest.raises(EdgeSerError, match=says):
        read_ct2(path)


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(EdgeSerError, match="cannot read .*give faster-whisper's model.bin"):
        read_ct2(tmp_path / "model.bin")
