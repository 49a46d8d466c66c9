"""A recording that is there twice is heard once, and it is said."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ser.corpora import Clip, LeftOut, load_csv
from edge_ser.corpora.copies import copies, without_copies


def write(folder: Path, **sounds: bytes) -> list[Path]:
    for name, content in sounds.items():
        (folder / f"{name}.wav").write_bytes(content)
    return [folder / f"{name}.wav" for name in sounds]


def test_files_of_the_same_bytes_are_copies_of_the_first(tmp_path: Path) -> None:
    paths = write(tmp_path, a=b"one", b=b"two", c=b"one", d=b"three", e=b"one", f=b"two")
    assert copies(paths) == {2: 0, 4: 0, 5: 1}
    assert copies([]) == {}


@pytest.mark.parametrize("place", [0, 9_000, 10_000, 19_999])
def test_one_byte_makes_another_recording(tmp_path: Path, place: int) -> None:
    """At the ends, beside the piece that is looked at first, and in it."""
    content = bytes(range(250)) * 80
    other = bytearray(content)
    other[place] ^= 1
    paths = write(tmp_path, a=content, b=bytes(other), c=content)
    assert copies(paths) == {2: 0}


def test_files_with_nothing_in_them_are_copies_of_nothing(tmp_path: Path) -> None:
    assert copies([*write(tmp_path, a=b"", b=b""), tmp_path / "gone.wav", tmp_path / "gone.wav"]) == {}


@given(contents=st.lists(st.binary(max_size=2), max_size=12))
def test_as_comparing_each_with_each(tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("copies")
    paths = write(folder, **{f"x{i}": content for i, content in enumerate(contents)})
    found = copies(paths)
    for i, j in itertools.combinations(range(len(contents)), 2):
        same = contents[i] == contents[j] != b""
        assert (found.get(j) == found.get(i, i)) == same
    assert all(first < later for later, first in found.items())


def test_what_another_table_says_of_it_is_told(tmp_path: Path) -> None:
    first, copy, again = write(tmp_path, a=b"sound", b=b"sound", c=b"sound")
    clips = [
        Clip(first, "mine", "ann", emotion="sad"),
        Clip(copy, "mine", "bob", emotion="happy"),
        Clip(again, "yours", "ann", emotion="sad"),
    ]
    kept, left = without_copies(clips)
    assert kept == (clips[0],)
    assert left == (
        LeftOut("b.wav", "the same recording as a.wav, there of speaker ann and emotion sad"),
        LeftOut("c.wav", "the same recording as a.wav, there of corpus mine"),
    )


def test_a_table_has_each_recording_once(tmp_path: Path) -> None:
    write(tmp_path, a=b"sound", b=b"other", c=b"sound")
    table = tmp_path / "t.csv"
    table.write_text("file,speaker,emotion,fold\na.wav,ann,sad,0\nb.wav,bob,happy,1\nc.wav,bob,sad,1\n")
    corpus = load_csv(table)
    assert [clip.path.name for clip in corpus.clips] == ["a.wav", "b.wav"]
    assert corpus.left_out == (LeftOut("c.wav", "the same recording as a.wav, there of speaker ann"),)
