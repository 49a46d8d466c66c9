"""A checkpoint becomes a bundle whose files give the model's answers, or nothing is written."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest

from edge_ser.bundle import load_bundle
from edge_ser.cli import main
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.parity import LIMITS, Limit, hard_sounds
from edge_ser.tensors import read_safetensors
from export.calibration import calibrate_on_sample
from export.exporter import export_checkpoint, temporary_bundle
from export.formats import FORMATS, choose_formats
from export.sensitivity import Mixed
from firmware_py.engines import ENGINES
from tests.support import CONFIG, SPEC

torch = pytest.importorskip("torch")

NUMPY = choose_formats("numpy")
SOUNDS = {name: wave for name, wave in hard_sounds().items() if name in ("silence", "noise", "voice-like")}
META = {
    "architecture": "stream72k",
    "config": CONFIG,
    "spec": SPEC.to_dict(),
    "training": {
        "recipe": {"data": {"corpora": ["/home/me/secret/mine.csv"]}},
        "clips": {"mine": 3},
        "speakers": 1,
        "heard": ["Erika Mustermann"],
        "told": "0123",
        "licence": "mine: none",
        "adv_source": None,
    },
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Random weights with batch statistics far from their start, so that folding has work to do."""
    from edge_ser.models import build_model
    from edge_ser.models.checkpoint import save_checkpoint

    torch.manual_seed(7)
    model = build_model("stream72k", CONFIG)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.3)
            module.running_var.uniform_(0.5, 2.0)
    path = tmp_path_factory.mktemp("checkpoint") / "all-seed0.safetensors"
    save_checkpoint(path, model.eval(), META)
    return path


def test_bundle_of_numpy(checkpoint, tmp_path):
    lines = []
    rows, bundle = export_checkpoint(checkpoint, tmp_path / "mine", NUMPY, SOUNDS, say=lines.append)
    assert [row.to_dict()["ok"] for row in rows] == [True]
    assert rows[0].error.largest < 1e-5
    assert bundle.name == "mine"
    assert bundle.variants() == [("numpy", "fp32")]
    assert bundle.parameters <= 72_000
    assert bundle.config == CONFIG
    assert bundle.adv.source == "none: trained without ratings" and not bundle.adv.learnt
    assert (
        json.loads((bundle.path / "bundle.json").read_text())["version"] == 5
    )  # older readers would show the three
    assert "arousal, dominance and valence in" not in (bundle.path / "MODEL_CARD.md").read_text()
    assert "mine: none" in bundle.licence
    assert any("largest error" in line for line in lines)
    assert bundle.training["speakers"] == 1 and not {"heard", "told"} & set(bundle.training)
    assert not any(b"Mustermann" in path.read_bytes() for path in bundle.path.iterdir())
    assert "/home" not in (bundle.path / "bundle.json").read_text()
    assert bundle.training["recipe"]["data"]["corpora"] == ["mine.csv"]


def test_the_same_checkpoint_gives_the_same_bytes(checkpoint, tmp_path):
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        export_checkpoint(checkpoint, tmp_path / place / "mine", NUMPY, SOUNDS)
    for file in (tmp_path / "one" / "mine").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / "mine" / file.name).read_bytes()


def test_fp32_is_preferred_where_eight_bits_take_longer():
    """By the table of formats alone: no timing may change a bundle."""
    from export.writing import _preferred

    assert _preferred(choose_formats("numpy,onnx,tflite,int8"), "step") == {"onnx": "fp32"}
    assert _preferred(choose_formats("onnx,onnx-fp16,tflite-int8"), "step") == {}
    assert _preferred(choose_formats("onnx-int8"), "step") == {}  # nothing else is there
    assert _preferred(choose_formats("onnx,onnx-int8-dynamic"), "window") == {}  # what was timed are steps


def test_what_is_preferred_is_in_the_bundle_and_on_its_card(checkpoint, tmp_path):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    rows = choose_formats("onnx,onnx-int8")
    _, bundle = export_checkpoint(checkpoint, tmp_path / "mine", rows, SOUNDS, calibrate="sample")
    assert bundle.preferred == {"onnx": "fp32"}
    assert "On onnx fp32 runs where no precision is named" in bundle.card.read_text()


def test_a_format_over_its_limit_writes_nothing(checkpoint, tmp_path):
    strict = [dataclasses.replace(NUMPY[0], limit=Limit(0.0))]
    rows, bundle = export_checkpoint(checkpoint, tmp_path / "mine", strict, SOUNDS)
    assert bundle is None
    assert not rows[0].ok
    assert list(tmp_path.iterdir()) == []


