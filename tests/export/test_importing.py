"""Files that somebody else made: imported by a TOML, checked by running, run by the commands."""

from __future__ import annotations

import itertools
import json
import os
import random

import numpy as np
import pytest

from edge_ser.bundle import load_bundle
from edge_ser.cli import main
from edge_ser.dsp import MelSpec, log_mel
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.parity import hard_sounds
from edge_ser.recognizer import Recognizer

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from export.importing import import_model  # noqa: E402
from export.inspection import inspect  # noqa: E402

LABELS = ["sad", "angry", "happy"]
SPEC = MelSpec(n_mels=20, hop_length=160, n_fft=400, win_length=400, padding="none", log="ln")
FRAMES = SPEC.frames(24000)
RNG = np.random.default_rng(3)
WEIGHT = RNG.normal(0, 0.2, (20, 3)).astype(np.float32)
RATING = RNG.normal(0, 0.1, (20, 3)).astype(np.float32)


def save(path, *, shape=(1, 1, 20, FRAMES), softmax=True, labels=3, dtype=TensorProto.FLOAT):
    """Mean of each band over time, then two linear maps: bands by frames in, as image networks take them."""
    nodes = [
        helper.make_node("ReduceMean", ["image", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "w"], ["scores"]),
        helper.make_node("MatMul", ["mean", "r"], ["ratings"]),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["scores"], ["softmax"], axis=-1))
    outputs = ["ratings", "softmax" if softmax else "scores"]
    constants = {"w": WEIGHT[:, :labels], "r": RATING, "axes": np.array([1, 3] if len(shape) == 4 else [2])}
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("image", dtype, shape)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3 if name == "ratings" else labels))
            for name in outputs
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, path)


def save_waveform(path, size=16000):
    """A network of a waveform: its level and its slope, as logits; its batch is open."""
    nodes = [
        helper.make_node("ReduceL2", ["pcm", "axes"], ["level"], keepdims=1),
        helper.make_node("MatMul", ["level", "w"], ["scores"]),
    ]
    constants = {"w": np.array([[0.3, -0.2, 0.1]], np.float32), "axes": np.array([1])}
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("pcm", TensorProto.FLOAT, ("batch", size))],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ("batch", 3))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)


def toml(folder, *, drop=(), **changes):
    """The TOML of `save`'s file, some lines changed or left out."""
    lines = {
        "file": '"theirs.onnx"',
        "labels": json.dumps(LABELS),
        "licence": '"MIT"',
        "window_s": "1.5",
        "hop_s": "0.5",
        "input.kind": '"features"',
        "outputs.probabilities": '"softmax"',
        "outputs.adv": '"ratings"',
        "outputs.adv_order": '["valence", "arousal", "dominance"]',
        "outputs.adv_range": "[-10, 10]",
        **{f"mel.{key}": json.dumps(value) for key, value in SPEC.to_dict().items()},
    }
    lines |= {key.replace("__", "."): value for key, value in changes.items()}
    path = folder / "mine.toml"
    path.write_text("".join(f"{key} = {value}\n" for key, value in lines.items() if key not in drop))
    return path


NO_MEL = tuple(f"mel.{key}" for key in SPEC.to_dict())
NO_ADV = ("outputs.adv", "outputs.adv_order", "outputs.adv_range")


def waveform_toml(folder, **changes):
    return toml(
        folder,
        drop=(*NO_MEL, *NO_ADV, "outputs.probabilities", *changes.pop("drop", ())),
        **{"window_s": "1.0", "input__kind": '"waveform"', "outputs__logits": '"scores"'} | changes,
    )


def test_answers_are_the_files_own(tmp_path):
    save(tmp_path / "theirs.onnx")
    bundle = import_model(toml(tmp_path), tmp_path / "mine")
    assert load_bundle(tmp_path / "mine") == bundle
    assert (bundle.path / "model.onnx").read_bytes() == (tmp_path / "theirs.onnx").read_bytes()
    assert bundle.parameters == WEIGHT.size + RATING.size + 2
    assert json.loads((bundle.path / "bundle.json").read_text())["version"] == 3
    assert "made by somebody else" in bundle.card.read_text()
    wave = hard_sounds(2.0)["voice-like"]
    answers = Recognizer.load(bundle.path, "onnx").stream().push(wave)
    assert len(answers) == 4
    mean = log_mel(wave[-24000:], SPEC).mean(0)
    scores = np.exp(mean @ WEIGHT - (mean @ WEIGHT).max())
    np.testing.assert_allclose(list(answers[-1].emotion.values()), scores / scores.sum(), atol=1e-5)
    assert list(answers[-1].emotion) == LABELS
    ratings = ((mean @ RATING + 10) / 20).clip(0, 1)
    found = [answers[-1].valence, answers[-1].arousal, answers[-1].dominance]
    np.testing.assert_allclose(found, ratings, atol=1e-5)


