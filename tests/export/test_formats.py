"""The table of formats, and the files that its rows make."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import re
from pathlib import Path

import pytest

from edge_ser.bundle import FORMS, PRECISIONS, next_name
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.parity import LIMITS
from export.calibration import calibrate_on_sample
from export.formats import FORMATS, choose_formats, format_for
from export.source import Source
from firmware_py.engines import EVERY_ENGINE
from firmware_py.engines.micro_engine import Header
from tests.support import CONFIG, SPEC, random_weights, state_shapes, torch_model

ROOT = Path(__file__).resolve().parents[2]
INPUTS = ["features", *state_shapes()]
OUTPUTS = ["adv", "logits", *map(next_name, state_shapes())]


def test_rows_say_of_memory_what_was_measured():
    record = json.loads((ROOT / "results" / "export.json").read_text())
    held = {
        f"{row['format']}-{row['precision']}": row["working_memory"]["total"]
        for row in record["formats"]
        if row["working_memory"]
    }
    told = [row for row in FORMATS if "fp32's speed and memory" in row.device]
    assert told
    for row in told:
        assert held[row.key] <= 1.05 * held[f"{row.key.split('-')[0]}-fp32"], row.key


def test_rows_are_consistent():
    assert len({row.key for row in FORMATS}) == len(FORMATS)
    assert len({row.file for row in FORMATS}) == len(FORMATS)
    for row in FORMATS:
        assert row.engine in EVERY_ENGINE
        assert row.precision in PRECISIONS
        assert set(row.forms) <= set(FORMS) and bool(row.why_not) == (row.forms[:3] != FORMS[:3])
        assert row.limit == LIMITS[row.precision]
        assert row.device
        assert row.calibrated == row.precision.startswith("int8")


def test_what_is_slower_follows_from_the_record():
    """Rows say it, so that bundles do not depend on how busy a machine was; results/export.json is why they say it."""
    record = json.loads((ROOT / "results" / "export.json").read_text())
    time = {f"{row['format']}-{row['precision']}": row["latency_ms"] for row in record["formats"]}
    for row in FORMATS:
        whole = time.get(f"{row.name}-fp32")
        if whole is None or time[row.key] is None:
            assert not row.slower
            continue
        assert row.slower == (time[row.key]["p50"] > 1.05 * whole["p50"]), row.key


def test_choice():
    assert choose_formats("all") == FORMATS
    assert [row.key for row in choose_formats("tflite, NUMPY")] == ["numpy-fp32", "tflite-fp32"]
    assert choose_formats(["onnx-fp32", "onnx"]) == choose_formats("onnx")
    assert [row.key for row in choose_formats("c,pt2")] == ["c-int8-full", "pt2-fp32"]
    assert [row.key for row in choose_formats("int8-full")] == ["tflite-int8-full", "c-int8-full"]
    assert [row.key for row in choose_formats("int8,onnx")] == [
        "numpy-int8", "onnx-fp32", "onnx-int8", "tflite-int8"]  # fmt: skip
    with pytest.raises(EdgeSerError, match=r"no format 'tensorrt'; choose all or some of numpy-fp32"):
        choose_formats("numpy,tensorrt")
    with pytest.raises(EdgeSerError, match="no format is named"):
        choose_formats(" , ")


def test_the_row_of_an_engine():
    for row in FORMATS:
        assert format_for(row.engine, row.precision) is row
    with pytest.raises(EdgeSerError, match="nothing can be exported for numpy in fp16; there is numpy fp32"):
        format_for("numpy", "fp16")


@pytest.fixture(scope="module")
def made(full_bundle, int8_bundle):
    """Format's key to its file, and all that was printed while it was made; the model is the bundles'."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        source = Source(torch_model(random_weights()), calibrate_on_sample(SPEC, CONFIG["step_frames"]))
        files = {row.key: row.function(source) for row in FORMATS if row.refusal("step") is None}
    return files, printed.getvalue(), source


def test_the_same_model_gives_the_same_bytes(made, full_bundle, int8_bundle, host_bundle):
    for row in FORMATS:
        if row.key not in made[0]:
            continue
        there = (row.engine, row.precision)
        found = [one for one in (full_bundle, int8_bundle, host_bundle) if there in one.variants()]
        if row.name == "c":  # the array in the header
            again = Header.parse(host_bundle.file(*there).read_text(), "it").model
        else:
            again = found[0].file(*there).read_bytes() if found else row.function(made[2])
        assert again == made[0][row.key], row.key


def test_refusals():
    rows = {row.key: row for row in FORMATS}
    assert rows["onnx-fp32"].refusal("clip", "waveform") is None
    assert "no form 'clip': TFLite's memory" in rows["tflite-int8-full"].refusal("clip")
    assert rows["tflite-int8-full"].refusal("window") is None
    assert "takes no waveform: eight bits" in rows["c-int8-full"].refusal("window", "waveform")
    absent = dataclasses.replace(rows["pt2-fp32"], needs=("torch", "no_such_package"), optional=True)
    assert absent.refusal("step") == "pt2-fp32 needs no_such_package, which is not installed"


def test_nothing_of_the_machine_is_in_a_file(made, request):
    root = str(request.config.rootpath).encode()
    for key, data in made[0].items():
        assert root not in data, key
        assert not re.search(rb"/(home|root|tmp|usr|work)/|site-packages|\.py\b|stack_trace", data), key


def test_converters_print_nothing_that_is_not_explained(made):
    assert made[1] == ""


@pytest.mark.parametrize("key", [row.key for row in FORMATS if row.name == "onnx"])
def test_onnx_names_and_versions(made, key):
    onnx = pytest.importorskip("onnx")
    proto = onnx.load_from_string(made[0][key])
    onnx.checker.check_model(proto, full_check=True)
    assert [value.name for value in proto.graph.input] == INPUTS
    assert [value.name for value in proto.graph.output] == OUTPUTS
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", 20)]
    assert proto.ir_version == 9  # what ONNX Runtime 1.17 reads
    assert not proto.metadata_props
    assert not any(node.metadata_props or node.doc_string for node in proto.graph.node)


@pytest.mark.parametrize("key", [row.key for row in FORMATS if row.name == "tflite"])
def test_tflite_signature(made, key):
    runtime = pytest.importorskip("ai_edge_litert.interpreter")
    signatures = runtime.Interpreter(model_content=made[0][key]).get_signature_list()
    assert list(signatures) == ["serving_default"]
    assert sorted(signatures["serving_default"]["inputs"]) == sorted(INPUTS)
    assert sorted(signatures["serving_default"]["outputs"]) == sorted(OUTPUTS)


def test_rows_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        FORMATS[0].limit = 1.0
