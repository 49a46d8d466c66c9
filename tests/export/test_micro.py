"""Eight bits throughout: the file, the C header around it, and what tflite-micro says of both."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest

from edge_ser.bundle import load_bundle
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.parity import LIMITS, compare, engine_answers, hard_sounds, one_pass_answers
from firmware_py.engines import open_engine
from firmware_py.engines.int8_tensors import Rounding, rounding_of
from firmware_py.engines.micro_engine import Header
from tests.support import CONFIG, SPEC, features_of_sounds, manifest, source_of, state_shapes

torch = pytest.importorskip("torch")

from export import flatbuffer  # noqa: E402
from export.metadata import renewed  # noqa: E402
from export.micro_step import MicroStep  # noqa: E402

KINDS = {"conv": 3, "depthwise": 4, "quantize": 114, "dequantize": 6, "exp": 47, "fully connected": 9}
INT8 = 9


@pytest.fixture(scope="module")
def header(host_bundle) -> Header:
    return Header.parse(host_bundle.file("micro", "int8-full").read_text(), "it")


def test_the_step_is_the_step():
    """Another way to keep the pool's window, not another model."""
    source = source_of()
    named = MicroStep(source.model, source.calibration.features)
    state = dict(zip(named.states, source.model.initial_state(1), strict=True))
    features = features_of_sounds({"voice-like": hard_sounds(8.0)["voice-like"]})["voice-like"]
    wanted = one_pass_answers(source.model, features)
    with torch.inference_mode():
        for step, row in zip(features, wanted, strict=True):
            found = named(features=torch.from_numpy(step)[None], **state)
            state = {name: found[f"{name}_next"] for name in named.states}
            answer = torch.cat([found["adv"], found["logits"]], 1)[0]
            np.testing.assert_allclose(answer, row, atol=2e-4)
            assert float(state["pool"].min()) >= 0 and float(state["pool"].max()) <= 1


def test_all_that_goes_in_and_out_is_bytes(host_bundle):
    graph = flatbuffer.read(host_bundle.file("litert", "int8-full").read_bytes())
    [part] = graph.subgraphs
    assert {part.tensors[index].type for index in (*part.inputs, *part.outputs)} == {INT8}
    names = {graph.operatorCodes[operation.opcodeIndex].builtinCode for operation in part.operators}
    assert {KINDS["conv"], KINDS["depthwise"]} <= names
    for operation in part.operators:
        kind = graph.operatorCodes[operation.opcodeIndex].builtinCode
        types = [part.tensors[index].type for index in (operation.inputs[0], *operation.outputs)]
        if kind in (KINDS["conv"], KINDS["depthwise"]):
            weight = part.tensors[operation.inputs[1]]
            channels = weight.shape[weight.quantization.quantizedDimension]
            assert types == [INT8, INT8] and len(weight.quantization.scale) == channels
        if kind in (KINDS["exp"], KINDS["fully connected"]):
            assert types == [0, 0]


@pytest.mark.parametrize("engine", ["litert", "micro"])
def test_answers_are_near_and_streams_do_not_mix(host_bundle, engine):
    opened = open_engine(host_bundle, engine, "int8-full")
    assert (opened.name, opened.precision) == (engine, "int8-full")
    assert {value.dtype for value in opened.initial_state()} == {np.dtype(np.int8)}
    assert [value.shape for value in opened.initial_state()] == list(state_shapes().values())
    sounds = {name: hard_sounds(6.0)[name] for name in ("voice-like", "silence")}
    features = features_of_sounds(sounds)
    alone = {name: engine_answers(opened, steps) for name, steps in features.items()}
    for name, steps in features.items():
        difference = compare(alone[name], one_pass_answers(source_of().model, steps), rounded=True)
        assert difference.within(LIMITS["int8-full"]), (name, difference)
    # Two streams in turns on one engine, each with its own state.
    states = {name: opened.initial_state() for name in features}
    for number in range(len(features["silence"])):
        for name, steps in features.items():
            outputs, states[name] = opened.step(steps[number], states[name])
            np.testing.assert_array_equal(np.concatenate(outputs), alone[name][number])


def test_the_header_says_what_the_model_is(host_bundle, header):
    text = host_bundle.file("micro", "int8-full").read_text()
    assert header.model == host_bundle.file("litert", "int8-full").read_bytes()
    assert [name for name, _, _ in header.inputs] == ["features", *state_shapes()]
    assert [name for name, _, _ in header.outputs][:2] == ["adv", "logits"]
    assert [size for _, size, _ in header.inputs][:2] == [1280, 128]
    for (_, _, goes), (_, _, comes) in zip(header.inputs[1:], header.outputs[2:], strict=True):
        assert goes == comes  # a state is copied as it is
    assert 50_000 < header.arena < 100_000
    for line in (
        f"#define EDGE_SER_N_MELS {SPEC.n_mels}",
        f"#define EDGE_SER_MEAN {SPEC.mean:.9e}f",
        '#define EDGE_SER_WINDOW "hann"',
        f"#define EDGE_SER_STEP_FRAMES {CONFIG['step_frames']}",
        '"neutral", "calm", "happy"',
        "#define EDGE_SER_TEMPERATURE 1.000000000e+00f /*",
        "#define EDGE_SER_UNSURE_BELOW 0.000000000e+00f",
        "Licence: Apache-2.0",
    ):
        assert line in text, line
    assert not any(part in text for part in ("/root", "/tmp", "/home", "site-packages"))


