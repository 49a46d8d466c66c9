"""`FeatureTable` as scikit-learn uses it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from edge_ser.audio import load_audio
from edge_ser.dsp.features import FeatureSpec
from edge_ser.errors import EdgeSerError, MissingExtraError
from edge_ser.features import Cache, VectorSpec, feature_vector, vector_names

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra 'features')")

from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402

from edge_ser.features import FeatureTable  # noqa: E402

SPEC = VectorSpec(
    FeatureSpec(n_fft=512, hop_length=256, n_mels=20, n_mfcc=5), ("mfcc", "rms"), ("mean", "std")
)
#: scikit-learn's checks give rows of two numbers and more: frames of two samples.
TINY = VectorSpec(FeatureSpec(n_fft=2, hop_length=1), ("rms", "zero_crossing_rate"), ("mean", "std"))

EXPECTED_TO_FAIL = {
    "check_estimators_dtypes": "whole numbers are no audio in -1..1: nobody said of what scale they are",
    "check_transformer_general": "recordings in transform may be of another length than those in fit",
}


@pytest.fixture
def paths(sounds):
    return [p for p in sorted(sounds.glob("*.wav")) if "bad" not in p.name]


def test_scikit_learns_own_checks():
    results = check_estimator(
        FeatureTable(TINY), expected_failed_checks=EXPECTED_TO_FAIL, on_fail=None, on_skip=None
    )
    failed = [f"{r['check_name']}: {r['exception']}" for r in results if r["status"] == "failed"]
    assert failed == []
    assert sum(r["status"] == "passed" for r in results) > 25
    assert FeatureTable(TINY).__sklearn_tags__().input_tags.string
    assert {r["check_name"] for r in results if r["status"] == "xfail"} == set(EXPECTED_TO_FAIL)


def test_parameters_survive_get_set_and_clone():
    assert FeatureTable().get_params() == {"spec": "speech", "cache": False, "n_jobs": 1}
    table = FeatureTable(SPEC, cache=True, n_jobs=3)
    assert table.get_params() == {"spec": SPEC, "cache": True, "n_jobs": 3}
    assert clone(table).get_params() == table.get_params()
    assert table.set_params(spec="classic", n_jobs=1).get_params() == {
        "spec": "classic",
        "cache": True,
        "n_jobs": 1,
    }


def test_files_and_their_waveforms_give_the_same(paths):
    expected = np.stack([feature_vector(load_audio(p), SPEC) for p in paths])
    table = FeatureTable(SPEC)
    np.testing.assert_array_equal(table.fit_transform(paths), expected)
    np.testing.assert_array_equal(table.transform([str(p) for p in paths]), expected)
    np.testing.assert_array_equal(table.transform(np.array([str(p) for p in paths])), expected)
    np.testing.assert_array_equal(table.transform([load_audio(p) for p in paths]), expected)
    square = np.stack([load_audio(p)[:4000] for p in paths])
    np.testing.assert_array_equal(table.transform(square)[0], feature_vector(square[0], SPEC))
    assert table.get_feature_names_out().tolist() == list(vector_names(SPEC))


def test_pandas_in_and_out(paths):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed (extra 'features')")
    table = FeatureTable(SPEC).set_output(transform="pandas")
    frame = pandas.DataFrame({"file": [str(p) for p in paths]})
    out = table.fit_transform(frame)
    assert list(out.columns) == list(vector_names(SPEC)) and len(out) == len(paths)
    np.testing.assert_array_equal(table.transform(frame["file"]).to_numpy(), out.to_numpy())
    with pytest.raises(EdgeSerError, match="a table of 2 columns is no list of sound files"):
        table.transform(frame.assign(speaker="a"))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_cache_is_used(paths, tmp_path, n_jobs):
    folder = tmp_path / "vectors"
    first = FeatureTable(SPEC, cache=folder, n_jobs=n_jobs).fit_transform(paths)
    entries = {p: p.read_bytes() for p in folder.glob("??/*")}
    assert len(entries) == len(paths)
    np.testing.assert_array_equal(FeatureTable(SPEC, cache=Cache(folder)).fit_transform(paths), first)
    assert {p: p.read_bytes() for p in folder.glob("??/*")} == entries
    FeatureTable(SPEC).fit_transform(paths)
    assert not (tmp_path / "xdg").exists()
    FeatureTable(SPEC, cache=True).fit_transform(paths)
    assert len(list((tmp_path / "xdg" / "edge-ser" / "features").glob("??/*"))) == len(paths)


def test_as_many_processes_as_asked_for(paths, monkeypatch):
    from edge_ser.features import estimator

    asked, extract = [], estimator.extract
    monkeypatch.setattr(estimator, "extract", lambda *a, jobs, **k: asked.append(jobs) or extract(*a, **k))
    for n_jobs in (1, 3):
        FeatureTable(SPEC, n_jobs=n_jobs).fit_transform(paths[:1])
    assert asked == [1, 3]


def test_what_was_not_fitted_says_so():
    for ask in (lambda table: table.transform([np.zeros(1000)]), FeatureTable.get_feature_names_out):
        with pytest.raises(NotFittedError):
            ask(FeatureTable(SPEC))


def test_a_step_of_a_pipeline_searched_over():
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    rng = np.random.default_rng(0)
    t = np.arange(2000) / 16000
    waves = [0.3 * np.sin(2 * np.pi * hz * t) + rng.normal(0, 0.01, len(t)) for hz in [300, 2000] * 8]
    words = ["low", "high"] * 8
    pipeline = make_pipeline(FeatureTable(SPEC), StandardScaler(), SVC())
    other = VectorSpec(SPEC.frames, ("rms",), ("mean",))
    search = GridSearchCV(pipeline, {"featuretable__spec": [SPEC, other]}, cv=2, error_score="raise").fit(
        waves, words
    )
    assert search.best_params_ == {"featuretable__spec": SPEC} and search.best_score_ == 1.0


def test_what_cannot_be_done_is_a_sentence(paths, sounds, monkeypatch):
    table = FeatureTable(SPEC).fit(paths)
    with pytest.raises(EdgeSerError, match=r"2-bad.wav is not a sound file .* \(and 1 more of 3 files\)"):
        table.transform([sounds / "2-bad.wav", paths[0], sounds / "gone.wav"])
    with pytest.raises(EdgeSerError, match=r"recording 1: 0.006 s of audio are too short"):
        table.transform([np.zeros(1000), np.zeros(100)])
    with pytest.raises(EdgeSerError, match="recording 0: audio holds 1 samples that are NaN"):
        table.transform([np.array([np.nan] + [0.0] * 1000)])
    with pytest.raises(EdgeSerError, match="is one file; give a list"):
        table.transform(str(paths[0]))
    with pytest.raises(EdgeSerError, match="is one file; give a list"):
        table.transform(paths[0])
    with pytest.raises(EdgeSerError, match="not both at once"):
        table.transform([paths[0], np.zeros(1000)])
    with pytest.raises(EdgeSerError, match="0 recordings"):
        table.transform([])
    for single in (3, np.array(0.5)):
        with pytest.raises(TypeError, match=f"is needed, not {type(single).__name__}"):
            table.transform(single)
    with pytest.raises(EdgeSerError, match="no feature set 'loud'"):
        FeatureTable("loud").fit(paths)
    with pytest.raises(EdgeSerError, match="the features want 8000 Hz"):
        FeatureTable(VectorSpec(FeatureSpec(sample_rate=8000), ("rms",), ("mean",))).fit_transform(paths)


def test_without_scikit_learn_it_is_a_sentence_and_all_else_works(monkeypatch):
    import edge_ser.features

    for name in [m for m in sys.modules if m.split(".")[0] == "sklearn"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "edge_ser.features.estimator")
    with pytest.raises(
        MissingExtraError, match=r"needed for FeatureTable: pip install 'edge-ser\[features\]'"
    ):
        _ = edge_ser.features.FeatureTable
    with pytest.raises(AttributeError, match="no attribute 'FeatureTables'"):
        _ = edge_ser.features.FeatureTables
    assert isinstance(Path(edge_ser.features.__file__), Path)
