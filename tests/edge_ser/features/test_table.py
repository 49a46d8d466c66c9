"""From words to recordings, from recordings to tables, from tables to files and back."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_ser.audio import load_audio, write_wav
from edge_ser.dsp.features import FeatureSpec
from edge_ser.errors import EdgeSerError
from edge_ser.features import Cache, FeatureRows, VectorSpec, extract_rows, feature_vector, find_recordings
from edge_ser.features.recordings import Recording
from tests.support import need_corpus

SPEC = VectorSpec(
    FeatureSpec(n_fft=512, hop_length=256, n_mels=20, n_mfcc=5), ("mfcc", "rms"), ("mean", "std")
)


@pytest.fixture
def corpus(tmp_path):
    """A table of three recordings, one without an emotion."""
    folder = tmp_path / "mine"
    folder.mkdir()
    rng = np.random.default_rng(3)
    for name in "abc":
        write_wav(folder / f"{name}.wav", rng.normal(0, 0.1, 3000))
    (folder / "metadata.csv").write_text(
        "file,speaker,emotion,arousal,fold\na.wav,x,happy,0.5,0\nb.wav,y,,,1\nc.wav,x,sad,0.25,0\n"
    )
    return folder


def test_a_folder_with_a_table_is_a_corpus(corpus):
    recordings, left_out = find_recordings([corpus])
    assert [r.path.name for r in recordings] == ["a.wav", "b.wav", "c.wav"] and not left_out
    assert recordings[0].known["emotion"] == "happy" and recordings[0].known["fold"] == 0
    assert "emotion" not in recordings[1].known
    shutil.copy(corpus / "metadata.csv", corpus / "TABLE.CSV")
    by_table, _ = find_recordings([str(corpus / "TABLE.CSV")])
    assert [(r.path, r.known["speaker"]) for r in by_table] == [
        (r.path, r.known["speaker"]) for r in recordings
    ]


def test_a_folder_of_any_sounds_and_files_keep_their_order(sounds, corpus):
    recordings, _ = find_recordings([corpus / "c.wav", sounds, corpus / "a.wav"])
    assert [r.path.name for r in recordings] == [
        "c.wav", "0.wav", "1.wav", "2-bad.wav", "2.wav", "3.wav", "4.wav", "5.wav", "a.wav",
    ]  # fmt: skip
    assert all(r.known == {} for r in recordings)


def test_a_folder_of_official_names_is_that_corpus(sounds, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    shutil.copy(sounds / "0.wav", folder / "03-01-05-01-02-01-12.wav")
    (recording,), _ = find_recordings([folder])
    assert recording.known["corpus"] == "ravdess" and recording.known["speaker"] == "ravdess-12"
    assert recording.known["emotion"] == "angry"


def test_a_collection_of_sounds_has_its_labels_folds_and_speakers(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_SER_DATA", str(tmp_path))
    for file in ("esc10/audio/1-100032-A-0", "esc10/audio/stray", "fsdd/recordings/7_george_0"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        write_wav(tmp_path / f"{file}.wav", np.zeros(100))
    recordings, left_out = find_recordings(["esc10", "fsdd"])
    assert [dict(recording.known) for recording in recordings] == [
        {"corpus": "esc10", "label": "dog bark", "fold": 1},
        {"corpus": "fsdd", "label": "7", "speaker": "fsdd-george"},
    ]
    assert [one.what for one in left_out] == ["audio/stray.wav"]


def test_what_is_no_source_is_a_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(EdgeSerError, match="empty holds no sound files"):
        find_recordings([tmp_path / "empty"])
    with pytest.raises(EdgeSerError, match="'ravdes' is neither a file or folder .* nor a corpus .*ravdess"):
        find_recordings(["ravdes"])
    with pytest.raises(EdgeSerError, match="is neither a file or folder"):
        find_recordings(["~nobody-of-that-name/a"])
    with pytest.raises(EdgeSerError, match="name a corpus, a folder or sound files"):
        find_recordings([])
    assert find_recordings([tmp_path / "gone.wav"])[0] == [
        Recording(tmp_path / "gone.wav")
    ]  # said when its turn comes
    (tmp_path / "notes.txt").write_text("no sound")
    assert find_recordings([tmp_path / "notes.txt"])[0] == [Recording(tmp_path / "notes.txt")]  # as this is


def test_rows_are_the_vectors_and_what_is_known(corpus, sounds):
    recordings = find_recordings([corpus, sounds / "2-bad.wav", sounds / "3.wav"])[0]
    rows, failed = extract_rows(recordings, SPEC)
    assert [r.path.name for r in failed] == ["2-bad.wav"]
    assert len(rows) == 4 and list(rows.known)[:4] == ["file", "corpus", "speaker", "emotion"]
    assert rows.known["emotion"] == ["happy", None, "sad", None]
    assert rows.known["speaker"][3] is None
    for file, values in zip(rows.known["file"], rows.values, strict=True):
        np.testing.assert_array_equal(values, feature_vector(load_audio(file), SPEC))


def test_cache_processes_and_progress_are_those_asked_for(corpus, tmp_path, monkeypatch):
    from edge_ser.features import table

    asked, seen, work = [], [], table.extract
    monkeypatch.setattr(table, "extract", lambda *a, jobs, **k: asked.append(jobs) or work(*a, **k))

    def watched(results):
        for result in results:
            seen.append((result.path.name, result.cached))
            yield result

    recordings = find_recordings([corpus])[0]
    for jobs in (1, 3):
        extract_rows(recordings, SPEC, cache=Cache(tmp_path / "cache"), jobs=jobs, progress=watched)
    assert asked == [1, 3]
    assert seen == [(f"{name}.wav", cached) for cached in (False, True) for name in "abc"]


def test_a_column_has_one_type_that_holds_all_of_it():
    known = {
        "file": ["a", "b"], "fold": [0, 1], "take": [3, None], "score": [0.5, 1], "mixed": [1, "x"],
        "none": [None, None],
    }  # fmt: skip
    records = FeatureRows(known, (), np.zeros((2, 0), np.float32), SPEC).to_records()
    assert records["fold"].dtype == np.int64 and records["fold"].tolist() == [0, 1]
    np.testing.assert_array_equal(records["take"], [3, np.nan])
    assert records["score"].tolist() == [0.5, 1.0]
    assert records["mixed"].tolist() == ["1", "x"] and records["none"].tolist() == ["", ""]


def test_a_file_gives_back_what_was_written(corpus, tmp_path):
    rows, _ = extract_rows(find_recordings([corpus])[0], SPEC)
    rows.write(tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as file:
        head, *lines = csv.reader(file)
    assert head == [*rows.known, *rows.names] and len(head) == len(set(head))
    at = head.index(rows.names[0])
    np.testing.assert_array_equal(np.array([line[at:] for line in lines]).astype(np.float32), rows.values)
    assert [line[head.index("emotion")] for line in lines] == ["happy", "", "sad"]

    rows.write(tmp_path / "t.npz")
    with np.load(tmp_path / "t.npz") as held:
        np.testing.assert_array_equal(held["values"], rows.values)
        assert held["names"].tolist() == list(rows.names) and held["file"].tolist() == rows.known["file"]
        assert VectorSpec.from_dict(json.loads(str(held["spec"]))) == SPEC
        assert held["fold"].tolist() == [0, 1, 0] and held["emotion"].tolist() == ["happy", "", "sad"]
        np.testing.assert_array_equal(held["arousal"], [0.5, np.nan, 0.25])
    before = (tmp_path / "t.npz").read_bytes()
    rows.write(tmp_path / "T.NPZ")
    assert (tmp_path / "T.NPZ").read_bytes() == before


def test_records_and_pandas_hold_the_same(corpus, tmp_path):
    rows, _ = extract_rows(find_recordings([corpus])[0], SPEC)
    records = rows.to_records()
    assert records.dtype.names == (*rows.known, *rows.names)
    np.testing.assert_array_equal(records["mfcc_0_mean"], rows.values[:, 0])
    pandas = pytest.importorskip("pandas", reason="pandas is not installed (extra 'features')")
    frame = rows.to_pandas()
    assert list(frame.columns) == list(records.dtype.names) and frame["mfcc_0_mean"].dtype == np.float32
    assert frame["emotion"].isna().tolist() == [False, True, False]
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra 'features')")
    rows.write(tmp_path / "t.parquet")
    assert parquet.read_table(tmp_path / "t.parquet").column_names == list(frame.columns)
    pandas.testing.assert_frame_equal(pandas.read_parquet(tmp_path / "t.parquet"), frame, check_dtype=False)


def test_a_table_of_nothing_has_its_columns(tmp_path):
    rows, failed = extract_rows([Recording(tmp_path / "gone.wav")], SPEC)
    assert len(rows) == 0 and len(failed) == 1 and rows.values.shape == (0, len(rows.names))
    assert rows.to_csv().splitlines() == [",".join(["file", *rows.names])]


@pytest.mark.parametrize("kind", [".csv", ".npz", ".parquet"])
def test_a_file_whose_name_is_no_utf8_has_its_row(kind, corpus, tmp_path):
    for module in ("pandas", "pyarrow") if kind == ".parquet" else ():
        pytest.importorskip(module, reason=f"{module} is not installed (extra 'features')")
    [known, *_], _ = find_recordings([corpus])
    rows, _ = extract_rows([known], SPEC)
    rows.known["file"][0] = os.fsdecode(b"a\xff.wav")
    rows.write(tmp_path / f"t{kind}")
    if kind == ".csv":
        assert "\na\\udcff.wav," in (tmp_path / "t.csv").read_text(encoding="utf-8")


def test_what_cannot_be_written_or_read_is_a_sentence(corpus, tmp_path, monkeypatch):
    rows, _ = extract_rows(find_recordings([corpus])[0], SPEC)
    with pytest.raises(EdgeSerError, match=r"t.xlsx is no kind of table .* .csv, .npz, .parquet"):
        rows.write(tmp_path / "t.xlsx")
    with pytest.raises(EdgeSerError, match="there is no folder"):
        rows.write(tmp_path / "gone" / "t.csv")
    other = VectorSpec(FeatureSpec(sample_rate=8000), ("rms",), ("mean",))
    with pytest.raises(EdgeSerError, match="files are read at 16000 Hz, but the features want 8000 Hz"):
        extract_rows(find_recordings([corpus])[0], other)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(EdgeSerError, match=r"for tables of pandas: pip install 'edge-ser\[features\]'"):
        rows.to_pandas()
    with pytest.raises(EdgeSerError, match=r"writing .parquet files: pip install 'edge-ser\[features\]'"):
        rows.write(tmp_path / "t.parquet")
    assert [p for p in tmp_path.iterdir() if p.is_file()] == []


def test_real_recordings(tmp_path):
    need_corpus("ravdess")
    recordings, left_out = find_recordings(["ravdess"])
    assert len(recordings) == 1439 and len(left_out) == 1
    rows, failed = extract_rows(recordings[::160], SPEC)
    assert not failed and len(rows) == 9 and set(rows.known["corpus"]) == {"ravdess"}
    assert "duration" not in rows.known  # of the header, which may not be what is heard
    assert Path(rows.known["file"][0]).is_file()