def test_the_header_is_calibrated_with_its_bundle(host_bundle):
    content = host_bundle.file("micro", "int8-full").read_bytes()
    found = renewed(
        content, "micro", manifest([]) | {"calibration": {"temperature": 0.5, "unsure_below": 0.6}}
    )
    changed = {
        new: old
        for old, new in zip(content.decode().split("\n"), found.decode().split("\n"), strict=True)
        if old != new
    }
    assert list(changed) == [
        "#define EDGE_SER_TEMPERATURE 5.000000000e-01f /* logits are divided by it */",
        "#define EDGE_SER_UNSURE_BELOW 6.000000000e-01f",
    ]
    assert renewed(found, "micro", manifest([])) == content


@pytest.mark.parametrize(("compiler", "standard"), [("gcc", "c99"), ("g++", "c++11")])
def test_the_header_compiles_and_holds_the_bytes(host_bundle, header, tmp_path, compiler, standard):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    source = tmp_path / ("main.c" if compiler == "gcc" else "main.cc")
    source.write_text(
        '#include "model.h"\n#include <stdio.h>\n'
        "int main(void) {\n"
        "  unsigned long sum = 0; int i;\n"
        "  for (i = 0; i < EDGE_SER_MODEL_BYTES; i++) sum += (unsigned long)(i % 251 + 1) * edge_ser_model[i];\n"
        '  printf("%lu %d %s %s %.9e %d %d %.3f %.3f\\n", sum, EDGE_SER_ARENA_BYTES, edge_ser_labels[2],'
        " edge_ser_inputs[0].name, (double)edge_ser_inputs[0].scale, (int)edge_ser_outputs[0].zero,"
        " (int)((unsigned long)edge_ser_model % 16), EDGE_SER_TEMPERATURE, EDGE_SER_UNSURE_BELOW);\n"
        "  return 0;\n}\n"
    )
    shutil.copy(host_bundle.file("micro", "int8-full"), tmp_path / "model.h")
    program = tmp_path / "main"
    strict = ["-Wall", "-Wextra", "-Werror", "-pedantic", f"-std={standard}"]
    built = subprocess.run(
        [compiler, *strict, str(source), "-o", str(program)], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr[-2000:]
    said = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout.split()
    weights = np.arange(len(header.model)) % 251 + 1
    assert int(said[0]) == int((np.frombuffer(header.model, np.uint8).astype(np.int64) * weights).sum())
    assert said[1:4] == [str(header.arena), "happy", "features"]
    assert float(said[4]) == pytest.approx(header.inputs[0][2].scale, rel=1e-7)
    assert int(said[5]) == header.outputs[0][2].zero and said[6] == "0"
    assert said[7:] == ["1.000", "0.000"]


def test_a_smaller_arena_is_refused(host_bundle, header):
    """So the number is what it takes, up to what is aligned."""
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime")
    runtime.Interpreter.from_bytes(header.model, arena_size=header.arena)
    with pytest.raises(RuntimeError):
        runtime.Interpreter.from_bytes(header.model, arena_size=header.arena * 9 // 10)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("edge_ser_inputs[9]", "other[9]"), "no header of edge-ser"),
        (lambda text: text.replace("0x00, ", "", 3), "not as many as it says"),
        (
            lambda text: text.replace("EDGE_SER_MODEL_BYTES 1", "EDGE_SER_MODEL_BYTES 2"),
            "not as many as it says",
        ),
        (lambda text: text.replace('{"features", 1280', '{"features", 1281'), "features of 1281 bytes"),
        (lambda text: text.replace('{"stem0", ', '{"stem9", '), "stem9 of 128 bytes"),
    ],
)
def test_headers_that_are_not_ours(host_bundle, tmp_path, change, words):
    from firmware_py.engines.micro_engine import MicroEngine

    path = tmp_path / "model.h"
    path.write_text(change(host_bundle.file("micro", "int8-full").read_text()))
    with pytest.raises(EdgeSerError, match=words):
        MicroEngine(host_bundle, path, "int8-full")


def test_bytes_and_numbers():
    kind = Rounding(0.5, -3)
    values = np.array([0.0, 0.24, 0.26, -100.0, 100.0], np.float32)
    np.testing.assert_array_equal(kind.bytes_of(values), np.array([-3, -3, -2, -128, 127], np.int8))
    np.testing.assert_allclose(kind.values_of(kind.bytes_of(values)), [0, 0, 0.5, -62.5, 65.0])
    assert rounding_of(np.float32, [], [], "x") is None
    for wrong in (
        (np.int16, [1.0], [0]),
        (np.int8, [1.0, 2.0], [0, 0]),
        (np.int8, [0.0], [0]),
        (np.int8, [], []),
    ):
        with pytest.raises(EdgeSerError, match="neither float32 nor int8 with one scale"):
            rounding_of(*wrong, "x")


def test_older_versions_cannot_read_such_bundles(host_bundle):
    assert json.loads((host_bundle.path / "bundle.json").read_text())["version"] == 4
    assert load_bundle(host_bundle.path).variants() == [
        ("numpy", "fp32"), ("litert", "int8-full"), ("micro", "int8-full"), ("torch", "fp32")]  # fmt: skip
