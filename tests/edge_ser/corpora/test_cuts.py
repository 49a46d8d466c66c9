"""Clips that are parts of long recordings."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ser.audio import load_audio, write_wav
from edge_ser.corpora import Clip, load_csv
from edge_ser.corpora.cuts import Span, cut_out
from edge_ser.errors import EdgeSerError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edge-ser" / "cuts"


def long_one(path: Path, seconds: float = 2.0) -> np.ndarray:
    """Writes a recording no two samples of which are alike, and gives what is read of it."""
    write_wav(path, np.linspace(-1, 1, round(16000 * seconds)))
    return load_audio(path)


def table(folder: Path, rows: str) -> Path:
    path = folder / "t.csv"
    path.write_text("file,start,end,speaker,emotion\n" + rows)
    return path


def test_each_clip_is_its_part_of_the_recording(tmp_path: Path, cache: Path) -> None:
    whole = long_one(tmp_path / "talk.wav")
    corpus = load_csv(
        table(
            tmp_path,
            "talk.wav,0,0.5,ann,sad\ntalk.wav,0 days 00:00:00.5,0 days 00:00:01.25,bob,happy\n"
            "talk.wav,1.75,NaT,ann,angry\ntalk.wav,0,NaT,ann,calm\n",
        )
    )
    parts = [whole[:8000], whole[8000:20000], whole[28000:], whole]
    for clip, part in zip(corpus.clips, parts, strict=True):
        np.testing.assert_array_equal(load_audio(clip.path), part)
    assert [clip.emotion for clip in corpus.clips] == ["sad", "happy", "angry", "calm"]
    assert [clip.duration for clip in corpus.clips] == [0.5, 0.75, None, None]
    assert [clip.path.name for clip in corpus.clips] == [
        "talk-0-0.5.wav", "talk-0.5-1.25.wav", "talk-1.75-end.wav", "talk.wav"
    ]  # fmt: skip
    assert all(clip.path.is_relative_to(cache) for clip in corpus.clips[:3])


def test_a_part_is_cut_once_and_again_when_the_recording_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import edge_ser.corpora.cuts as module

    long_one(tmp_path / "talk.wav")
    rows = table(tmp_path, "talk.wav,0.5,1,ann,sad\n")
    first = load_csv(rows).clips[0].path
    with monkeypatch.context() as patched:
        patched.setattr(module, "load_audio", lambda path: pytest.fail("read again"))
        assert load_csv(rows).clips[0].path == first
    first.unlink()
    assert load_csv(rows).clips[0].path == first and first.exists()
    write_wav(tmp_path / "talk.wav", np.linspace(1, -1, 40000))
    second = load_csv(rows).clips[0].path
    assert second != first and load_audio(second)[0] > 0 > load_audio(first)[0]


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_long_cutting_shows_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tqdm = pytest.importorskip("tqdm", reason="tqdm is not installed (extra 'train')")
    import edge_ser.corpora.cuts as module

    seconds = [0.0]
    monkeypatch.setattr("tqdm.std.time", lambda: seconds[0])
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)
    rows = "".join(f"talk.wav,{start},{start + 0.5},ann,sad\n" for start in (0, 0.5, 1, 1.5))

    def shown(screen: io.StringIO, each: float) -> str:
        def write(path: Path, wave: np.ndarray) -> None:
            seconds[0] += each
            write_wav(path, wave)

        with monkeypatch.context() as patched:
            patched.setattr(module, "write_wav", write)
            patched.setattr("sys.stderr", screen)
            assert len(load_csv(table(tmp_path, rows)).clips) == 4
        return screen.getvalue()

    long_one(tmp_path / "talk.wav")
    slowly = shown(Screen(), 0.8)
    assert "cutting" in slowly and "2/4" in slowly and "4/4" in slowly
    assert slowly.endswith("\r")  # and nothing of it is left
    assert shown(Screen(), 0.8) == ""  # all is there
    long_one(tmp_path / "talk.wav", 2.5)
    assert shown(Screen(), 0.1) == ""  # too quick for a look
    long_one(tmp_path / "talk.wav", 3.0)
    assert shown(io.StringIO(), 0.8) == ""  # a file or a pipe


def test_recordings_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        long_one(tmp_path / folder / "x.wav", 1.0 if folder == "a" else 1.5)
    one, two = load_csv(table(tmp_path, "a/x.wav,0.5,0.75,ann,sad\nb/x.wav,0.5,0.75,bob,sad\n")).clips
    assert one.path.name == two.path.name and one.path != two.path


def test_parts_of_what_cannot_be_read_are_left_out_and_told(tmp_path: Path) -> None:
    long_one(tmp_path / "talk.wav")
    (tmp_path / "bad.wav").write_bytes(b"RIFF nonsense")
    corpus = load_csv(
        table(tmp_path, "bad.wav,0.5,1,ann,sad\ntalk.wav,0.5,1,bob,sad\nbad.wav,1,NaT,ann,calm\n")
    )
    assert [clip.speaker for clip in corpus.clips] == ["bob"]
    assert [one.what.rpartition("/")[2] for one in corpus.left_out] == [
        "bad.wav from 0.5 s",
        "bad.wav from 1 s",
    ]
    assert all("bad.wav" in one.reason for one in corpus.left_out)
    with pytest.raises(EdgeSerError, match="has no rows with recordings: .*bad.wav"):
        load_csv(table(tmp_path, "bad.wav,0.5,1,ann,sad\n"))


def test_the_same_part_twice_is_refused_and_parts_that_overlap_are_not(tmp_path: Path) -> None:
    long_one(tmp_path / "talk.wav")
    rows = "talk.wav,0.5,1,ann,sad\ntalk.wav,0.75,1,bob,sad\n"
    assert len(load_csv(table(tmp_path, rows))) == 2
    with pytest.raises(EdgeSerError, match="line 4: .* stands in line 2 already"):
        load_csv(table(tmp_path, rows + "./talk.wav,0 days 00:00:00.5,1.0,ann,calm\n"))


def test_an_end_that_is_rounded_up_is_the_recordings(tmp_path: Path) -> None:
    whole = long_one(tmp_path / "talk.wav")
    (clip,) = load_csv(table(tmp_path, "talk.wav,1,2.04,ann,sad\n")).clips
    np.testing.assert_array_equal(load_audio(clip.path), whole[16000:])


def test_no_place_for_them_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long_one(tmp_path / "talk.wav")
    rows = table(tmp_path, "talk.wav,0.5,1,ann,sad\n")
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(EdgeSerError, match=r"cannot make .*file/edge-ser/cuts.*XDG_CACHE_HOME"):
        load_csv(rows)
    monkeypatch.setattr("edge_ser.corpora.cuts.user_cache", lambda: None)
    with pytest.raises(EdgeSerError, match="no home folder .*XDG_CACHE_HOME"):
        load_csv(rows)


@given(st.lists(st.tuples(st.integers(0, 1_900_000), st.integers(100, 100_000)), min_size=1, max_size=4))
def test_a_part_starts_and_ends_at_the_nearest_samples(spans: list[tuple[int, int]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        whole = long_one(Path(folder) / "talk.wav")
        clip = Clip(Path(folder) / "talk.wav", "mine", "ann")
        wanted = [Span(start / 1e6, (start + length) / 1e6, "here") for start, length in spans]
        clips, left_out = cut_out([clip] * len(wanted), wanted)
        assert not left_out
        for cut, span in zip(clips, wanted, strict=True):
            assert span.end is not None
            part = load_audio(cut.path)
            begin = int(np.argmin(np.abs(whole - part[0])))
            assert abs(begin - span.start * 16000) <= 0.5
            assert abs(begin + len(part) - span.end * 16000) <= 0.5