def test_a_drop_can_be_accepted_and_is_marked(checkpoint, tmp_path):
    strict = [NUMPY[0], dataclasses.replace(choose_formats("numpy-int8")[0], limit=Limit(1e-9, rounded=True))]
    rows, bundle = export_checkpoint(
        checkpoint, tmp_path / "mine", strict, SOUNDS, calibrate="sample", accept_drop=True
    )
    assert [row.ok for row in rows] == [True, False]
    assert bundle.variants() == [("numpy", "fp32"), ("numpy", "int8")]
    good, over, _ = json.loads((bundle.path / "bundle.json").read_text())["files"]
    assert "over_limit" not in good and over["over_limit"]["largest"] == rows[1].error.largest
    assert bundle.card.read_text().count("OVER ITS LIMIT") == 1


def test_answers_that_are_no_numbers_are_never_accepted(checkpoint, tmp_path):
    from edge_ser.tensors import pack_tensors, unpack_tensors

    def spoilt(source):
        tensors, _ = unpack_tensors(bytearray(NUMPY[0].function(source)), "it")
        tensors["adv.bias"][1] = np.nan
        return pack_tensors(tensors)

    strange = [dataclasses.replace(NUMPY[0], function=spoilt)]
    _, bundle = export_checkpoint(checkpoint, tmp_path / "mine", strange, SOUNDS, accept_drop=True)
    assert bundle is None and list(tmp_path.iterdir()) == []


def test_int8_is_held_to_limits_of_its_own(checkpoint, tmp_path):
    lines = []
    formats = choose_formats("numpy,numpy-int8")
    rows, bundle = export_checkpoint(checkpoint, tmp_path / "mine", formats, SOUNDS, say=lines.append)
    assert bundle.variants() == [("numpy", "fp32"), ("numpy", "int8")]
    row = rows[1].to_dict()
    assert row["mean_abs_error"] < row["mean_limit"] == LIMITS["int8"].mean
    assert row["agreement_limit"] == LIMITS["int8"].agreement <= row["agreement"] <= 1
    assert 1e-4 < row["max_abs_error"] < row["limit"]
    assert row["kb"] < rows[0].to_dict()["kb"] / 3
    assert any("no corpus of the training is here" in line for line in lines)  # its recipe's is nowhere
    record = json.loads((bundle.path / "bundle.json").read_text())["quantisation"]
    assert record["calibration"]["steps"] > 300 and "no training speech" in record["calibration"]["source"]
    assert record["integer_layers"][0] == "mix.conv"
    assert list(record["methods"]) == ["numpy-int8"]
    assert "numpy-int8" in bundle.card.read_text()


@pytest.mark.parametrize(
    ("limit", "ok"),
    [
        (Limit(0.2, mean=1e-6, rounded=True), False),
        (Limit(1e-6, rounded=True), False),
        (Limit(0.2, mean=0.02, agreement=1.01, rounded=True), False),
        (Limit(0.2, mean=0.02, agreement=0.5, rounded=True), True),
    ],
)
def test_int8_over_any_of_its_limits_is_refused(checkpoint, tmp_path, limit, ok):
    row = dataclasses.replace(choose_formats("numpy-int8")[0], limit=limit)
    _, bundle = export_checkpoint(checkpoint, tmp_path / "mine", [NUMPY[0], row], SOUNDS, calibrate="sample")
    assert (bundle is not None) == ok
    assert (tmp_path / "mine").exists() == ok


def test_mixed_precision_and_its_record(checkpoint, tmp_path):
    """The most sensitive layer stays float32; bundle.json and the card say which, and how ranges were chosen."""
    row = choose_formats("numpy-int8")
    sounds = {"noise": SOUNDS["noise"][:32000]}
    rows, bundle = export_checkpoint(
        checkpoint,
        tmp_path / "mine",
        row,
        sounds,
        calibrate="sample",
        calibration={"method": "percentile"},
        mixed=Mixed(count=1),
    )
    [done] = rows
    assert done.kept == (done.sweep.effects[0].layer,) == done.sweep.trials[0].kept
    assert len(done.sweep.effects) == 11 and len(done.sweep.trials) == 1
    assert len(done.data) == done.sweep.trials[0].size == bundle.file("numpy", "int8").stat().st_size
    assert read_safetensors(bundle.file("numpy", "int8"))[f"{done.kept[0]}.weight"].dtype == np.float32
    record = json.loads((bundle.path / "bundle.json").read_text())["quantisation"]
    assert record["mixed"] == {"numpy-int8": list(done.kept)}
    assert record["calibration"]["method"] == "percentile"
    assert len(record["calibration"]["sounds"]) == 1 and len(record["calibration"]["sounds"][0]) == 16
    card = bundle.card.read_text()
    assert f"In `numpy-int8` so are {done.kept[0]}." in card and "ranges by percentile" in card
    document = done.to_dict()
    assert document["float_layers"] == list(done.kept)
    assert [one["sound"] for one in document["sounds"]] == ["noise"]
    assert document["macs_per_step"] > 1e6 and document["latency_ms"]["p50"] > 0
    json.dumps(document, allow_nan=False)


