"""Programs of `torch.export`."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.parity import engine_answers, hard_sounds, one_pass_answers
from export.metadata import about, read_metadata, renewed, with_metadata
from firmware_py.engines import choose_engine, open_engine
from firmware_py.engines.torch_engine import TorchEngine
from tests.support import features_of_sounds, manifest, source_of

torch = pytest.importorskip("torch")


def test_a_program_needs_no_source_code_of_ours(host_bundle):
    content = host_bundle.file("torch").read_bytes()
    program = torch.export.load(io.BytesIO(content))
    assert "edge_ser" not in str(program.graph)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for part in archive.infolist():
            assert part.date_time[:1] == (1980,)
            data = archive.read(part)
            assert not any(
                word in data for word in (b"/root", b"/work", b"site-packages", b"stack_trace", b".py")
            )


def test_answers_are_the_models(host_bundle):
    features = features_of_sounds({"noise": hard_sounds(4.0)["noise"]})["noise"]
    engine = open_engine(host_bundle, "torch")
    found = engine_answers(engine, features)
    np.testing.assert_allclose(found, one_pass_answers(source_of().model, features), atol=1e-5)
    # A state that was handed out is not written to again.
    state = engine.initial_state()
    _, after = engine.step(features[0], state)
    kept = [value.copy() for value in after]
    engine.step(features[1], after)
    for value, copy in zip(after, kept, strict=True):
        np.testing.assert_array_equal(value, copy)


def test_it_says_what_it_is(host_bundle):
    entries = about(manifest([]))
    content = host_bundle.file("torch").read_bytes()
    marked = with_metadata(content, "torch", entries)
    assert read_metadata(marked, "torch") == entries and read_metadata(content, "torch") == {}
    found = {"edge-ser.json": ""}
    torch.export.load(io.BytesIO(marked), extra_files=found)
    assert json.loads(found["edge-ser.json"]) == entries
    assert marked == with_metadata(content, "torch", entries)
    # another calibration: as if it had been written with it
    other = manifest([]) | {"calibration": {"temperature": 0.5, "unsure_below": 0.6}}
    assert renewed(marked, "torch", other) == with_metadata(content, "torch", about(other))


def test_a_spoilt_archive_is_one_sentence(host_bundle, tmp_path):
    content = host_bundle.file("torch").read_bytes()
    for number, data in enumerate((b"", content[:5000], b"PK\x03\x04" + bytes(200), content[::-1])):
        path = tmp_path / f"{number}.pt2"
        path.write_bytes(data)
        with pytest.raises(EdgeSerError, match=r"cannot load .*; export the bundle with this version"):
            TorchEngine(host_bundle, path, "fp32")


def test_executorch_where_it_is(host_bundle, tmp_path):
    """The same model again; the package is large, so most machines have it not."""
    pytest.importorskip("executorch", reason="executorch is not installed (extra 'executorch')")
    from edge_ser.bundle import write_bundle
    from export.to_executorch import to_executorch

    content = to_executorch(source_of())
    assert content == to_executorch(source_of())
    files = [{"path": "model.pte", "engine": "executorch", "precision": "fp32"}]
    bundle = write_bundle(tmp_path / "pte", manifest(files), {"model.pte": content})
    features = features_of_sounds({"noise": hard_sounds(4.0)["noise"]})["noise"]
    found = engine_answers(open_engine(bundle, "executorch"), features)
    np.testing.assert_allclose(found, one_pass_answers(source_of().model, features), atol=1e-4)


def test_auto_takes_a_boards_engine_first(host_bundle):
    assert choose_engine(host_bundle) == "numpy"
    assert choose_engine(host_bundle, "int8-full") == "litert"
