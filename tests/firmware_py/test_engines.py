"""Every engine: the same answers within float32's rounding, the same bits each time, errors that say what to do."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest

from edge_ser.bundle import load_bundle
from edge_ser.errors import EdgeSerError, MissingExtraError
from firmware_py.engines import ENGINES, choose_engine, open_engine
from firmware_py.engines.numpy_stream72k import Stream72kNet
from tests.support import CONFIG, make_bundle, random_weights


def run_steps(engine, features):
    state = engine.initial_state()
    answers = []
    for step in features:
        outputs, state = engine.step(step, state)
        answers.append(np.concatenate([outputs.adv, outputs.logits]))
    return np.array(answers), state


@pytest.fixture(scope="module")
def features():
    return np.random.default_rng(3).normal(0, 1, (45, 20, 64)).astype(np.float32)


@pytest.mark.parametrize("name", ENGINES)
def test_shapes_types_and_bits(full_bundle, features, name):
    engine = open_engine(full_bundle, name)
    assert (engine.name, engine.precision) == (name, "fp32")
    before = features.copy()
    once, last = run_steps(engine, features)
    again, _ = run_steps(engine, features)
    fresh, _ = run_steps(open_engine(full_bundle, name), features)
    assert once.dtype == np.float32 and once.shape == (45, 3 + len(full_bundle.labels))
    assert np.isfinite(once).all() and (once[:, :3] > 0).all() and (once[:, :3] < 1).all()
    assert once.tobytes() == again.tobytes() == fresh.tobytes()
    assert features.tobytes() == before.tobytes()
    assert [array.shape for array in last] == [state.shape for state in full_bundle.states]


@pytest.mark.parametrize("name", ENGINES)
def test_int8_gives_the_same_bits_and_float_states(int8_bundle, features, name):
    engine = open_engine(int8_bundle, name, "int8")
    assert (engine.name, engine.precision) == (name, "int8")
    once, last = run_steps(engine, features)
    fresh, _ = run_steps(open_engine(int8_bundle, name, "int8"), features)
    assert once.tobytes() == run_steps(engine, features)[0].tobytes() == fresh.tobytes()
    assert [array.shape for array in last] == [state.shape for state in int8_bundle.states]
    assert {array.dtype for array in last} == {np.dtype(np.float32)}
    outputs, state = engine.step(features[0], engine.initial_state())
    kept = [array.copy() for array in (*outputs, *state)]
    engine.step(features[1], state)
    assert all(
        array.tobytes() == copy.tobytes() for array, copy in zip((*outputs, *state), kept, strict=True)
    )


def test_auto_finds_int8(int8_bundle):
    assert choose_engine(int8_bundle, "int8") == "litert"
    assert open_engine(int8_bundle, "auto", "int8").precision == "int8"


def test_a_precision_that_is_not_named_is_the_one_that_the_bundle_prefers(int8_bundle):
    assert open_engine(int8_bundle).precision == open_engine(int8_bundle, "numpy").precision == "fp32"
    told = dataclasses.replace(int8_bundle, preferred={"onnx": "int8"})
    assert open_engine(told, "onnx").precision == "int8"
    with pytest.raises(EdgeSerError, match="no model file for onnx fp32"):
        open_engine(told, "onnx", "fp32")
    assert open_engine(told, "numpy").precision == "fp32"
    alone = tuple(f for f in told.files if f.engine == "onnx" and f.precision == "int8")
    small = dataclasses.replace(told, files=alone)
    assert choose_engine(small) == "onnx" and open_engine(small).precision == "int8"
    assert choose_engine(dataclasses.replace(small, preferred={})) == "onnx"  # there is nothing else
    with pytest.raises(EdgeSerError, match="has no fp32 file; it has onnx int8"):
        choose_engine(small, "fp32")
    unknown = tuple(dataclasses.replace(f, engine="abacus") for f in alone)
    with pytest.raises(EdgeSerError, match="in what it prefers; the bundle holds abacus int8"):
        choose_engine(dataclasses.replace(small, files=unknown, preferred={}))


def test_int8_weights_are_not_taken_for_float_ones(int8_bundle):
    engine = type(open_engine(int8_bundle, "numpy"))
    with pytest.raises(EdgeSerError, match="does not know: .*scale"):
        engine(int8_bundle, int8_bundle.file("numpy", "int8"), "fp32")
    with pytest.raises(EdgeSerError, match="not a whole safetensors file"):
        engine(int8_bundle, int8_bundle.file("onnx", "int8"), "int8")


@pytest.mark.parametrize("name", [name for name in ENGINES if name != "numpy"])
def test_agrees_with_numpy(full_bundle, features, name):
    ours, our_state = run_steps(open_engine(full_bundle, "numpy"), features)
    theirs, their_state = run_steps(open_engine(full_bundle, name), features)
    assert np.abs(ours - theirs).max() < 1e-4
    for one, other in zip(our_state, their_state, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ENGINES)
def test_a_state_given_out_is_never_written_to(full_bundle, features, name):
    engine = open_engine(full_bundle, name)
    outputs, state = engine.step(features[0], engine.initial_state())
    kept = [array.copy() for array in (*outputs, *state)]
    later, _ = engine.step(features[1], state)
    engine.step(features[2], engine.initial_state())
    for array, copy in zip((*outputs, *state), kept, strict=True):
        assert array.tobytes() == copy.tobytes()
    # and so two streams may take turns
    assert engine.step(features[1], state)[0].logits.tobytes() == later.logits.tobytes()


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"stem": [4, 8]},
        {"halve": 1},
        {"halve": 1, "phases": 2},
        {"phases": 2},
        {"stem": [4, 4, 8], "halve": 0},
        {"channels": 64, "heads": 2},
        {"dilations": [1, 3]},
        {"kernel": 3, "window_segments": 7},
    ],
    ids=str,
)
def test_numpy_is_the_torch_model(features, change):
    torch = pytest.importorskip("torch")
    from edge_ser.models.stream72k import Stream72k, Stream72kConfig

    config = CONFIG | change
    weights = random_weights(1, config)
    model = Stream72k(Stream72kConfig.from_dict(config), folded=True).eval()
    model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    net = Stream72kNet(weights, config)
    assert net.state_shapes == tuple(tuple(state.shape) for state in model.initial_state())
    with torch.no_grad():
        adv, logits = model(torch.from_numpy(features.reshape(1, -1, 64)))
    state = tuple(np.zeros(shape, np.float32) for shape in net.state_shapes)
    for i, step in enumerate(features):
        outputs, state = net.step(step, state)
        assert np.abs(outputs.adv - adv[0, i].numpy()).max() < 1e-4
        assert np.abs(outputs.logits - logits[0, i].numpy()).max() < 1e-4


def test_numpy_refuses_weights_that_do_not_fit():
    weights = random_weights()
    missing = {name: value for name, value in weights.items() if name != "mix.conv.bias"}
    with pytest.raises(EdgeSerError, match=r"no tensor mix\.conv\.bias"):
        Stream72kNet(missing, CONFIG)
    with pytest.raises(EdgeSerError, match=r"attend\.bias has the shape \(7,\)"):
        Stream72kNet(weights | {"attend.bias": np.zeros(7, np.float32)}, CONFIG)
    with pytest.raises(EdgeSerError, match="does not know: extra"):
        Stream72kNet(weights | {"extra": np.zeros(1, np.float32)}, CONFIG)


@pytest.mark.parametrize("key", [*CONFIG, "halve", "phases"])
def test_numpy_names_what_is_wrong_in_config(key):
    weights = random_weights()
    if key in CONFIG:
        with pytest.raises(EdgeSerError, match=rf"bundle\.json is damaged \(config\.{key} must be"):
            Stream72kNet(weights, {name: value for name, value in CONFIG.items() if name != key})
    wrong = [None, True, -5, 1e300, 10**9, "ab", [], [0], [2.5], [10**9], ["a", "a"], {}, {"a": 1}]
    for value in wrong:
        if value == [] and key in ("stem", "dilations"):
            continue  # the weights hold more than that
        with pytest.raises(EdgeSerError, match=rf"bundle\.json is damaged \(config\.{key} must be"):
            Stream72kNet(weights, CONFIG | {key: value})


def test_numpy_refuses_what_config_cannot_ask_for():
    with pytest.raises(EdgeSerError, match=r"config\.heads must be a divisor of channels, 96"):
        Stream72kNet(random_weights(), CONFIG | {"heads": 5})
    with pytest.raises(EdgeSerError, match=r"config\.bound must be a number from 0\.001 to 80"):
        Stream72kNet(random_weights(), CONFIG | {"bound": 0})
    wide = CONFIG | {"stem": [256], "step_frames": 4096}  # each is possible, and both are gigabytes in places
    with pytest.raises(EdgeSerError, match=r"33554432 numbers at once: its step_frames, .* at most 16777216"):
        Stream72kNet(random_weights(0, wide), wide)


def test_unknown_engine_and_precision(numpy_bundle):
    with pytest.raises(
        EdgeSerError,
        match="unknown engine 'tpu'; choose one of litert, onnx, numpy, torch, executorch, micro, auto",
    ):
        open_engine(numpy_bundle, "tpu")
    with pytest.raises(EdgeSerError, match="no model file for numpy int8; it has: numpy fp32"):
        open_engine(numpy_bundle, "numpy", "int8")
    with pytest.raises(EdgeSerError, match="^tiny has no int8 file; it has numpy fp32: choose one of these"):
        open_engine(numpy_bundle, "auto", "int8")


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [("litert", "ai_edge_litert.interpreter", "litert"), ("onnx", "onnxruntime", "onnx")],
)
def test_a_missing_package_is_named(full_bundle, monkeypatch, name, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'edge-ser\[{extra}\]'"):
        open_engine(full_bundle, name)


def test_auto_takes_the_first_that_is_here(full_bundle, numpy_bundle, monkeypatch):
    assert choose_engine(numpy_bundle) == "numpy"
    assert choose_engine(full_bundle) == "litert"
    there = {"onnxruntime"}
    monkeypatch.setattr("firmware_py.engines.find_spec", lambda name: name in there or None)
    assert choose_engine(full_bundle) == "onnx"
    there.clear()
    assert choose_engine(full_bundle) == open_engine(full_bundle).name == "numpy"


def test_tflite_runtime_is_not_trusted_with_int8(full_bundle, monkeypatch):
    from firmware_py.engines import litert_engine

    monkeypatch.setattr(litert_engine, "find_spec", lambda name: name == "tflite_runtime" or None)
    # as an extra that is missing, so that `verify` and `bench` go on with what runs here
    with pytest.raises(MissingExtraError, match="tflite_runtime gives wrong answers on int8"):
        litert_engine.LiteRTEngine(full_bundle, full_bundle.file("litert"), "int8")


def test_auto_passes_by_what_tflite_runtime_gets_wrong(full_bundle, int8_bundle, monkeypatch):
    monkeypatch.setattr("firmware_py.engines.find_spec", lambda name: name == "tflite_runtime" or None)
    assert choose_engine(full_bundle) == "litert"  # fp32 is right on it
    assert choose_engine(int8_bundle, "int8") == "numpy"
    alone = dataclasses.replace(
        int8_bundle, files=tuple(file for file in int8_bundle.files if file.engine == "litert")
    )
    with pytest.raises(
        EdgeSerError, match=r"no engine installed here runs .* litert int8: .*edge-ser\[litert\]"
    ):
        choose_engine(alone)
    with pytest.raises(EdgeSerError, match="no engine installed here runs .* in int8; .*pip install"):
        choose_engine(alone, "int8")


@pytest.mark.parametrize("name", [name for name in ENGINES if name != "numpy"])
def test_a_file_of_another_shape_is_refused(full_bundle, tmp_path, name):
    other = make_bundle(tmp_path / "other", config=CONFIG | {"window_segments": 8})
    path = full_bundle.file(name)
    engine = type(open_engine(full_bundle, name))
    with pytest.raises(EdgeSerError, match="shape .* bundle.json declares .* for pool"):
        engine(other, path, "fp32")


@pytest.mark.parametrize("name", [name for name in ENGINES if name != "numpy"])
def test_a_file_that_is_no_model_is_refused(full_bundle, tmp_path, name, capfd):
    path = tmp_path / "model"
    path.write_bytes(b"not a model" * 100)
    engine = type(open_engine(full_bundle, name))
    with pytest.raises(EdgeSerError, match=f"cannot load {path}"):
        engine(full_bundle, path, "fp32")


def test_litert_is_quiet(full_bundle, capfd):
    open_engine(full_bundle, "litert").initial_state()
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(os.name != "posix", reason="closes a descriptor as a POSIX shell does")
@pytest.mark.parametrize("closing", ["pass", "os.close(2)"], ids=["open", "closed"])
def test_litert_loads_where_there_is_no_standard_error(closing):
    pytest.importorskip("ai_edge_litert", reason="ai_edge_litert is not installed (extra 'litert')")
    code = (
        f"import os, sys; sys.stderr = None; {closing}\n"
        "from edge_ser.bundle import load_bundle; from firmware_py.engines import open_engine\n"
        "print(open_engine(load_bundle('stream72k'), 'litert').name)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (run.returncode, run.stdout.strip(), run.stderr) == (0, "litert", "")


def test_a_bundle_of_unknown_architecture(numpy_bundle):
    import dataclasses

    foreign = dataclasses.replace(load_bundle(numpy_bundle.path), architecture="wav2vec9")
    with pytest.raises(EdgeSerError, match="does not know the architecture 'wav2vec9'"):
        open_engine(foreign, "numpy")
