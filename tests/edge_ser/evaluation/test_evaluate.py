"""Evaluating a bundle: every clip is scored, or the result says why not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ser.audio import write_wav
from edge_ser.bundle import Bundle
from edge_ser.cli import main
from edge_ser.commands.evaluate import print_figures
from edge_ser.corpora import LeftOut, load_csv
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.evaluate import (
    by_seed,
    evaluate_bundle,
    evaluate_checkpoints,
)
from edge_ser.recognizer import Recognizer
from tests.support import need_corpus

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, numpy_bundle: Bundle) -> Path:
    """Six clips of noise of three speakers; one class that the bundle does not know, one clip too short."""
    folder = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(0)
    rows = ["file,speaker,emotion,arousal,dominance,valence"]
    labels = [*numpy_bundle.labels[:2], "homesick"] * 2
    for i, label in enumerate(labels):
        seconds = 0.1 if i == 4 else 1.0
        wave = 0.1 * rng.standard_normal(int(16000 * seconds)).astype(np.float32)
        write_wav(folder / f"{i}.wav", np.cumsum(wave) * 0.05 if i % 2 else wave)
        rows.append(f"{i}.wav,s{i % 3},{label},0.{i + 1},0.5,0.{9 - i}")
    path = folder / "noise.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_scores_are_those_of_the_recognizer_and_nothing_is_dropped_in_silence(
    table: Path, numpy_bundle: Bundle
) -> None:
    corpus = load_csv(table)
    result = evaluate_bundle(str(numpy_bundle.path), corpus, engine="numpy")
    assert [Path(entry["file"]).name for entry in result["excluded"]] == ["4.wav"]
    assert "shorter than one step" in result["excluded"][0]["reason"]
    assert result["not_scored"] == {"homesick": 2}
    assert result["folds"][0]["n"] == np.sum(result["confusion"]) == 3
    assert (result["folds"][0]["fold"], result["folds"][0]["seed"]) == (0, 0)
    assert result["adv"]["n"] == 5  # ratings count whatever the class
    assert result["seen_in_training"] is False and result["params"] == numpy_bundle.parameters
    recognizer = Recognizer.load(numpy_bundle.path, engine="numpy")
    from edge_ser.audio import load_audio

    answer = recognizer.predict(load_audio(corpus.clips[0].path))
    known = result["labels"]
    best = max(known, key=lambda label: answer.emotion[label])
    assert result["confusion"][0][known.index(best)] >= 1


def test_the_command_says_it_to_people_and_programs(
    table: Path, numpy_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["evaluate", str(numpy_bundle.path), "--corpus", str(table), "--engine", "numpy"]
    out = tmp_path / "deep" / "noise.json"
    assert main([*call, "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "UAR" in printed.out and "homesick" in printed.out and "4.wav" in printed.err
    assert main([*call, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(out.read_text())


def test_a_report_holds_every_answer_and_every_exclusion(
    table: Path, numpy_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    call = ["evaluate", str(numpy_bundle.path), "--corpus", str(table), "--engine", "numpy", "-o", "json"]
    assert main([*call, "--report", str(tmp_path / "r")]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result == json.loads((tmp_path / "r" / "figures.json").read_text())
    assert result["clips"] == 5 and len(result["excluded"]) == 1 and result["not_scored"] == {"homesick": 2}
    answers = json.loads((tmp_path / "r" / "predictions.json").read_text())["answers"]
    assert len(answers) == 5 and all(row["state"] for row in answers)
    assert "4.wav" in (tmp_path / "r" / "report.html").read_text()


def test_robustness_and_streaming_from_the_command(
    table: Path, numpy_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("noise", "esc10", "rir"):
        need_corpus(name)
    call = ["evaluate", str(numpy_bundle.path), "--corpus", str(table), "--engine", "numpy", "--clips", "9"]
    assert main([*call, "--robustness", "--streaming", "--report", str(tmp_path / "r"), "-o", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert len(result["excluded"]) == 1 and result["robustness"]["protocol"].startswith("3 of 5 clips")
    rows = {row["condition"]: row for row in result["robustness"]["conditions"]}
    assert rows["clean"]["lost"] == 0 and rows["clean"]["same_label"] == 1 and len(rows) == 36
    assert [(row["model"], row["tests"]) for row in result["tests"]["summary"]] == [
        (name, len(result["tests"]["tests"])) for name in (numpy_bundle.name, "random")
    ]
    own, random = result["tests"]["summary"]
    assert own["passed"] == pytest.approx(np.mean([row["ok"] for row in result["tests"]["tests"]]))
    assert random["passed"] == pytest.approx(np.mean([row["random ok"] for row in result["tests"]["tests"]]))
    assert all(row["ok"] == (row["figure"] >= row["limit"]) for row in result["tests"]["tests"]
               if "change of" in row["test"])  # fmt: skip
    assert result["streaming"]["figures"]["turns"] >= 1
    page = (tmp_path / "r" / "report.html").read_text()
    assert "Robustness" in page and "In a stream" in page and "arXiv 2312.06270" in page


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (["--protocol", "speaker"], "belong to --pipeline"),
        (["--coverage", "0", "--session"], "--coverage lies above 0"),
        (["--coverage", "1.1", "--session"], "--coverage lies above 0"),
        (["--coverage", "0.5"], "--coverage is of the figures of a report: give --report"),
        (["--clips", "9", "--session"], "--clips is of --robustness, --streaming and --teacher"),
        (["--labels", "homesick,happpy"], "--labels names happpy, and noise has "),
        (["--labels", "bored"], "has none of bored"),
        (["--out", "/dev/null/x.json"], "/dev/null is no folder"),
        (["--report", "/dev/null/r"], "/dev/null is no folder"),
        (["--labels", " ,"], "--labels names no emotion"),
        (["--teacher", "t", "--encoder", "e", "--precision", "int8"], "leave out --engine and --precision"),
        (["--clips", "0", "--streaming"], "--clips must be at least 1, not 0"),
        (["--pipeline", "x.toml", "--robustness"], "neither --robustness"),
        (["stream72k", "--pipeline", "x.toml"], "name no model"),
        (["--checkpoints", "folder", "--streaming"], "name an --engine for the checkpoints"),
        (["--pipeline", "none.toml"], "no pipeline"),
        (["--teacher", "t"], "--teacher and --encoder go together"),
        (["--teacher", "t", "--encoder", "e", "--streaming"], "cannot stream"),
        (["--teacher", "t", "--encoder", "e"], "has no folds"),
        (["--fold", "1"], "belongs to --checkpoints or --teacher"),
    ],
)
def test_options_that_do_not_go_together(
    table: Path, options: list[str], wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--corpus", str(table), *options]) == 2
    assert wrong in capsys.readouterr().err


def test_a_corpus_with_no_known_class_and_no_rating(table: Path, numpy_bundle: Bundle) -> None:
    corpus = load_csv(table).restrict(["homesick"])
    stripped = corpus.keep(lambda clip: False)
    with pytest.raises(EdgeSerError, match="none of them"):
        evaluate_bundle(str(numpy_bundle.path), stripped, engine="numpy")


def test_bundle_and_checkpoints_together_are_refused(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "x", "--corpus", str(table), "--checkpoints", "y"]) == 2
    assert "not both" in capsys.readouterr().err


def test_seeds_stand_side_by_side(folds: Path, checkpoints: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["evaluate", "--corpus", str(folds), "--checkpoints", str(checkpoints)]
    assert main([*call, "-o", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [(one["fold"], one["seed"]) for one in result["folds"]] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert [one["seed"] for one in result["by_seed"]] == result["seeds"] == [0, 1]
    assert np.mean([one["uar"] for one in result["by_seed"]]) == pytest.approx(result["uar"]["mean"])
    assert "quantisation" not in result and "step by step" in result["protocol"]
    assert main(call) == 0
    printed = capsys.readouterr().out
    assert "| fold |" in printed and "| seed 0 | seed 1 |" in printed
    first = [one["uar"] for one in result["folds"] if one["fold"] == 0]
    line = next(line for line in printed.splitlines() if line.startswith("|    0 |"))
    cells = [float(cell) for cell in line.strip("|").split("|")]
    assert cells == pytest.approx([0, np.mean(first), *first, 8], abs=1e-4)
    uars = [one["uar"] for one in result["by_seed"]]
    assert f"by seed 0: {uars[0]:.3f}, 1: {uars[1]:.3f}" in printed
    assert f"standard deviation {np.std(uars, ddof=1):.3f}" in printed


def test_a_clip_that_cannot_be_answered_ends_no_evaluation(
    folds: Path, checkpoints: Path, tmp_path: Path
) -> None:
    from edge_ser.commands.evaluate import device_form

    whole = load_csv(folds)
    write_wav(tmp_path / "short.wav", np.full(1600, 0.1, np.float32))
    (tmp_path / "broken.wav").write_bytes(b"RIFF nonsense")
    new = {0: tmp_path / "short.wav", 5: tmp_path / "broken.wav"}
    clips = [dataclasses.replace(c, path=new.get(i, c.path)) for i, c in enumerate(whole.clips)]
    clips[6] = dataclasses.replace(clips[6], emotion=None, arousal=None)
    corpus = dataclasses.replace(whole, clips=tuple(clips), left_out=(LeftOut("x.wav", "no fold given"),))
    scored: list[Any] = []
    plain = evaluate_checkpoints(checkpoints, corpus, onto=scored)
    assert [Path(one["file"]).name for one in plain["excluded"]] == [
        "short.wav",
        "broken.wav",
    ]  # once for both seeds
    assert "shorter than one step" in plain["excluded"][0]["reason"]
    assert plain["left_out"] == [
        {"what": "x.wav", "reason": "no fold given"},
        {"what": "1 clips", "reason": "they have neither an emotion nor ratings"},
    ]
    assert len(scored) == 2 * 13 and sum(row["n"] for row in plain["folds"]) == 2 * 13
    assert (
        evaluate_checkpoints(checkpoints, corpus, folds=[0])["left_out"][1:] == []
    )  # that clip is of fold 1
    through = evaluate_checkpoints(checkpoints, corpus, device=device_form("numpy", "fp32"))
    assert through["excluded"] == plain["excluded"] and through["quantisation"]["same_label"] == 1
    unheard = dataclasses.replace(
        corpus, clips=tuple(dataclasses.replace(c, path=tmp_path / "short.wav") for c in clips)
    )
    with pytest.raises(EdgeSerError, match="none of the 8 clips could be answered; the first: .*one step"):
        evaluate_checkpoints(checkpoints, unheard)


def test_clips_with_nothing_to_compare_are_counted(
    table: Path, numpy_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    rows = table.read_text().splitlines()
    bare = table.parent / "bare.csv"
    bare.write_text("\n".join([rows[0], "0.wav,s0,,,,", "1.wav,s1,,,,", *rows[3:]]) + "\n")
    call = ["evaluate", str(numpy_bundle.path), "--corpus", str(bare), "--engine", "numpy"]
    assert main([*call, "--out", str(tmp_path / "f.json"), "--report", str(tmp_path / "r")]) == 0
    told = "they have neither an emotion nor ratings"
    result = json.loads((tmp_path / "f.json").read_text())
    assert result["left_out"] == [{"what": "2 clips", "reason": told}]
    assert f"2 clips: {told}" in capsys.readouterr().err
    assert told in (tmp_path / "r" / "report.html").read_text()


def test_clips_that_labels_leave_out_are_counted(
    table: Path, numpy_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["evaluate", str(numpy_bundle.path), "--corpus", str(table), "--engine", "numpy", "-o", "json"]
    assert main([*call, "--labels", numpy_bundle.labels[0]]) == 0
    left = json.loads(capsys.readouterr().out)["left_out"]
    assert left == [
        {"what": "2 clips of noise", "reason": f"{label} is not among --labels"}
        for label in (numpy_bundle.labels[1], "homesick")
    ]


def test_some_folds_are_scored_by_themselves(
    folds: Path, checkpoints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def figures(*named: str) -> dict[str, Any]:
        call = ["evaluate", "--corpus", str(folds), "--checkpoints", str(checkpoints), *named, "-o", "json"]
        assert main(call) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    whole, both, one = figures(), figures("--fold", "1", "0"), figures("--fold", "1")
    assert both["folds"] == whole["folds"] and both["uar"] == whole["uar"]
    assert one["folds"] == [row for row in whole["folds"] if row["fold"] == 1]
    assert both["protocol"].startswith("folds 0 and 1 alone, each model on the speakers it never heard")
    assert one["protocol"].startswith("fold 1 alone, its model on")


def test_a_session_stands_beside_single_clips(
    folds: Path, checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["evaluate", "--corpus", str(folds), "--checkpoints", str(checkpoints)]
    assert main([*call, "-o", "json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert main([*call, "--session", "--out", str(tmp_path / "s.json")]) == 0
    assert "after others of the speaker's clips" in capsys.readouterr().out
    result = json.loads((tmp_path / "s.json").read_text())
    assert result["uar"] == plain["uar"] and result["session"]["uar_alone"] == pytest.approx(
        plain["uar"]["mean"]
    )
    assert {(row["fold"], row["seed"]) for row in result["session"]["folds"]} == {
        (f, s) for f in (0, 1) for s in (0, 1)
    }
    assert main([*call, "--session", "--fold", "0"]) == 2
    assert "leave --fold out" in capsys.readouterr().err


def test_one_seed_needs_no_columns_of_seeds(
    folds: Path, checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for fold in range(2):
        name = f"fold{fold}-seed0.safetensors"
        (tmp_path / name).write_bytes((checkpoints / name).read_bytes())
    assert main(["evaluate", "--corpus", str(folds), "--checkpoints", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "by seed" not in printed and "seed 0" not in printed
    assert by_seed([{"fold": 0, "seed": 3, "uar": 0.5}, {"fold": 1, "seed": 3, "uar": 1.0}]) == [
        {"seed": 3, "uar": 0.75}
    ]


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """What models are calibrated on (the fold held out, and the clips' folds), and how ranges follow from it."""
    import export.calibration
    import export.source

    seen: dict[str, list[Any]] = {"heard": [], "asked": []}
    calibrate, observe = export.calibration.calibrate_on_clips, export.source.observe

    def on_clips(clips, spec, step_frames, *, held_out_fold):  # type: ignore[no-untyped-def]
        seen["heard"].append((held_out_fold, {clip.fold for clip in clips}))
        return calibrate(clips, spec, step_frames, held_out_fold=held_out_fold)

    def observed(model, features, method="minmax"):  # type: ignore[no-untyped-def]
        seen["asked"].append(method)
        return observe(model, features, method)

    monkeypatch.setattr(export.calibration, "calibrate_on_clips", on_clips)
    monkeypatch.setattr(export.source, "observe", observed)
    return seen


def test_int8_beside_float32(
    folds: Path, checkpoints: Path, capsys: pytest.CaptureFixture[str], spied: dict[str, list[Any]]
) -> None:
    call = ["evaluate", "--corpus", str(folds), "--checkpoints", str(checkpoints), "--precision", "int8"]
    assert main([*call, "--engine", "numpy", "-o", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert spied["heard"] == [(0, {1}), (1, {0})] * 2  # never a speaker of the fold that is tested
    assert set(spied["asked"]) == {"minmax"} and "ranges" not in result["quantisation"]
    lost = result["quantisation"]
    assert (lost["engine"], lost["precision"]) == ("numpy", "int8")
    assert "audio through numpy int8 streaming" in result["protocol"]
    plain = evaluate_checkpoints(checkpoints, load_csv(folds))
    assert lost["fp32_uar"] == plain["uar"]["mean"]
    assert lost["drop"] == pytest.approx(plain["uar"]["mean"] - result["uar"]["mean"])
    assert 0.8 <= lost["same_label"] <= 1
    assert [one["fp32_uar"] for one in result["folds"]] == [one["uar"] for one in plain["folds"]]
    assert result["adv"]["n"] == plain["adv"]["n"] == 32
    for name in ("arousal", "valence"):
        assert result["adv"][name]["ccc"] == pytest.approx(plain["adv"][name]["ccc"], abs=0.1)
    print_figures(result)
    assert "numpy int8 loses" in capsys.readouterr().out


def test_int8_of_a_fold_in_noise_and_in_a_stream(
    folds: Path, checkpoints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("noise", "esc10", "rir"):
        need_corpus(name)
    call = ["evaluate", "--corpus", str(folds), "--checkpoints", str(checkpoints), "--fold", "1"]
    call += ["--precision", "int8", "--engine", "numpy", "--clips", "4", "--robustness", "--streaming"]
    assert main([*call, "-o", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    for part in ("robustness", "tests"):
        assert "4 of " in result[part]["protocol"] and "through numpy int8" in result[part]["protocol"]
    assert len(result["robustness"]["conditions"]) == 36 and result["streaming"]["figures"]["turns"] >= 1
    assert result["calibration"]["ece"] >= 0 and {one["fold"] for one in result["folds"]} == {1}


def test_float32_through_a_device_is_torch(folds: Path, checkpoints: Path) -> None:
    from edge_ser.commands.evaluate import device_form

    assert device_form("auto", "fp32") is None
    through = evaluate_checkpoints(checkpoints, load_csv(folds), device=device_form("numpy", "fp32"))
    assert through["temperature"] == 1.0
    assert through["quantisation"]["drop"] == 0 and through["quantisation"]["same_label"] == 1
    assert through["confusion"] == evaluate_checkpoints(checkpoints, load_csv(folds))["confusion"]


def test_ranges_follow_as_asked(
    folds: Path, checkpoints: Path, capsys: pytest.CaptureFixture[str], spied: dict[str, list[Any]]
) -> None:
    call = ["evaluate", "--corpus", str(folds), "--checkpoints", str(checkpoints), "--fold", "0"]
    call += ["--engine", "numpy", "-o", "json", "--calibration", "mse"]
    assert main([*call, "--precision", "int8"]) == 0
    assert "mse" in spied["asked"] and json.loads(capsys.readouterr().out)["quantisation"]["ranges"] == "mse"
    assert main(call) == 2
    assert "name a --precision of fewer bits" in capsys.readouterr().err


def test_a_precision_that_nothing_makes(
    folds: Path, checkpoints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["evaluate", "--corpus", str(folds), "--checkpoints", str(checkpoints), "--precision", "fp16"]
    assert main([*call, "--engine", "numpy"]) == 2
    assert "nothing can be exported for numpy in fp16" in capsys.readouterr().err
