"""Model files that were changed are refused by their hash, before any runtime's parser sees a byte of them."""

from __future__ import annotations

import random

import pytest

from edge_ser.bundle import load_bundle
from edge_ser.errors import EdgeSerError
from firmware_py.engines import open_engine

MUTATIONS = 1000


@pytest.mark.parametrize("engine", ["numpy", "onnx", "litert", "torch", "micro"])
def test_a_thousand_mutations_of_a_file_are_refused(request, tmp_path, engine):
    bundle = request.getfixturevalue("host_bundle" if engine in ("torch", "micro") else "full_bundle")
    precision = "int8-full" if engine == "micro" else "fp32"
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in bundle.path.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    path = folder / bundle.file(engine, precision).name
    whole = path.read_bytes()
    chance = random.Random(f"{engine} 6")
    for _ in range(MUTATIONS):
        data = bytearray(whole)
        kind = chance.randrange(4)
        at = chance.randrange(len(data))
        if kind == 0:  # a bit
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:  # cut off
            del data[at:]
        elif kind == 2:  # something added
            data[at:at] = chance.randbytes(chance.randint(1, 64))
        else:  # a block of something else
            data[at : at + 64] = bytes(len(data[at : at + 64])) if any(data[at : at + 64]) else b"\xff"
        path.write_bytes(data)
        with pytest.raises(EdgeSerError, match=r"is damaged") as caught:
            load_bundle(folder)
        assert "\n" not in str(caught.value) and path.name in str(caught.value)
    path.write_bytes(whole)
    assert open_engine(load_bundle(folder), engine, precision).name == engine


def test_a_file_that_grew_to_gigabytes_is_not_read(full_bundle, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in full_bundle.path.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    with (folder / full_bundle.file("onnx").name).open("r+b") as stream:
        stream.truncate(1 << 33)  # sparse: no disk is filled
    with pytest.raises(EdgeSerError, match=str(1 << 33)):
        load_bundle(folder)
