"""Networks that hear a window as a whole: exported, gated, driven by engines and commands like those that stream."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from edge_ser.bundle import load_bundle
from edge_ser.cli import main
from edge_ser.dsp import log_mel
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.parity import hard_sounds, recordings
from edge_ser.manifest import least_version
from edge_ser.recognizer import Recognizer
from export.formats import choose_formats
from export.metadata import read_metadata
from firmware_py.engines import open_engine
from firmware_py.engines.window import WindowEngine, filled

torch = pytest.importorskip("torch")
for module in (
    "onnxscript",
    "litert_torch",
    "ai_edge_quantizer",
    "onnxruntime",
    "ai_edge_litert",
    "tflite_micro",
):
    pytest.importorskip(module, reason=f"{module} is not installed (extra 'export')")

from edge_ser.models import ARCHITECTURES, build_model  # noqa: E402
from edge_ser.models.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from export.exporter import export_checkpoint  # noqa: E402
from export.source import Source  # noqa: E402
from export.to_onnx_int8 import to_onnx_int8  # noqa: E402
from export.window import plan_window  # noqa: E402

LABELS = ["angry", "happy", "neutral", "sad"]
SOUNDS = hard_sounds(3.0)


def save(name, folder):
    """A network of random weights whose batch statistics are those of sound, so that its answers are of its size."""
    torch.manual_seed(5)
    config = ARCHITECTURES[name].config(tuple(LABELS)).to_dict()
    model = build_model(name, config).train()
    with torch.no_grad():
        for wave in hard_sounds(2.0).values():
            features = torch.from_numpy(model.heard(wave, model.spec))[None].repeat(2, 1, 1)
            model.pool(features + 0.01 * torch.randn_like(features), torch.tensor([features.shape[1]] * 2))
        model.adv.weight.mul_(0.1)
    path = folder / f"{name}.safetensors"
    meta = {"architecture": name, "config": config, "spec": model.spec.to_dict()}
    save_checkpoint(
        path, model.eval(), meta | {"training": {"licence": "none", "adv_source": "raters of nobody"}}
    )
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save("wav2small-17k", tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory):
    """All formats of a network that takes waveforms of 1 s: its rows and its bundle."""
    out = tmp_path_factory.mktemp("bundle") / "small"
    return export_checkpoint(
        checkpoint, out, choose_formats("all"), SOUNDS, calibrate="sample", feeding={"window_s": 1.0}
    )


def test_every_row_is_made_or_says_why_not(exported):
    rows, bundle = exported
    assert bundle is not None
    for row in rows:
        assert row.ok == row.applies, row.worst
        reasons = ("no form 'window'", "takes no waveform: eight bits", "which is not installed")
        assert row.ok or any(reason in row.worst for reason in reasons)
        if row.format.precision == "fp32" and row.ok:
            assert row.error.largest < 2e-5
    assert {row.format.engine for row in rows if row.ok} - {"executorch"} == {"onnx", "litert", "torch"}
    assert all(file.form == "window" for file in bundle.files if file.engine is not None)
    assert [spec.name for spec in bundle.inputs] == ["waveform"] and bundle.inputs[0].shape == (1, 16000)
    assert bundle.states == () and bundle.hears == "samples" and bundle.window.normalise == "unit_power"
    assert json.loads((bundle.path / "bundle.json").read_text())["version"] == 4  # of the torch file
    assert "1 s, heard as a whole" in bundle.card.read_text()
    model = build_model(bundle.architecture, bundle.config)
    assert (
        bundle.macs_per_second == model.macs_per_second(bundle.spec) * 4
    )  # the window again at each quarter second


def test_every_file_says_what_it_is(exported):
    _, bundle = exported
    for file in bundle.files:
        if file.engine is not None:
            entries = read_metadata((bundle.path / file.path).read_bytes(), file.engine)
            assert json.loads(entries["labels"]) == LABELS and entries["licence"] == bundle.licence
            assert json.loads(entries["window"]) == {"samples": 16000, "normalise": "unit_power"}


@pytest.mark.parametrize("engine", ["onnx", "litert"])
def test_answers_are_those_of_the_trained_network(exported, checkpoint, engine):
    """The last second of what was heard, and a shorter beginning as often as it takes to fill one."""
    _, bundle = exported
    model, _ = load_checkpoint(checkpoint)
    wave = hard_sounds(2.5)["voice-like"]
    answers = Recognizer(bundle, open_engine(bundle, engine)).stream().push(wave)
    assert len(answers) == 10
    for number, answer in enumerate(answers, 1):
        heard = wave[: number * 4000][-16000:]
        window = (
            np.tile(heard, 4)[-16000:] if number < 4 and 16000 % len(heard) == 0 else filled(heard, 16000)
        )
        features = torch.from_numpy(log_mel(model.prepare(window), model.spec))[None]
        with torch.no_grad():
            adv, logits = model.clip(features, torch.tensor([features.shape[1]]))
        np.testing.assert_allclose(
            [answer.arousal, answer.dominance, answer.valence], adv[0].clip(0, 1), atol=2e-5
        )
        shares = torch.softmax(logits[0].double(), 0).numpy()
        np.testing.assert_allclose(list(answer.emotion.values()), shares, atol=2e-5)
        assert answer.start == max(0, number * 4000 - 16000) and answer.end == number * 4000


@pytest.mark.parametrize("size", [1, 777, 4000, 40000])
def test_chunks_make_no_difference(exported, size):
    wave = hard_sounds(1.0 if size == 1 else 2.5)["noise"]
    recognizer = Recognizer.load(exported[1].path, "onnx")
    whole = recognizer.stream().push(wave)
    stream = recognizer.stream()
    found = [p for start in range(0, len(wave), size) for p in stream.push(wave[start : start + size])]
    assert found == whole and whole


def test_streams_share_an_engine(exported):
    recognizer = Recognizer.load(exported[1].path, "onnx")
    one, other = recognizer.stream(), recognizer.stream()
    sounds = hard_sounds(1.5)
    mixed = []
    for start in range(0, 24000, 4000):
        mixed += one.push(sounds["noise"][start : start + 4000])
        other.push(sounds["click"][start : start + 4000])
    assert mixed == recognizer.stream().push(sounds["noise"])


@pytest.mark.parametrize(
    ("name", "feeding"),
    [
        ("wav2small-72k", {"form": "clip"}),
        ("wav2small-17k", {"form": "clip", "takes": "features"}),
        ("mobilenetv4-s", {"window_s": 1.0}),
        ("wav2small-72k", {"window_s": 1.0, "takes": "features"}),
    ],
)
def test_other_networks_and_forms(name, feeding, tmp_path):
    path = save(name, tmp_path)
    full = (
        "int8-full" if name == "wav2small-72k" else "tflite-int8-full"
    )  # a header of millions of bytes is slow
    rounded = f"{full},tflite-int8" if name == "wav2small-72k" else full
    formats = choose_formats("onnx,pt2" if "form" in feeding else f"onnx,{rounded}")
    rows, bundle = export_checkpoint(
        path, tmp_path / "mine", formats, SOUNDS, calibrate="sample", feeding={"window_s": 2.0} | feeding
    )
    assert bundle is not None, [row.worst for row in rows]
    assert rows[0].error.largest < 5e-5
    assert bundle.hears == ("features" if name == "mobilenetv4-s" else "samples")
    made = {(row.format.engine, row.format.precision) for row in rows if row.ok}
    if "form" in feeding:
        assert made == {("onnx", "fp32"), ("torch", "fp32")}
    else:
        assert ("litert", "int8-full") in made
        sizes = {row.format.key: len(row.data) for row in rows if row.ok}
        # nearly all of it is bytes
        assert sizes["tflite-int8-full"] < 1.1 * sizes.get("tflite-int8", bundle.parameters)
        assert (("micro", "int8-full") in made) == (name == "wav2small-72k")
    if "form" not in feeding:
        return
    # A short recording is heard as it is, not filled up.
    model, _ = load_checkpoint(path)
    wave = hard_sounds(1.3)["voice-like"]
    answer = Recognizer(bundle, open_engine(bundle, "onnx")).predict(wave)
    features = torch.from_numpy(log_mel(model.prepare(wave[:20000]), model.spec))[None]
    with torch.no_grad():
        _, logits = model.clip(features, torch.tensor([features.shape[1]]))
    shares = torch.softmax(logits[0].double(), 0).numpy()
    np.testing.assert_allclose(list(answer.emotion.values()), shares, atol=2e-5)


@pytest.mark.parametrize(
    ("name", "takes"),
    [("cnn-1d", "waveform"), ("cnn-2d", "features"), ("cnn-3", "features"), ("pooled-cnn-3", "features")],
)
def test_networks_of_the_studies(name, takes, tmp_path):
    path = save(name, tmp_path)
    rows, bundle = export_checkpoint(
        path,
        tmp_path / "mine",
        choose_formats("onnx,tflite"),
        SOUNDS,
        calibrate="sample",
        feeding={"window_s": 1.5},
    )
    assert bundle is not None, [row.worst for row in rows]
    assert all(row.ok and row.error.largest < 5e-5 for row in rows)
    assert [one.name for one in bundle.inputs] == [takes]
    # What the device answers is what the network says of the same window.
    model, _ = load_checkpoint(path)
    wave = hard_sounds(2.5)["voice-like"]
    answer = Recognizer(bundle, open_engine(bundle, "litert")).stream().push(wave)[-1]
    window = wave[: answer.end][-bundle.window.samples :]
    if bundle.hears == "features":
        heard = log_mel(wave[: answer.end], bundle.spec)[-bundle.inputs[0].shape[1] :]
    else:
        heard = model.heard(window, model.spec)
    with torch.no_grad():
        _, logits = model.clip(torch.from_numpy(heard)[None], torch.tensor([len(heard)]))
    shares = torch.softmax(logits[0].double(), 0).numpy()
    np.testing.assert_allclose(list(answer.emotion.values()), shares, atol=2e-5)


def test_a_layer_behind_the_mean_rounds_its_input_by_each_windows_own_range(tmp_path):
    """One vector a window: a static range that holds an odd sound leaves too few steps for speech."""
    onnx = pytest.importorskip("onnx")
    from export.calibration import calibrate_on_sample

    model, _ = load_checkpoint(save("mobilenetv4-s", tmp_path))
    plan = plan_window(model, model.spec, window_s=1.0)
    found = calibrate_on_sample(model.spec, plan.step_frames)
    given = tuple(plan.given(model, wave) for wave in found.waves)
    source = Source(model.fold(), dataclasses.replace(found, features=given), plan)
    assert source.dynamic_layers == ("head.conv",)
    kinds = [node.op_type for node in onnx.load_from_string(to_onnx_int8(source)).graph.node]
    assert kinds.count("ConvInteger") == kinds.count("DynamicQuantizeLinear") == 1
    assert kinds.count("QuantizeLinear") > len(source.integer_layers)
    kept = source.keeping(source.integer_layers)
    assert kept.dynamic_layers == () and "ConvInteger" not in [
        node.op_type for node in onnx.load_from_string(to_onnx_int8(kept)).graph.node
    ]
    # a louder window than any that was calibrated on is answered as the float network answers it
    loud = given[0] * 3
    with torch.inference_mode():
        wanted = source.model.answer(source.model.body(torch.from_numpy(loud)[None], None))[1].numpy()
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(to_onnx_int8(source.keeping(source.integer_layers[:-1])))
    [logits] = session.run(["logits"], {"features": loud[None]})
    assert np.abs(logits - wanted).max() < 0.02 * np.abs(wanted).max()


def test_what_an_exponential_takes_is_not_rounded(checkpoint):
    from export.calibration import calibrate_on_sample

    model, _ = load_checkpoint(checkpoint)
    plan = plan_window(model, model.spec, window_s=1.0, takes="features")
    found = calibrate_on_sample(model.spec, plan.step_frames)
    given = tuple(plan.given(model, wave) for wave in found.waves[:2])
    source = Source(model.fold(), dataclasses.replace(found, features=given), plan)
    assert source.dynamic_layers == ("score",) and "value" in source.integer_layers


def test_commands(exported, tmp_path, capsys):
    import soundfile

    folder = str(exported[1].path)
    file = tmp_path / "a.wav"
    soundfile.write(file, hard_sounds(2.0)["voice-like"], 16000)
    for command in (
        ["predict", str(file), "--model", folder, "-o", "json"],
        ["listen", str(file), "--model", folder, "--engine", "litert", "--precision", "int8"],
        ["verify", folder, str(file), "--seconds", "2", "-o", "json"],
        ["bench", folder, "--rounds", "1", "--steps", "3", "-o", "json"],
    ):
        assert main(command) == 0, command
        out = capsys.readouterr().out
        if command[0] == "verify":
            checks = json.loads(out)["checks"]
            assert sum(check["name"] == "answers" and check["ok"] is True for check in checks) >= 3
            assert all(check["ok"] for check in checks if check["name"] == "chunks")
        if command[0] == "bench":
            assert all(run["step_ms"]["p50"] > 0 for run in json.loads(out)["runs"] if run["ok"])
    assert {run["engine"] for run in json.loads(out)["runs"] if run["ok"]} == {"onnx", "litert"}


def test_bad_use_is_one_sentence(checkpoint, tmp_path, capsys):
    """What cannot be, said before any work."""
    assert main(["export", str(checkpoint), "--out", str(tmp_path / "a"), "--format", "numpy"]) == 1
    assert "NumPy has no fast convolution" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_source_needs_its_plan(checkpoint):
    model, _ = load_checkpoint(checkpoint)
    plan = plan_window(model, model.spec)
    assert Source(model.fold(), None, plan).form == "window"


@pytest.mark.parametrize("length", [1, 3, 8])
def test_filling(length):
    heard = np.arange(4.0)
    full = filled(heard, length)
    assert len(full) == length and full[-1] == 3
    assert list(full) == list(np.tile(heard, 3)[-length:])


def test_versions():
    assert least_version({}) == least_version({"window": None}) == 1
    assert least_version({"window": {"samples": 1}}) == 2


def test_wrong_windows_are_refused(exported, tmp_path):
    folder = exported[1].path
    entries = json.loads((folder / "bundle.json").read_text())
    (tmp_path / "b").mkdir()
    for file in folder.iterdir():
        (tmp_path / "b" / file.name).write_bytes(file.read_bytes())
    for change, words in (
        ({"window": {"samples": 3999, "normalise": "none"}}, "window.samples"),
        ({"window": {"samples": 16000, "normalise": "loud"}}, "window.normalise"),
        ({"window": None}, "inputs"),
        ({"window": {"samples": 32000, "normalise": "none"}}, "inputs"),
        ({"states": entries["inputs"]}, "states"),
    ):
        (tmp_path / "b" / "bundle.json").write_text(json.dumps(entries | change))
        with pytest.raises(EdgeSerError, match=words):
            load_bundle(tmp_path / "b")


def test_engines_are_window_engines(exported):
    engine = open_engine(exported[1], "onnx")
    assert isinstance(engine, WindowEngine) and engine.name == "onnx"
    assert len(recordings()) == 1
