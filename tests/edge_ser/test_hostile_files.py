"""Model files that were changed are refused by their hash, before any runtime's parser sees a byte of them."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from edge_ser.bundle import load_bundle
from edge_ser.errors import EdgeSerError
from firmware_py.engines import open_engine
from tests.support import manifest

MUTATIONS = 1000


@pytest.mark.parametrize(
    ("holder", "engine", "precision"),
    [
        ("full_bundle", "numpy", "fp32"),
        ("full_bundle", "onnx", "fp32"),
        ("full_bundle", "litert", "fp32"),
        ("int8_bundle", "numpy", "int8"),
        ("int8_bundle", "onnx", "int8"),
        ("int8_bundle", "litert", "int8"),
        ("host_bundle", "litert", "int8-full"),
        ("host_bundle", "micro", "int8-full"),
        ("host_bundle", "torch", "fp32"),
    ],
)
def test_a_thousand_mutations_of_a_file_are_refused(request, tmp_path, holder, engine, precision):
    bundle = request.getfixturevalue(holder)
    folder = tmp_path / "copy"
    folder.mkdir()
    path = folder / bundle.file(engine, precision).name
    # without the other engines' files, which would be read a thousand times as well
    entries = json.loads((bundle.path / "bundle.json").read_text())
    entries["files"] = [one for one in entries["files"] if one["path"] in (path.name, bundle.card.name)]
    (folder / "bundle.json").write_text(json.dumps(entries))
    for one in entries["files"]:
        (folder / one["path"]).write_bytes((bundle.path / one["path"]).read_bytes())
    refuse_mutations(folder, path, f"{engine} {precision} 6")
    assert open_engine(load_bundle(folder), engine, precision).name == engine


def refuse_mutations(folder, path, seed):
    """Change a file of a bundle a thousand times; it is left as it was."""
    whole = path.read_bytes()
    chance = random.Random(seed)
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


def test_a_pipelines_file_is_refused_as_well(tmp_path):
    pytest.importorskip("skl2onnx", reason="skl2onnx is not installed (extra 'export')")
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from edge_ser.bundle import write_bundle
    from edge_ser.dsp import MelSpec
    from export.pipelines import pipeline_to_onnx

    x = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    model = make_pipeline(LogisticRegression()).fit(x, np.where(x[:, 0] > 0, "angry", "sad"))
    content = pipeline_to_onnx(model, 5, decides=False)
    config = {"labels": ["angry", "sad"]}
    entries = manifest([{"path": "model.onnx", "engine": "onnx", "precision": "fp32", "form": "vector"}])
    entries |= {
        "architecture": "pipeline",
        "config": config,
        "labels": config["labels"],
        "spec": MelSpec().to_dict(),
        "states": [],
        "inputs": [{"name": "vector", "shape": [1, 5], "dtype": "float32"}],
        "vector": {"name": "speech", "description": {}, "size": 5},
    }
    entries["outputs"] = [entries["outputs"][0], {"name": "logits", "shape": [1, 2], "dtype": "float32"}]
    bundle = write_bundle(tmp_path / "vector", entries, {"model.onnx": content})
    refuse_mutations(bundle.path, bundle.file("onnx"), "vector 6")
    outputs, state = open_engine(load_bundle(bundle.path), "onnx").step(x[0], ())
    assert outputs.logits.shape == (2,) and state == ()


def test_a_file_that_grew_to_gigabytes_is_not_read(full_bundle, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in full_bundle.path.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    with (folder / full_bundle.file("onnx").name).open("r+b") as stream:
        stream.truncate(1 << 33)  # sparse: no disk is filled
    with pytest.raises(EdgeSerError, match=str(1 << 33)):
        load_bundle(folder)