def test_spoilt_int8_weights_are_refused(checkpoint, tmp_path):
    from edge_ser.tensors import pack_tensors, unpack_tensors

    row = choose_formats("numpy-int8")[0]

    def spoilt(source):
        tensors, _ = unpack_tensors(bytearray(row.function(source)), "it")
        # These weights hardly hear anything, so a layer before would not be noticed.
        tensors["emotion.bias"][2] += 1
        return pack_tensors(tensors)

    rows, bundle = export_checkpoint(
        checkpoint, tmp_path / "mine", [dataclasses.replace(row, function=spoilt)], SOUNDS, calibrate="sample"
    )
    assert bundle is None
    assert not rows[0].error.within(LIMITS["int8"])


def test_a_checkpoint_in_half_precision_is_the_same_model_to_its_bits(checkpoint, tmp_path):
    from edge_ser.models.checkpoint import load_checkpoint, save_checkpoint

    model, _ = load_checkpoint(checkpoint)
    half = tmp_path / "half.safetensors"
    save_checkpoint(half, model, META, half=True)
    assert half.stat().st_size < 0.6 * checkpoint.stat().st_size
    rows, bundle = export_checkpoint(
        half, tmp_path / "mine", choose_formats("numpy,numpy-int8"), SOUNDS, calibrate="sample"
    )
    assert all(row.ok for row in rows)
    whole = export_checkpoint(checkpoint, tmp_path / "whole", NUMPY, SOUNDS)[1]
    ours, theirs = (read_safetensors(one.file("numpy")) for one in (bundle, whole))
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=2e-3, atol=2e-4)


def test_temporary_bundle(checkpoint):
    asked = []

    def calibrate(training, spec, step_frames):
        asked.append((training["clips"], spec, step_frames))
        return calibrate_on_sample(spec, step_frames)

    with temporary_bundle(checkpoint, choose_formats("numpy-int8")[0], calibrate) as bundle:
        assert bundle.variants() == [("numpy", "int8")]
        folder = bundle.path
    assert not folder.exists()
    assert asked == [({"mine": 3}, SPEC, 20)]
    with temporary_bundle(checkpoint, NUMPY[0], calibrate) as bundle:
        assert bundle.variants() == [("numpy", "fp32")]
    assert len(asked) == 1  # float needs none
    broken = dataclasses.replace(NUMPY[0], function=lambda source: 1 / 0)
    words = "to numpy-fp32: the converter failed: ZeroDivisionError"
    with pytest.raises(EdgeSerError, match=words), temporary_bundle(checkpoint, broken, calibrate):
        pass


def test_a_checkpoint_may_be_called_what_no_bundle_can(checkpoint, tmp_path):
    spaced = shutil.copy(checkpoint, tmp_path / "all seeds.safetensors")
    with temporary_bundle(spaced, NUMPY[0], calibrate_on_sample) as bundle:
        assert bundle.name == "model"


def test_wrong_weights_are_refused(checkpoint, tmp_path):
    """The gate notices a file that is not the model: one bias in one layer is off by a hundredth."""
    from edge_ser.tensors import pack_tensors, unpack_tensors

    def spoilt(source):
        tensors, _ = unpack_tensors(bytearray(NUMPY[0].function(source)), "it")
        tensors["blocks.2.depthwise.conv.bias"][5] += 0.01
        return pack_tensors(tensors)

    rows, bundle = export_checkpoint(
        checkpoint, tmp_path / "mine", [dataclasses.replace(NUMPY[0], function=spoilt)], SOUNDS
    )
    assert bundle is None
    assert rows[0].error.largest > 1e-4


def test_answers_that_are_no_numbers_are_refused(checkpoint, tmp_path):
    from edge_ser.tensors import pack_tensors, unpack_tensors

    def spoilt(source):
        tensors, _ = unpack_tensors(bytearray(NUMPY[0].function(source)), "it")
        tensors["adv.bias"][1] = np.nan
        return pack_tensors(tensors)

    rows, bundle = export_checkpoint(
        checkpoint, tmp_path / "mine", [dataclasses.replace(NUMPY[0], function=spoilt)], SOUNDS
    )
    assert bundle is None
    assert rows[0].to_dict()["max_abs_error"] is None
    json.dumps(rows[0].to_dict(), allow_nan=False)


