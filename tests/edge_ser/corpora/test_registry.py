"""Corpora by name: what stands behind an @ is how they are folded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_ser.audio import write_wav
from edge_ser.corpora import load_corpus
from edge_ser.errors import EdgeSerError


def write_mine(path: Path) -> Path:
    rows = ["file,speaker,emotion,fold"]
    for i in range(6):
        write_wav(path.parent / f"{i}.wav", np.full(160, i / 10, np.float32))
        rows.append(f"{i}.wav,s{i % 3},{('sad', 'angry')[i // 3]},{min(i % 3, 1)}")
    path.write_text("\n".join(rows) + "\n")
    return path


def test_other_folds_are_named_behind_the_corpus(tmp_path: Path) -> None:
    table = write_mine(tmp_path / "mine.csv")
    assert load_corpus(table).folds() == [0, 1]
    alone = load_corpus(f"{table}@speaker")
    assert alone.name == "mine" and alone.folds() == [0, 1, 2]
    assert alone.clips == load_corpus(table).speaker_folds(3).clips
    assert load_corpus(f"{table}@2").folding == "folds of whole speakers, dealt out anew"
    with pytest.raises(EdgeSerError, match="by speaker, by language, or a number of them, not 'sex'"):
        load_corpus(f"{table}@sex")


def test_a_table_with_an_at_in_its_name_is_that_table(tmp_path: Path) -> None:
    table = write_mine(tmp_path / "mine@speaker")
    assert load_corpus(str(table)).folds() == [0, 1]
    assert load_corpus(f"{table}@speaker").folds() == [0, 1, 2]


def test_what_is_nothing_is_told_whole(tmp_path: Path) -> None:
    for name in ("ravdes@speaker", "@speaker"):
        with pytest.raises(
            EdgeSerError, match=f"'{name.removesuffix('@speaker') or name}' is neither a corpus"
        ):
            load_corpus(name)


def test_a_folder_with_its_sounds_in_audio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine" / "audio").mkdir(parents=True)
    write_mine(tmp_path / "mine" / "audio" / "metadata.csv").rename(tmp_path / "mine" / "metadata.csv")
    corpus = load_corpus(tmp_path / "mine")
    assert corpus.name == "mine" and {clip.path.parent.name for clip in corpus.clips} == {"audio"}
    monkeypatch.chdir(tmp_path / "mine")
    assert load_corpus(".").name == "mine"


def test_a_corpus_of_another_root_with_other_folds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_SER_DATA", str(tmp_path / "nothing"))
    (tmp_path / "emodb" / "audio").mkdir(parents=True)
    write_mine(tmp_path / "emodb" / "audio" / "metadata.csv").rename(tmp_path / "emodb" / "metadata.csv")
    assert load_corpus("emodb@speaker", tmp_path).folds() == [0, 1, 2]