def test_a_waveform_with_an_open_batch_and_no_ratings(tmp_path):
    save_waveform(tmp_path / "theirs.onnx")
    bundle = import_model(waveform_toml(tmp_path), tmp_path / "mine")
    assert bundle.interface.shape == (1, 16000) and bundle.hears == "samples"
    assert bundle.adv.source.startswith("none")
    wave = hard_sounds(1.0)["voice-like"]
    answer = Recognizer.load(bundle.path, "onnx").predict(wave)
    scores = np.exp(np.linalg.norm(wave) * np.array([0.3, -0.2, 0.1]))
    np.testing.assert_allclose(list(answer.emotion.values()), scores / scores.sum(), rtol=1e-4)
    assert not answer.rated and answer.to_json()["valence"] is None


def test_commands(tmp_path, capsys):
    import soundfile

    save(tmp_path / "theirs.onnx")
    folder, file = str(tmp_path / "mine"), str(tmp_path / "a.wav")
    soundfile.write(file, hard_sounds(2.0)["voice-like"], 16000)
    for command in (
        ["import", str(toml(tmp_path)), "--out", folder, "-o", "json"],
        ["predict", file, "--model", folder, "-o", "json"],
        ["listen", file, "--model", folder],
        ["verify", folder, file, "--seconds", "2", "-o", "json"],
        ["bench", folder, "--rounds", "1", "--steps", "3", "-o", "json"],
    ):
        assert main(command) == 0, command
        out = capsys.readouterr().out
        if command[0] == "import":
            assert json.loads(out)["labels"] == LABELS
        if command[0] == "verify":
            assert any(c["name"] == "chunks" and c["ok"] for c in json.loads(out)["checks"])
    assert [run["engine"] for run in json.loads(out)["runs"] if run["ok"]] == ["onnx"]


