"""Pipelines by their description: fitted per split, unreadable clips stated, pickles and unknown steps refused."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from edge_ser.audio import write_wav
from edge_ser.cli import main
from edge_ser.corpora import Corpus, load_csv
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.pipelines import KINDS, evaluate_pipeline, read_pipeline

pytest.importorskip("sklearn")

TOML = 'name = "lr"\nfeatures = "{features}"\nsteps = [{{kind = "standardise"}}, {{kind = "logistic", C = 1.0}}]\n'


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("EDGE_SER_FEATURES", "numpy")  # nothing is compiled


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    rng = np.random.default_rng(0)
    rows = ["file,speaker,emotion"]
    for i in range(16):
        low = i // 4 % 2
        wave = 0.2 * rng.standard_normal(8000).astype(np.float32)
        write_wav(tmp_path / f"{i}.wav", np.cumsum(wave) * 0.02 if low else wave)
        rows.append(f"{i}.wav,s{i % 4},{('angry', 'sad')[low]}")
    (tmp_path / "bad.wav").write_bytes(b"RIFF nonsense")
    rows.append("bad.wav,s0,sad")
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    return load_csv(tmp_path / "t.csv")


def described(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "p.toml"
    path.write_text(text)
    return path


def test_a_pipeline_is_fitted_on_the_other_speakers(corpus: Corpus, tmp_path: Path) -> None:
    spec = read_pipeline(described(tmp_path, TOML.format(features="classic")))
    result, answers = evaluate_pipeline(spec, corpus, "speaker", curve=True)
    assert result["uar"]["mean"] == 1.0 and result["baseline_uar"] == 0.5 and not result["leaks"]
    assert len(answers) == 16 and answers.scores.sum(1) == pytest.approx(1)
    assert [Path(one["file"]).name for one in result["excluded"]] == ["bad.wav"]
    assert [row["speakers"] for row in result["learning_curve"]] == [2, 3]
    leaking, _ = evaluate_pipeline(spec, corpus, "random")
    assert leaking["leaks"] and "LEAKS" in leaking["protocol"]


def test_a_side_of_which_nothing_can_be_read_is_stated(corpus: Corpus, tmp_path: Path) -> None:
    spec = read_pipeline(described(tmp_path, TOML.format(features="classic")))
    broken = corpus.clips[-1].path

    def silenced(unheard: str) -> Corpus:
        clips = (dataclasses.replace(c, path=broken) if c.speaker == unheard else c for c in corpus.clips)
        return dataclasses.replace(corpus, clips=tuple(clips))

    result, answers = evaluate_pipeline(spec, silenced("s3"), "speaker")
    assert result["left_out"] == [{"what": "s3", "reason": "none of its 4 clips could be read"}]
    assert len(answers) == 12 and "s3" in result["splits"]
    two = silenced("s0").keep(lambda clip: clip.speaker in ("s0", "s1"))
    with pytest.raises(EdgeSerError, match=r"4 clips of s1: none of the clips to train on .*bad\.wav"):
        evaluate_pipeline(spec, two, "speaker")


def test_figures_of_a_split_that_leaks_are_marked_and_not_fitted_to_others(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    path = described(tmp_path, TOML.format(features="classic"))
    call = ["evaluate", "--pipeline", str(path), "--corpus", str(tmp_path / "t.csv"), "--protocol", "random"]
    assert main([*call, "--out", str(tmp_path / "f.json"), "--report", str(tmp_path / "r")]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("LEAKS") and "not fitted" in printed
    result = json.loads((tmp_path / "f.json").read_text())
    assert result["leaks"] and len(result["folds"]) == 5
    assert "leaks speakers" in result["calibration"]["not_fitted"] and "fitted" not in result["calibration"]
    assert "Calibration is not fitted" in (tmp_path / "r" / "report.html").read_text()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("\x80\x04\x95", "describe it"),
        ('steps = [{kind = "os.system"}]', "there is no step 'os.system'"),
        ('steps = [{kind = ["svm"]}]', "there is no step"),
        ('steps = [{kind = "standardise"}]', "one that answers"),
        ('steps = [{kind = "svm"}, {kind = "pca"}]', "one that answers"),
        ("step = []", "holds name"),
    ],
)
def test_what_is_no_pipeline(tmp_path: Path, text: str, wrong: str) -> None:
    path = tmp_path / "p.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(EdgeSerError, match=wrong):
        read_pipeline(path)


def test_parameters_that_scikit_learn_does_not_know(tmp_path: Path) -> None:
    spec = read_pipeline(described(tmp_path, 'steps = [{kind = "svm", Z = 1}]'))
    with pytest.raises(EdgeSerError, match="the step svm"):
        spec.build()
    with pytest.raises(EdgeSerError, match="there is no pipeline"):
        read_pipeline(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "step",
    ['{kind = "neighbours", n_neighbors = 500}', '{kind = "mlp", hidden_layer_sizes = ["a"]}'],
    ids=["when it answers", "when it learns"],
)
def test_parameters_that_scikit_learn_refuses_late(corpus: Corpus, tmp_path: Path, step: str) -> None:
    spec = read_pipeline(described(tmp_path, f'features = "classic"\nsteps = [{step}]'))
    with pytest.raises(EdgeSerError, match="scikit-learn refuses the pipeline p: "):
        evaluate_pipeline(spec, corpus, "speaker")


def test_a_learning_curve_ends_at_the_figure(corpus: Corpus, tmp_path: Path) -> None:
    step = '{kind = "trivial", strategy = "uniform"}'  # one of those whose likeliest class is not what they predict
    spec = read_pipeline(described(tmp_path, f'features = "classic"\nsteps = [{step}]'))
    uneven = corpus.keep(lambda clip: len(clip.path.stem) > 1)
    result, _ = evaluate_pipeline(spec, uneven, "speaker", curve=True)
    assert result["learning_curve"][-1]["uar"] == pytest.approx(result["uar"]["mean"])


@pytest.mark.parametrize("more", [["--fold", "1"], ["--engine", "numpy"], ["--precision", "int8"]])
def test_what_a_pipeline_cannot_heed_is_refused(
    corpus: Corpus, tmp_path: Path, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = described(tmp_path, TOML.format(features="classic"))
    call = ["evaluate", "--pipeline", str(path), "--corpus", str(tmp_path / "t.csv"), *more]
    assert main(call) == 2
    assert "leave out --fold, --engine and --precision" in capsys.readouterr().err


def test_every_kind_can_be_built(tmp_path: Path) -> None:
    for kind, (_, answers) in KINDS.items():
        steps = f'steps = [{{kind = "{kind}"}}' + ("]" if answers else ', {kind = "bayes"}]')
        assert read_pipeline(described(tmp_path, steps)).build() is not None
