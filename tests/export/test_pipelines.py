"""Pipelines of scikit-learn as bundles: ONNX gives scikit-learn's answers, and predict runs them."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from edge_ser.audio import write_wav
from edge_ser.bundle import load_bundle
from edge_ser.cli import main
from edge_ser.corpora import load_csv
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.pipelines import KINDS, PipelineSpec, read_pipeline, shares_of
from edge_ser.vector_recognizer import VectorRecognizer

pytest.importorskip("skl2onnx", reason="skl2onnx is not installed (extra 'export')")
runtime = pytest.importorskip("onnxruntime")

from export.chatter import hush  # noqa: E402
from export.formats import FORMATS, choose_formats  # noqa: E402
from export.metadata import read_metadata  # noqa: E402
from export.pipelines import NOT_WRITTEN, export_pipeline, pipeline_to_onnx  # noqa: E402

SIZE = 12
ANSWERING = [kind for kind, (_, last) in KINDS.items() if last]
CHANGING = [kind for kind, (_, last) in KINDS.items() if not last]
MORE = {
    "quantiles": {"n_quantiles": 10},
    "forest": {"n_estimators": 8},
    "best": {"k": 5},
    "pca": {"n_components": 4},
    "mlp": {"max_iter": 20},
}


def vectors(classes):
    """Features of sizes as different as decibels and counts, with classes that can be told apart, mostly."""
    rng = np.random.default_rng(3)
    names = np.array(["angry", "happy", "sad"][:classes])[rng.integers(0, classes, 150)]
    x = rng.normal(size=(150, SIZE))
    x[names == "angry", 0] += 1.5
    x[names == "sad", 1] -= 2
    return (x * np.geomspace(1e-2, 1e3, SIZE)).astype(np.float32), names


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    "kinds",
    [("standardise", kind) for kind in ANSWERING if kind not in NOT_WRITTEN]
    + [(kind, "logistic") for kind in CHANGING],
    ids="-".join,
)
def test_onnx_gives_scikit_learns_answers(kinds, classes):
    x, names = vectors(classes)
    spec = PipelineSpec("it", "speech", tuple((kind, MORE.get(kind, {})) for kind in kinds))
    said = io.StringIO()
    with hush(said):
        model = spec.build().fit(x, names)
    content = pipeline_to_onnx(model, SIZE, decides=kinds[-1] in ("svm", "linear_svm"))
    assert content == pipeline_to_onnx(model, SIZE, decides=kinds[-1] in ("svm", "linear_svm"))
    assert not any(word in content for word in (b"/root", b"/work", b"/home", b"site-packages"))
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert [(one.name, one.shape) for one in session.get_inputs()] == [("vector", [1, SIZE])]
    assert [(one.name, one.shape) for one in session.get_outputs()] == [
        ("adv", [1, 3]),
        ("logits", [1, classes]),
    ]
    for row, wanted in zip(x[:40], shares_of(model, x[:40]), strict=True):
        adv, logits = session.run(None, {"vector": row[None]})
        shares = np.exp(logits[0].astype(np.float64) - logits.max())
        np.testing.assert_allclose(shares / shares.sum(), wanted, atol=1e-5)
        np.testing.assert_array_equal(adv, [[0.5] * 3])


def test_the_table_of_what_is_not_written_is_right(tmp_path):
    """So that a version that can write one of them is noticed."""
    x, names = vectors(3)
    assert set(NOT_WRITTEN) < set(ANSWERING)
    for kind, reason in NOT_WRITTEN.items():
        spec = PipelineSpec("it", "speech", ((kind, {}),))
        with pytest.raises(EdgeSerError, match=f"it cannot be exported: {kind}: {reason}"):
            export_pipeline(spec, None, tmp_path / "it", FORMATS)
        said = io.StringIO()
        with pytest.raises(Exception):  # noqa: B017 (skl2onnx's own, of any class)
            pipeline_to_onnx(spec.build().fit(x, names), SIZE, decides=False)
        del said
    for row in FORMATS:
        assert (row.refusal("vector") is None) == (row.key == "onnx-fp32")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A corpus of noises and rumbles, a pipeline on it, and the arguments of its export."""
    folder = tmp_path_factory.mktemp("pipeline")
    rng = np.random.default_rng(0)
    rows = ["file,speaker,emotion,fold"]
    for i in range(16):
        low = i // 4 % 2
        wave = 0.2 * rng.standard_normal(8000).astype(np.float32)
        write_wav(folder / f"{i}.wav", np.cumsum(wave) * 0.02 if low else wave)
        rows.append(f"{i}.wav,s{i % 4},{('angry', 'sad')[low]},{i % 2}")
    (folder / "t.csv").write_text("\n".join(rows) + "\n")
    (folder / "lr.toml").write_text(
        'name = "lr"\nfeatures = "speech"\nsteps = [{kind = "standardise"}, {kind = "logistic", C = 1.0}]\n'
    )
    return folder