def test_a_converter_that_fails_is_a_refusal(checkpoint, tmp_path):
    def broken(source):
        raise RuntimeError("no such\noperation")

    rows, bundle = export_checkpoint(
        checkpoint,
        tmp_path / "mine",
        [NUMPY[0], dataclasses.replace(choose_formats("onnx")[0], function=broken, needs=())],
        SOUNDS,
    )
    assert bundle is None
    assert [row.ok for row in rows] == [True, False]
    assert rows[1].to_dict()["note"] == "the converter failed: RuntimeError: no such operation"


def test_refused_before_any_work(checkpoint, tmp_path):
    def untouched(source):
        raise AssertionError("converted")

    formats, mine = [dataclasses.replace(NUMPY[0], function=untouched)], tmp_path / "mine"
    (tmp_path / "file").write_text("x")
    with pytest.raises(EdgeSerError, match="exists"):
        export_checkpoint(checkpoint, tmp_path, formats, SOUNDS)
    with pytest.raises(EdgeSerError, match="exists"):
        export_checkpoint(checkpoint, tmp_path / "file", formats, SOUNDS)
    with pytest.raises(EdgeSerError, match="not a file"):
        export_checkpoint(tmp_path / "none", mine, formats, SOUNDS)
    with pytest.raises(EdgeSerError, match="safetensors"):
        export_checkpoint(tmp_path / "file", mine, formats, SOUNDS)
    with pytest.raises(EdgeSerError, match="leave out --window and --input"):
        export_checkpoint(checkpoint, mine, formats, SOUNDS, feeding={"window_s": 1, "takes": "features"})


def sample() -> str:
    """The package's recording."""
    from edge_ser.evaluation import parity

    [path] = parity._SAMPLES.glob("demo.*")
    return str(path)


def test_the_command_all_formats(checkpoint, tmp_path, capsys):
    """The bar of issue 2: NumPy, LiteRT and ONNX within 1e-4 of torch, and a bundle that verifies."""
    for row in FORMATS:
        for package in () if row.optional else row.needs:
            pytest.importorskip(package, reason=f"{package} is not installed (extra 'export')")
    here = [row for row in FORMATS if row.refusal("step") is None]
    out = tmp_path / "mine"
    assert main(["export", str(checkpoint), "--out", str(out), "-o", "json"]) == 0
    stdout, stderr = capsys.readouterr()
    document = json.loads(stdout)
    assert document["ok"] is True
    assert [(row["format"], row["precision"]) for row in document["formats"]] == [
        (row.name, row.precision) for row in FORMATS
    ]
    for row in document["formats"]:
        if not row["applies"]:
            assert "which is not installed" in row["note"] and row["kb"] is None
            continue
        assert set(row) >= {"format", "precision", "file", "kb", "max_abs_error", "metric_drop", "ok"}
        assert row["max_abs_error"] <= LIMITS[row["precision"]].largest
        limits = {"fp32": 300, "fp16": 170} | {"c": 900, "pt2": 400, "executorch": 340, "int8-full": 132}
        assert row["kb"] < limits.get(row["format"], limits.get(row["precision"], 110))
    assert "wrote the bundle" in stderr
    assert load_bundle(out).variants() == [(row.engine, row.precision) for row in here]
    assert main(["verify", str(out), "--quick", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    for engine in ENGINES:
        assert main(["listen", sample(), "--model", str(out), "--engine", engine, "--precision", "int8"]) == 0
        assert f"{engine} int8" in "".join(capsys.readouterr())
    assert main(["export", str(checkpoint), "--out", str(out), "--format", "numpy"]) == 2
    assert "exists" in capsys.readouterr().err
    assert main(["export", str(checkpoint), "--out", str(out), "--format", "numpy", "--overwrite"]) == 0
    assert load_bundle(out).variants() == [("numpy", "fp32")]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "coreml"], "no format 'coreml'"),
        (["--name", "a/b"], "plain name"),
        (["--audio", "none.wav"], "none.wav"),
        (["--figures", "none.json"], "none.json"),
        (["--format", "int8", "--calibrate", "none.csv"], "none.csv"),
        (["--calibration-clips", "0"], "at least 1"),
        (["--report", "/dev/null/page"], "/dev/null is no folder"),
        (["--mixed", "most"], "--mixed is a number of layers"),
        (["--mixed", "1"], "--mixed is of int8 files, and --format numpy makes none; add int8"),
        (["--licence", " "], "--licence is empty"),
        (["--validation", "none.csv:1"], "none.csv"),
    ],
)
def test_bad_use_is_one_sentence(checkpoint, tmp_path, capsys, options, words):
    assert (
        main(["export", str(checkpoint), "--out", str(tmp_path / "mine"), "--format", "numpy", *options]) == 2
    )
    [sentence] = capsys.readouterr().err.strip().splitlines()  # before any work
    assert sentence.startswith("edge-ser: ") and words in sentence
    assert list(tmp_path.iterdir()) == []
