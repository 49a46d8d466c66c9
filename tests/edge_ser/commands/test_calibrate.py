"""``edge-ser calibrate``: a copy of a bundle with what was fitted, from honest answers alone."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from edge_ser.audio import load_audio, write_wav
from edge_ser.bundle import Bundle, load_bundle, write_bundle
from edge_ser.cli import main
from edge_ser.commands import calibrate
from edge_ser.corpora import Clip, Corpus, load_csv
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.answers import Answers
from edge_ser.evaluation.calibrate import with_temperature
from edge_ser.evaluation.evaluate import evaluate_bundle
from edge_ser.evaluation.score import Scored
from edge_ser.recognizer import Recognizer

N = 300


def predictions(folder: Path, labels: tuple[str, ...], count: int = N, **about: object) -> Path:
    """Answers that are twice too sure."""
    rng = np.random.default_rng(N - count)
    right = rng.dirichlet([0.7] * len(labels), count)
    truth = [int(rng.choice(len(labels), p=row)) for row in right]
    clips = tuple(
        Clip(Path(f"{i}.wav"), "made", f"s{i % 6}", labels[t], fold=i % 3) for i, t in enumerate(truth)
    )
    answers = Answers(
        {"corpus": "made", "protocol": "made up", "model": "stream72k", "params": 1, "seeds": [0], **about},
        labels, clips, with_temperature(right, 0.5), np.full((count, 3), 0.5), np.arange(count) % 3,
        np.zeros(count, np.int64), (None,) * count,
    )  # fmt: skip
    folder.mkdir()
    (folder / "predictions.json").write_text(json.dumps(answers.to_dict()))
    return folder


def test_a_bundle_gets_its_temperature_and_rule_and_keeps_its_files(
    numpy_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = predictions(tmp_path / "p", numpy_bundle.labels)
    out = tmp_path / "b"
    call = [
        "calibrate",
        str(numpy_bundle.path),
        "--predictions",
        str(given),
        "--no-detector",
        "--out",
        str(out),
    ]
    assert main([*call, "-o", "json", "--record", str(tmp_path / "r" / "r.json")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((tmp_path / "r" / "r.json").read_text())
    crossed = told["speakers_left_out"]
    assert crossed["protocol"] == "other speakers, 6 in 5 groups" and crossed["clips"] == N
    assert crossed["ece"] < 0.12 and 0.7 < crossed["coverage"] < 0.9 and crossed["gain"] > 0
    assert crossed["by_clips"] == {name: crossed[name] for name in crossed["by_clips"]}  # one corpus
    before = told["as_it_was"]
    assert before["protocol"] == "the bundle, fitted on nothing" and before["clips"] == N
    assert before["coverage"] == 1.0 and before["gain"] == 0.0 and before["ece"] > crossed["ece"]
    made = load_bundle(out)
    assert made.calibration.temperature == told["calibration"]["temperature"]
    assert made.calibration.temperature == pytest.approx(2.0, rel=0.15)
    assert made.calibration.coverage is not None and made.calibration.coverage >= 0.8
    assert made.calibration.typical is not None and len(made.calibration.typical) == len(made.labels)
    assert all(abs(sum(row)) < 1e-3 for row in made.calibration.typical)
    assert made.calibration.typical == tuple(map(tuple, told["calibration"]["typical"]))
    assert "made" in made.calibration.fitted_on and made.speech_detector is None
    assert made.file("numpy").read_bytes() == numpy_bundle.file("numpy").read_bytes()
    card = made.card
    assert card is not None and "calibrated with a temperature" in card.read_text()
    assert "--adapt" in card.read_text()
    wave = (0.1 * np.random.default_rng(0).standard_normal(16000)).astype(np.float32)
    old, new = (Recognizer.load(b.path, engine="numpy").predict(wave) for b in (numpy_bundle, made))
    assert new.label == old.label and new.confidence < old.confidence
    assert main(call) == 2 and "exists" in capsys.readouterr().err
    # the bundle that was made, asked about the same answers: its own rule leaves the share that it was fitted for
    again = ["calibrate", str(out), *call[2:-1], str(tmp_path / "c"), "--coverage", "0.5"]
    assert main([*again, "-o", "json"]) == 0
    kept = json.loads(capsys.readouterr().out)["as_it_was"]
    assert kept["coverage"] == made.calibration.coverage and "fitted on clips of made" in kept["protocol"]
    assert kept["by_clips"]["ece"] == kept["ece"] < before["ece"]


def test_files_say_the_calibration_of_their_bundle(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("ai_edge_litert")
    from export.metadata import read_metadata

    given = predictions(tmp_path / "p", load_bundle("stream72k").labels)
    call = [
        "calibrate",
        "stream72k",
        "--no-detector",
        "--predictions",
        str(given),
        "--out",
        str(tmp_path / "b"),
    ]
    assert main(call) == 0
    made = load_bundle(tmp_path / "b")
    fitted = json.loads((made.path / "bundle.json").read_text())["calibration"]
    files = [file for file in made.files if file.engine in ("onnx", "litert")]
    assert len(files) == 4
    for file in files:
        said = read_metadata((made.path / file.path).read_bytes(), file.engine)
        assert json.loads(said["calibration"]) == fitted
        assert json.loads(said["calibration"])["temperature"] == made.calibration.temperature


def test_corpora_count_alike_in_what_is_fitted_and_in_what_it_is_worth(
    numpy_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = predictions(tmp_path / "few", numpy_bundle.labels, N // 3, corpus="other")
    many = predictions(tmp_path / "many", numpy_bundle.labels)

    def told(name: str, *given: Path) -> dict[str, dict[str, float]]:
        call = [
            "calibrate",
            str(numpy_bundle.path),
            "--no-detector",
            "--out",
            str(tmp_path / name),
            "-o",
            "json",
        ]
        assert main([*call, "--predictions", *map(str, given)]) == 0
        return json.loads(capsys.readouterr().out)

    mixed = told("mixed", few, many)
    # each clip of the small corpus weighs three times: as if it had been heard thrice
    again = [
        predictions(tmp_path / f"again{i}", numpy_bundle.labels, N // 3, corpus="other") for i in range(2)
    ]
    thrice = told("thrice", few, *again, many)["speakers_left_out"]
    worth = ("ece", "coverage", "accuracy", "gain")
    assert mixed["speakers_left_out"]["clips"] == N + N // 3
    assert {name: mixed["speakers_left_out"][name] for name in worth} == pytest.approx(
        {name: thrice["by_clips"][name] for name in worth}, abs=1e-9
    )


def test_the_order_of_clips_changes_nothing(
    numpy_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many = predictions(tmp_path / "many", numpy_bundle.labels)
    few = predictions(tmp_path / "few", numpy_bundle.labels, N * 2 // 3, corpus="other")
    document = json.loads((few / "predictions.json").read_text())
    made = []
    for name in ("as it was", "reversed"):
        call = ["calibrate", str(numpy_bundle.path), "--no-detector", "--out", str(tmp_path / name)]
        assert main([*call, "--predictions", str(few), str(many), "-o", "json"]) == 0
        told = json.loads(capsys.readouterr().out)
        made.append((np.array(told["calibration"].pop("typical")), told["calibration"]))
        document["answers"].reverse()
        (few / "predictions.json").write_text(json.dumps(document))
    assert made[0][1] == made[1][1] and made[0][0] == pytest.approx(made[1][0], abs=2e-4)


def test_two_reports_of_one_corpus_are_one_corpus(
    numpy_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many = predictions(tmp_path / "many", numpy_bundle.labels)
    halves = [predictions(tmp_path / f"half{i}", numpy_bundle.labels, N // 2, corpus="other") for i in "ab"]
    call = ["calibrate", str(numpy_bundle.path), "--no-detector", "-o", "json", "--predictions", str(many)]
    made = []
    for given in (halves[:1], halves):  # the same answers twice over
        assert main([*call, *map(str, given), "--out", str(tmp_path / f"b{len(given)}")]) == 0
        made.append(json.loads(capsys.readouterr().out)["calibration"])
    assert made[0] == made[1] and "clips of made, other," in made[0]["fitted_on"]


def heard(bundle: Bundle, corpus: Corpus, folder: Path) -> Path:
    """What edge-ser evaluate BUNDLE --report writes, without the page."""
    scored: list[Scored] = []
    result = evaluate_bundle(str(bundle.path), corpus, engine="numpy", onto=scored)
    folder.mkdir()
    answers = Answers.of(result, scored, result["labels"])
    (folder / "predictions.json").write_text(json.dumps(answers.to_dict()))
    return folder


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory, numpy_bundle: Bundle) -> Corpus:
    """Noise of four speakers, mostly of the emotion that the bundle names and of some other."""
    folder = tmp_path_factory.mktemp("mine")
    rng, recognizer = np.random.default_rng(0), Recognizer.load(numpy_bundle.path, engine="numpy")
    rows = ["file,speaker,emotion"]
    for i in range(24):
        wave = np.convolve(rng.standard_normal(16000), rng.standard_normal(i % 8 + 1), "same")
        write_wav(folder / f"{i}.wav", (0.1 * wave / np.abs(wave).max()).astype(np.float32))
        said = recognizer.predict(load_audio(folder / f"{i}.wav")).ranked()[i % 3 == 0]
        rows.append(f"{i}.wav,s{i % 4},{said[0]}")
    (folder / "mine.csv").write_text("\n".join(rows) + "\n")
    return load_csv(folder / "mine.csv")


def test_a_bundle_that_is_calibrated_already_gets_the_same_again(
    numpy_bundle: Bundle, mine: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    bundle = numpy_bundle
    for i in range(3):
        report = heard(bundle, mine, tmp_path / f"report{i}")
        out = tmp_path / f"b{i}"
        call = ["calibrate", str(bundle.path), "--no-detector", "--predictions", str(report)]
        assert main([*call, "--out", str(out), "-o", "json"]) == 0
        told.append(json.loads(capsys.readouterr().out))
        bundle = load_bundle(out)
    first, again, third = (one["calibration"] for one in told)
    assert (
        first["fitted_on"]
        == "clips of mine, answered by a model that does not say whose speech it learnt from"
    )
    assert not 0.9 < first["temperature"] < 1.1  # or nothing would be seen of it
    for one in (again, third):
        assert one["temperature"] == pytest.approx(first["temperature"], rel=1e-3)
        assert one["unsure_below"] == pytest.approx(first["unsure_below"], abs=2e-4)
        assert one["coverage"] == first["coverage"]
    worth = [one["as_it_was"]["ece"] for one in told]
    assert worth[1] == pytest.approx(worth[2], abs=1e-3) and abs(worth[0] - worth[1]) > 0.01


def test_typical_answers_are_of_the_network_whatever_the_bundle_made_of_them(
    numpy_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = predictions(tmp_path / "plain", numpy_bundle.labels)
    softened = predictions(tmp_path / "softened", numpy_bundle.labels, temperature=2.0)
    document = json.loads((softened / "predictions.json").read_text())
    for row in document["answers"]:
        row["scores"] = with_temperature(np.array([row["scores"]]), 2.0)[0].tolist()
    (softened / "predictions.json").write_text(json.dumps(document))
    made = []
    for given in (plain, softened):
        call = ["calibrate", str(numpy_bundle.path), "--no-detector", "--predictions", str(given)]
        assert main([*call, "--out", str(tmp_path / f"b-{given.name}"), "-o", "json"]) == 0
        made.append(json.loads(capsys.readouterr().out)["calibration"])
    assert made[1]["temperature"] == pytest.approx(made[0]["temperature"], rel=1e-2)
    assert np.array(made[1]["typical"]) == pytest.approx(np.array(made[0]["typical"]), abs=0.05)


def test_a_bundles_answers_of_before_are_refused(
    numpy_bundle: Bundle, mine: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = heard(numpy_bundle, mine, tmp_path / "report")
    document = json.loads((report / "predictions.json").read_text())
    assert document["about"].pop("temperature") == 1.0 and document["about"].pop("answered_by")
    (report / "predictions.json").write_text(json.dumps(document))
    call = ["calibrate", str(numpy_bundle.path), "--no-detector", "--predictions", str(report)]
    assert main([*call, "--out", str(tmp_path / "b")]) == 2
    assert "evaluate --report again" in capsys.readouterr().err and not (tmp_path / "b").exists()


@pytest.mark.parametrize("about", [{"seen_in_training": True}, {"leaks": True}])
def test_answers_to_known_speakers_are_refused(
    numpy_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], about: dict[str, bool]
) -> None:
    given = predictions(tmp_path / "p", numpy_bundle.labels, **about)
    call = ["calibrate", str(numpy_bundle.path), "--predictions", str(given), "--no-detector"]
    assert main([*call, "--out", str(tmp_path / "b")]) == 2
    assert "learnt from" in capsys.readouterr().err and not (tmp_path / "b").exists()


def test_another_models_answers_and_nothing_at_all(
    numpy_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["calibrate", str(numpy_bundle.path), "--no-detector", "--out", str(tmp_path / "b")]
    given = predictions(tmp_path / "p", ("angry", "homesick"))
    assert main([*call, "--predictions", str(given)]) == 2
    assert "does not know homesick" in capsys.readouterr().err
    other = predictions(tmp_path / "q", numpy_bundle.labels, model="wav2small-17k")
    assert main([*call, "--predictions", str(other)]) == 2
    said = capsys.readouterr().err
    assert (
        "another model (wav2small-17k: wav2small-17k) than tiny (stream72k)" in said
        and "evaluate the" in said
    )
    assert not (tmp_path / "b").exists()
    assert main(call) == 2 and "nothing to do" in capsys.readouterr().err


def test_other_figures_take_the_place_of_those_recorded(
    numpy_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "result.json"
    result.write_text(json.dumps({"corpus": "mine", "protocol": "new speakers", "uar": {"mean": 0.25}}))
    call = ["calibrate", str(numpy_bundle.path), "--no-detector", "--out", str(tmp_path / "b")]
    assert main([*call, "--figures", str(tmp_path / "none.json")]) == 2
    assert "is not a file" in capsys.readouterr().err and not (tmp_path / "b").exists()
    assert main([*call, "--figures", str(result)]) == 0
    made = load_bundle(tmp_path / "b")
    assert [figure["protocol"] for figure in made.figures] == ["new speakers"]
    assert made.calibration == numpy_bundle.calibration
    assert made.card is not None and "| mine | new speakers | 0.250 |" in made.card.read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--out", "there"], "exists"),
        (["--out", "new", "--record", "there"], "is a folder"),
        (["--out", "new", "--figures", "absent.json"], "is not a file"),
        (["--out", "new", "--coverage", "0"], "--coverage lies above 0 and is at most 1, not 0"),
        (["--out", "new", "--coverage", "nan"], "--coverage lies above 0 and is at most 1, not nan"),
    ],
)
def test_what_could_not_be_written_is_told_before_anything_is_fitted(
    words: list[str], sentence: str, numpy_bundle: Bundle, tmp_path: Path, monkeypatch, capsys
) -> None:
    def fit(*_: object) -> None:
        raise AssertionError("minutes for nothing")

    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    for name in ("_calibration", "_detector"):
        monkeypatch.setattr(calibrate, name, fit)
    assert main(["calibrate", str(numpy_bundle.path), "--predictions", "p", *words]) == 2
    assert sentence in capsys.readouterr().err and not (tmp_path / "new").exists()


def test_a_detector_of_another_bundle_with_the_same_front_end(
    numpy_bundle: Bundle, tmp_path: Path, monkeypatch, capsys
) -> None:
    def fit(*_: object) -> None:
        raise AssertionError("no sounds are at hand")

    monkeypatch.setattr(calibrate, "_detector", fit)
    detector = json.loads((load_bundle("stream72k").path / "bundle.json").read_text())["speech_detector"]
    document = json.loads((numpy_bundle.path / "bundle.json").read_text())
    given = document.pop("files")
    files = {entry["path"]: (numpy_bundle.path / entry["path"]).read_bytes() for entry in given}
    document["files"] = [{key: entry[key] for key in ("path", "engine", "precision")} for entry in given]
    write_bundle(tmp_path / "hears", document | {"speech_detector": detector, "name": "hears"}, files)
    other = document | {
        "speech_detector": detector,
        "spec": document["spec"] | {"mean": -41.0},
        "name": "other",
    }
    write_bundle(tmp_path / "other", other, files)
    call = ["calibrate", str(numpy_bundle.path), "-o", "json", "--detector-of"]
    assert main([*call, str(tmp_path / "hears"), "--out", str(tmp_path / "b")]) == 0
    assert json.loads(capsys.readouterr().out)["speech_detector"] == detector["record"]
    made = load_bundle(tmp_path / "b")
    assert made.speech_detector is not None
    assert json.loads((made.path / "bundle.json").read_text())["speech_detector"] == detector
    assert made.calibration == numpy_bundle.calibration
    for model, sentence in (
        (str(numpy_bundle.path), "tiny has no detector of speech"),
        (str(tmp_path / "other"), "the detector of other hears another front end than tiny's"),
    ):
        assert main([*call, model, "--out", str(tmp_path / "c")]) == 2
        assert sentence in capsys.readouterr().err and not (tmp_path / "c").exists()


def test_the_detector_is_fitted_on_what_is_named(numpy_bundle: Bundle, tmp_path: Path, monkeypatch) -> None:
    asked: list[object] = []

    def fit(samples: object, *_: object) -> None:
        asked.append(samples)
        raise EdgeSerError("enough")

    here = "edge_ser.evaluation.rejection"
    monkeypatch.setattr(calibrate, "load_corpus", lambda name: argparse.Namespace(clips=[name]))
    monkeypatch.setattr(f"{here}.speech_samples", lambda clips, number: [(clips, number)])
    monkeypatch.setattr(f"{here}.sound_samples", lambda names: [names])
    monkeypatch.setattr(f"{here}.made_sounds", lambda: ["made"])
    monkeypatch.setattr(f"{here}.fit_detector", fit)
    words = ["calibrate", str(numpy_bundle.path), "--out", str(tmp_path / "new")]
    assert main([*words, "--speech", "a,b", "--sounds", "c,d", "--per-speaker", "3"]) == 2
    assert asked == [[(["a", "b"], 3), ["c", "d"], "made"]]
    assert not (tmp_path / "new").exists()