@pytest.fixture
def quick(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("EDGE_SER_FEATURES", "numpy")  # nothing is compiled


def test_from_a_description_to_an_answer(made, quick, tmp_path, capsys):
    out = tmp_path / "lr"
    options = [str(made / "lr.toml"), "--corpus", str(made / "t.csv"), "--hold-out", "1"]
    assert main(["export", *options, "--out", str(out), "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["format"] for row in document["formats"] if row["ok"]] == ["onnx"]
    bundle = load_bundle(out)
    assert json.loads((out / "bundle.json").read_text())["version"] == 5
    assert bundle.vector.name == "speech" and bundle.inputs[0].shape == (1, bundle.vector.size)
    assert bundle.training["clips"] == {"t": 8} and bundle.training["held_out_fold"] == 1
    entries = read_metadata(bundle.file("onnx").read_bytes(), "onnx")
    assert json.loads(entries["vector"])["size"] == bundle.vector.size and "spec" not in entries
    assert "one of 2 emotions (angry, sad)" in bundle.card.read_text()
    # The answers of predict are scikit-learn's.
    corpus = load_csv(made / "t.csv")
    from edge_ser.evaluation.pipelines import fitted, vectors_of

    spec = read_pipeline(made / "lr.toml")
    known, _ = vectors_of(spec, sorted(clip.path for clip in corpus.clips))
    heard = [clip for clip in corpus.clips if clip.fold != 1]
    model = fitted(spec, heard, np.stack([known[clip.path] for clip in heard]))
    files = [str(made / "3.wav"), str(made / "4.wav")]
    assert main(["predict", *files, "--model", str(out), "-o", "jsonl"]) == 0
    for line, file in zip(capsys.readouterr().out.splitlines(), ("3.wav", "4.wav"), strict=True):
        row = json.loads(line)
        wanted = shares_of(model, known[next(p for p in known if p.name == file)][None])[0]
        np.testing.assert_allclose(list(row["emotion"].values()), wanted, atol=1e-5)
        assert row["arousal"] is None and row["state"] == "speech"
    # It is no stream.
    for command, words in (
        (["listen", files[0], "--model", str(out)], "does not stream: use edge-ser predict"),
        (["verify", str(out)], "there is no stream to verify"),
        (["predict", files[0], "--model", str(out), "--plot", str(tmp_path / "a.png")], "leave --plot out"),
    ):
        assert main(command) == 2
        assert words in capsys.readouterr().err.strip().splitlines()[-1]
    with pytest.raises(EdgeSerError, match="too short"):
        VectorRecognizer.open(bundle).predict(np.zeros(100, np.float32))


def test_the_same_corpus_gives_the_same_bytes(made, quick, tmp_path):
    spec, corpus = read_pipeline(made / "lr.toml"), load_csv(made / "t.csv")
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        export_pipeline(spec, corpus, tmp_path / place / "lr", choose_formats("onnx"))
    for file in (tmp_path / "one" / "lr").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / "lr" / file.name).read_bytes()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "say --corpus"),
        (["--corpus", "none.csv"], "none.csv"),
        (["--corpus", "t.csv", "--window", "3"], "--window says nothing of a pipeline"),
        (["--corpus", "t.csv", "--accept-drop"], "--accept-drop says nothing of a pipeline"),
    ],
)
def test_bad_use_is_one_sentence(made, tmp_path, capsys, monkeypatch, options, words):
    monkeypatch.chdir(made)
    assert main(["export", "lr.toml", "--out", str(tmp_path / "lr"), *options]) == 2
    assert words in capsys.readouterr().err.strip().splitlines()[-1]
    assert (
        main(["export", "lr.toml", "--out", str(tmp_path / "lr"), "--corpus", "t.csv", "--format", "int8"])
        == 1
    )
    assert "for networks" in capsys.readouterr().err


def test_wrong_entries_are_refused(made, quick, tmp_path):
    _, bundle = export_pipeline(
        read_pipeline(made / "lr.toml"), load_csv(made / "t.csv"), tmp_path / "lr", choose_formats("onnx")
    )
    entries = json.loads((bundle.path / "bundle.json").read_text())
    for change, words in (
        ({"vector": entries["vector"] | {"size": 7}}, "inputs"),
        ({"vector": entries["vector"] | {"description": 3}}, "vector.description"),
        ({"vector": None}, "inputs"),
        ({"window": {"samples": 16000, "normalise": "none"}}, "vector"),
        (
            {"files": [one | ({"form": "step"} if one["engine"] else {}) for one in entries["files"]]},
            "'vector'",
        ),
    ):
        (bundle.path / "bundle.json").write_text(json.dumps(entries | change))
        with pytest.raises(EdgeSerError, match=words):
            load_bundle(bundle.path)
