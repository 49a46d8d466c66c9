"""Tables in the manner of audformat: written and read, times in both forms."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ser.audio import write_wav
from edge_ser.corpora import load_csv, write_table
from edge_ser.corpora.segments import seconds_of, timedelta_text
from edge_ser.errors import EdgeSerError


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, level in (("a", 0.0), ("b", 0.1)):
        write_wav(tmp_path / f"{name}.wav", np.full(1600, level, np.float32))
    path = tmp_path / "t.csv"
    path.write_text(
        "file,start,end,speaker,emotion,arousal,dominance,valence,fold,votes\n"
        "a.wav,0 days,0 days 00:00:00.100000,s1,happy,0.25,0.5,0.75,0,happy:3\n"
        "b.wav,0,NaT,s2,sad,,,,1,\n"
    )
    return path


def test_it_comes_back_as_it_was(table: Path) -> None:
    corpus = load_csv(table)
    assert corpus.clips[0].duration == pytest.approx(0.1) and corpus.clips[1].duration is None
    assert "start" not in corpus.clips[0].extra
    write_table(corpus, table.parent / "again.csv")
    again = load_csv(table.parent / "again.csv", name=corpus.name)
    assert again.clips == corpus.clips and again.labels == corpus.labels
    assert again.clips[0].extra["votes"] == "happy:3"


def test_a_table_may_move_with_its_recordings(table: Path) -> None:
    write_table(load_csv(table), table)
    moved = table.parent.rename(table.parent.with_name("moved"))
    assert [clip.path for clip in load_csv(moved / "t.csv").clips] == [moved / "a.wav", moved / "b.wav"]


def test_a_column_that_was_not_read_does_not_take_the_place_of_one_that_was(table: Path) -> None:
    table.write_text("file,speaker,label,emotion\na.wav,s1,happy,3\n")
    write_table(load_csv(table, columns={"emotion": "label"}), table)
    assert load_csv(table).clips[0].emotion == "happy"


def test_the_length_is_that_of_the_file_and_not_of_another_column(table: Path) -> None:
    table.write_text("file,start,end,duration,speaker\na.wav,0,0.04,0.04,s1\na.wav,0,0.1,0.04,s1\n")
    part, whole = load_csv(table).clips
    assert part.path != table.parent / "a.wav" == whole.path and part.duration == whole.duration == 0.04


def test_a_file_that_nobody_can_read_is_told_when_it_is_heard(table: Path) -> None:
    (table.parent / "a.wav").write_bytes(b"RIFF nonsense")
    assert load_csv(table).clips[0].duration == pytest.approx(0.1)


def test_pandas_reads_the_times(table: Path) -> None:
    pandas = pytest.importorskip("pandas")
    write_table(load_csv(table), table.parent / "again.csv")
    frame = pandas.read_csv(table.parent / "again.csv", index_col=["file", "start", "end"])
    assert pandas.to_timedelta(frame.index.get_level_values("end")[0]).total_seconds() == pytest.approx(0.1)


@given(st.floats(0, 200_000))
def test_times_come_back(seconds: float) -> None:
    assert seconds_of(timedelta_text(seconds), "x") == pytest.approx(seconds, abs=1e-6)
    assert seconds_of(str(seconds), "x") == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [("a.wav,0 days,", "a.wav,0.5,", "nothing is from 0.5 to 0.1 s"),
     ("b.wav,0,NaT", "b.wav,0.1,NaT", "0.1 to end s is not inside .*b.wav, which has 0.1 s"),
     ("b.wav,0,NaT", "b.wav,0.05,0.16", "0.05 to 0.16 s is not inside"),
     ("b.wav,0,", "./a.wav,0,", "stands in line 2 already"),
     ("b.wav,0,", "b.wav,soon,", "neither seconds"),
     ("b.wav,0,", "b.wav,-1,", "no time from 0")],
)  # fmt: skip
def test_nonsense_is_refused_by_line(table: Path, old: str, new: str, wrong: str) -> None:
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(EdgeSerError, match=f"line .*{wrong}"):
        load_csv(table)
