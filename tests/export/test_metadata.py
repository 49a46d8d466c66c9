"""Name, labels, front end and licence inside model files: read back, the same bytes twice, the same answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge_ser import __version__
from edge_ser.bundle import SHIPPED, load_bundle, write_bundle
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.parity import device_answers, hard_sounds, inputs_of
from export.metadata import about, read_metadata, renewed, with_metadata
from firmware_py.engines import open_engine

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("ai_edge_litert")

BUNDLE = load_bundle("stream72k")
MODELS = Path(__file__).parents[2] / "models"
MANIFEST = json.loads((BUNDLE.path / "bundle.json").read_text())


def test_entries():
    entries = about(MANIFEST)
    assert entries["name"] == "stream72k" and entries["licence"] == MANIFEST["licence"]
    assert json.loads(entries["labels"]) == list(BUNDLE.labels)
    assert json.loads(entries["spec"]) == BUNDLE.spec.to_dict()
    assert entries["edge_ser"] == __version__
    assert "window" not in entries  # it streams


@pytest.mark.parametrize("engine", ["onnx", "litert"])
def test_written_and_read_back(engine, tmp_path):
    content = BUNDLE.file(engine).read_bytes()
    entries = about(MANIFEST)
    marked = with_metadata(content, engine, entries)
    assert read_metadata(marked, engine) == entries
    assert with_metadata(content, engine, entries) == marked == with_metadata(marked, engine, entries)
    other = with_metadata(marked, engine, {"name": "other", "licence": "é"})
    assert read_metadata(other, engine) == {"name": "other", "licence": "é"}
    # The network is the same: its answers are, to the bit.
    file = BUNDLE.model_file(engine).path
    manifest = MANIFEST | {"files": [{"path": file, "engine": engine, "precision": "fp32"}], "preferred": {}}
    inputs = inputs_of(BUNDLE, {"noise": hard_sounds(2.0)["noise"]})["noise"]
    answers = [
        device_answers(open_engine(write_bundle(tmp_path / name, manifest, {file: data}), engine), inputs)
        for name, data in (("plain", content), ("marked", marked))
    ]
    assert np.array_equal(*answers)


def test_files_of_other_engines_stay_as_they_are():
    assert with_metadata(b"anything", "numpy", {"name": "x"}) == b"anything"


def test_a_file_without_entries_has_none():
    import onnx

    empty = onnx.ModelProto(ir_version=9).SerializeToString()
    assert read_metadata(empty, "onnx") == {}
    bare = with_metadata(BUNDLE.file("litert").read_bytes(), "litert", {})
    assert read_metadata(bare, "litert") == {}


OTHER = MANIFEST | {"calibration": {"temperature": 0.5, "unsure_below": 0.6, "fitted_on": "é"}}


@pytest.mark.parametrize("engine", ["onnx", "litert"])
def test_what_was_changed_in_the_bundle_is_changed_in_its_file(engine):
    content = with_metadata(BUNDLE.file(engine).read_bytes(), engine, about(MANIFEST) | {"edge_ser": "0.0.1"})
    assert renewed(content, engine, MANIFEST) is content
    changed = renewed(content, engine, OTHER)
    assert read_metadata(changed, engine) == about(OTHER) | {"edge_ser": "0.0.1"}
    assert renewed(changed, engine, MANIFEST) == content  # and nothing else is


def test_what_says_nothing_of_itself_or_is_no_such_file():
    for engine in (None, "numpy", "executorch"):
        assert renewed(b"anything", engine, OTHER) == b"anything"
    bare = with_metadata(BUNDLE.file("onnx").read_bytes(), "onnx", {})
    assert renewed(bare, "onnx", OTHER) is bare
    for engine in ("onnx", "litert", "torch"):
        with pytest.raises(EdgeSerError, match=f"what the {engine} file says of itself"):
            renewed(b"anything", engine, OTHER)
    with pytest.raises(EdgeSerError, match="defines EDGE_SER_TEMPERATURE 0 times"):
        renewed(b"anything", "micro", OTHER)


@pytest.mark.parametrize(
    "folder",
    sorted(path.parent for root in (SHIPPED, MODELS) for path in root.glob("*/bundle.json")),
    ids=lambda p: p.name,
)
def test_files_of_the_repository_say_what_their_bundles_say(folder):
    manifest = json.loads((folder / "bundle.json").read_text())
    for file in load_bundle(folder).files:
        content = (folder / file.path).read_bytes()
        assert renewed(content, file.engine, manifest) is content
        if file.engine in ("onnx", "litert"):
            assert read_metadata(content, file.engine)["name"] == manifest["name"]