def test_tflite(tmp_path):
    torch = pytest.importorskip("torch")
    litert_torch = pytest.importorskip("litert_torch")

    class Theirs(torch.nn.Module):
        def forward(self, image):
            return torch.softmax(image.mean((1, 3)) @ torch.from_numpy(WEIGHT), -1)

    converted = litert_torch.convert(Theirs().eval(), (torch.zeros(1, 1, 20, FRAMES),))
    (tmp_path / "theirs.tflite").write_bytes(converted.model_content())
    description = toml(
        tmp_path, drop=NO_ADV, file='"theirs.tflite"', outputs__probabilities='"output_0"', hop_s="0.25"
    )
    bundle = import_model(description, tmp_path / "mine")
    wave = hard_sounds(2.0)["noise"]
    answer = Recognizer.load(bundle.path, "litert").predict(wave)
    mean = log_mel(wave[-24000:], SPEC).mean(0)
    scores = np.exp(mean @ WEIGHT - (mean @ WEIGHT).max())
    np.testing.assert_allclose(list(answer.emotion.values()), scores / scores.sum(), atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"drop": ("labels",)}, "lacks labels"),
        ({"drop": ("licence",)}, "lacks licence"),
        ({"drop": ("window_s",)}, "lacks window_s"),
        ({"drop": ("input.kind",)}, "lacks kind, one of features, waveform"),
        ({"drop": ("mel.fmin",)}, "lacks fmin"),
        ({"drop": ("outputs.probabilities",)}, "which output holds the emotions"),
        ({"drop": ("outputs.adv",)}, "adv_order needs adv"),
        ({"labels": '["a", "b"]'}, "does not hold 2 labels"),
        ({"labels": '["a", "a", "b"]'}, "names one twice"),
        ({"window_s": "2.0"}, r"does not fit 198 frames of 20 bands, which 2 s are"),
        ({"window_s": "0.1"}, "shorter than hop_s"),
        ({"window_s": "true"}, "a number above 0"),
        ({"input__name": '"pcm"'}, "the file takes 'image' of shape"),
        ({"input__kind": '"waveform"'}, "leave it out"),
        ({"input__transposed": "false"}, "does not fit"),
        ({"outputs__probabilities": '"nothing"'}, "'nothing', and the file gives 'ratings'"),
        ({"outputs__probabilities": '"ratings"'}, "holds no probabilities"),
        ({"drop": ("outputs.probabilities",), "outputs__logits": '"softmax"'}, "holds no logits"),
        ({"outputs__adv_order": '["valence"]'}, "adv_order must be"),
        ({"outputs__adv_range": "[1]"}, "two ends of the scale"),
        ({"mel__sample_rate": "22050"}, "16000"),
        ({"mel__log": '"loud"'}, "MelSpec.log"),
        ({"name": '"my model"'}, "cannot be a model's"),
        ({"file": '"other.onnx"'}, "there is no file"),
        ({"file": '"mine.toml"'}, "an .onnx or .tflite file"),
        ({"colour": '"red"'}, "unknown fields colour"),
        ({"outputs__colour": '"red"'}, "unknown fields colour"),
    ],
)
def test_what_is_wrong_is_named(changes, words, tmp_path):
    save(tmp_path / "theirs.onnx")
    with pytest.raises(EdgeSerError, match=words):
        import_model(toml(tmp_path, **changes), tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_wrong_files(tmp_path):
    for name in ("theirs.onnx", "theirs.tflite"):
        (tmp_path / name).write_bytes(b"not a model at all")
        with pytest.raises(EdgeSerError, match="is no"):
            import_model(toml(tmp_path, file=f'"{name}"'), tmp_path / "mine")
    save(tmp_path / "theirs.onnx", dtype=TensorProto.FLOAT16)
    with pytest.raises(EdgeSerError, match="must be float32"):
        import_model(toml(tmp_path), tmp_path / "mine")
    save(tmp_path / "theirs.onnx", shape=(1, 20, 20))
    square = toml(tmp_path, window_s=str((19 * 160 + 400) / 16000), hop_s="0.1")
    with pytest.raises(EdgeSerError, match="say transposed = true or false"):
        import_model(square, tmp_path / "mine")
    import_model(toml(tmp_path, window_s="0.215", hop_s="0.1", input__transposed="true"), tmp_path / "mine")
    with pytest.raises(EdgeSerError, match="exists"):
        import_model(square, tmp_path / "mine")


def mutated(whole, seed, count):
    """Copies of a file with a bit turned, an end cut off, bytes put in, or a block of something else."""
    chance = random.Random(seed)
    for kind in itertools.islice(itertools.cycle(range(4)), count):
        data, at = bytearray(whole), chance.randrange(len(whole))
        if kind == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            data[at:at] = chance.randbytes(chance.randint(1, 64))
        else:
            data[at : at + 16] = chance.randbytes(16)
        yield bytes(data)


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_a_damaged_file_is_refused_or_answers_and_never_ends_the_program(request, kind, tmp_path):
    """No hash protects what comes from outside, so it is opened in a process of its own before it is opened here."""
    whole = tmp_path / f"whole.{kind}"
    if kind == "onnx":
        save(whole)
    else:
        whole.write_bytes(request.getfixturevalue("full_bundle").file("litert").read_bytes())
    about = toml(tmp_path)
    refused = 0
    for number, content in enumerate(mutated(whole.read_bytes(), f"{kind} 6", 12)):
        (tmp_path / f"theirs.{kind}").write_bytes(content)
        try:
            if kind == "onnx":
                found = import_model(about, tmp_path / f"mine{number}").outputs
            else:
                found = inspect(tmp_path / "theirs.tflite").outputs
        except EdgeSerError as error:
            assert "\n" not in str(error)
            refused += 1
        else:
            assert found
    assert refused >= 3  # those that were cut off


def test_thousands_of_damaged_onnx_files_are_read_or_refused_in_a_sentence(tmp_path):
    path = tmp_path / "theirs.onnx"
    save(path)
    refused = 0
    for content in mutated(path.read_bytes(), "onnx 4000", 4000):
        path.write_bytes(content)
        try:
            inspect(path)
        except EdgeSerError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 1000


def test_an_imported_bundle_is_known_by_its_hashes(tmp_path):
    save(tmp_path / "theirs.onnx")
    bundle = import_model(toml(tmp_path), tmp_path / "mine")
    path = bundle.file("onnx")
    whole = path.read_bytes()
    for content in mutated(whole, 6, 1000):
        path.write_bytes(content)
        if content != whole:
            with pytest.raises(EdgeSerError, match="is damaged"):
                load_bundle(bundle.path)


def test_a_runtime_that_crashes_is_an_error(monkeypatch, tmp_path):
    save(tmp_path / "theirs.onnx")
    (tmp_path / "onnxruntime.py").write_text(
        "import os\nos.abort()\n"
    )  # found by the child alone, before ours
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    with pytest.raises(
        EdgeSerError, match=r"no ONNX file that ONNX Runtime can run: the process ended with signal 6"
    ):
        import_model(toml(tmp_path), tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_wrong_interfaces_are_refused(tmp_path):
    save(tmp_path / "theirs.onnx")
    folder = import_model(toml(tmp_path), tmp_path / "mine").path
    entries = json.loads((folder / "bundle.json").read_text())
    for change, words in (
        ({"shape": [1, 21, FRAMES]}, "interface.shape"),
        ({"kind": "votes"}, "interface.kind"),
        ({"order": ["valence", "arousal"]}, "interface.order"),
        ({"range": [1, 0]}, "interface.range"),
        ({"transposed": 1}, "interface.transposed"),
    ):
        (folder / "bundle.json").write_text(
            json.dumps(entries | {"interface": entries["interface"] | change})
        )
        with pytest.raises(EdgeSerError, match=words):
            load_bundle(folder)
    for change, words in (({"input": "other"}, "declares other"), ({"scores": "other"}, "no other")):
        (folder / "bundle.json").write_text(
            json.dumps(entries | {"interface": entries["interface"] | change})
        )
        with pytest.raises(EdgeSerError, match=words):
            Recognizer.load(folder, "onnx")
