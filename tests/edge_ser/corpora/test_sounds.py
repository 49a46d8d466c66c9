"""Collections of sounds, as published and as any folder."""

from __future__ import annotations

import pytest

from edge_ser.corpora import load_classes, load_sounds, sound_names
from edge_ser.errors import EdgeSerError


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_esc10_is_found_in_esc50_and_in_its_first_release(tmp_path):
    touch(
        tmp_path / "esc10",
        "audio/1-100032-A-0.wav",
        "audio/5-9032-A-41.wav",
        "audio/1-100210-A-36.wav",  # a class of ESC-50 that ESC-10 has not
        "003 - Sea waves/2-87412-A.ogg",
        "999 - Else/2-87412-B.ogg",
    )
    esc10 = load_sounds("esc10", tmp_path)
    assert [(s.path.name, s.label, s.fold) for s in esc10.sounds] == [
        ("2-87412-A.ogg", "sea waves", 2),
        ("1-100032-A-0.wav", "dog bark", 1),
        ("5-9032-A-41.wav", "chainsaw", 5),
    ]
    assert [one.what for one in esc10.left_out] == ["999 - Else/2-87412-B.ogg", "audio/1-100210-A-36.wav"]
    assert esc10.labels == ("chainsaw", "dog bark", "sea waves")


def test_esc50_has_all_fifty_classes_and_tells_the_source(tmp_path):
    touch(
        tmp_path / "ESC50",
        *(f"audio/{1 + k % 5}-{1000 + k // 2}-A-{k}.wav" for k in range(51)),
        "audio/x.wav",
    )
    esc50 = load_sounds("esc50", tmp_path)
    assert len(esc50) == len(esc50.labels) == 50
    assert [one.what for one in esc50.left_out] == ["audio/1-1025-A-50.wav", "audio/x.wav"]
    by_name = {s.path.name: s for s in esc50.sounds}
    last = by_name["5-1024-A-49.wav"]
    assert (last.label, last.fold, last.source) == ("hand saw", 5, "1024")
    assert by_name["1-1000-A-0.wav"].label == "dog"
    assert by_name["1-1015-A-30.wav"].label == "door wood knock"
    esc10 = load_sounds("esc10", tmp_path / "ESC50")  # is part of it
    assert len(esc10) == 10
    assert {s.label for s in esc10.sounds} >= {"dog bark", "chainsaw"}


def test_urbansound8k_as_it_is_published(tmp_path):
    touch(
        tmp_path / "UrbanSound8K",
        "audio/fold1/101415-3-0-2.wav",
        "audio/fold10/100648-1-0-0.wav",
        "audio/fold10/.DS_Store",
        "metadata/UrbanSound8K.csv",
        "audio/100649-1-0-0.wav",
    )
    urban = load_sounds("urbansound8k", tmp_path)
    assert [(s.label, s.fold, s.source) for s in urban.sounds] == [
        ("dog bark", 1, "101415"),
        ("car horn", 10, "100648"),
    ]
    assert [one.what for one in urban.left_out] == ["audio/100649-1-0-0.wav"]


def test_digits_tell_speaker_and_digit(tmp_path):
    touch(tmp_path, "recordings/7_theo_0.wav", "recordings/notes.wav")
    fsdd = load_sounds("fsdd", tmp_path)
    assert [(s.label, s.speaker) for s in fsdd.sounds] == [("7", "fsdd-theo")]
    assert len(fsdd.left_out) == 1


def test_any_folder_is_a_collection_without_classes(tmp_path):
    touch(tmp_path / "street", "a.wav", "b/c.flac", "readme.txt")
    street = load_sounds(tmp_path / "street")
    assert (street.name, len(street), street.labels) == ("street", 2, ())


def test_our_own_layout(tmp_path):
    touch(tmp_path / "esc10", "audio/1-1-A.ogg")
    (tmp_path / "esc10" / "metadata.csv").write_text("file,label,fold,duration\n1-1-A.ogg,rain,1,5.0\n")
    (sound,) = load_sounds("esc10", tmp_path).sounds
    assert (sound.label, sound.fold, sound.duration, sound.source) == ("rain", 1, 5.0, "1")
    (tmp_path / "esc10" / "metadata.csv").write_text("file,label\ngone.ogg,rain\n")
    with pytest.raises(EdgeSerError, match="line 2: there is no file"):
        load_sounds("esc10", tmp_path)
    (tmp_path / "esc10" / "metadata.csv").write_text("file,class\n1-1-A.ogg,rain\n")
    with pytest.raises(EdgeSerError, match="lacks the columns label; it has file, class"):
        load_sounds("esc10", tmp_path)


def test_what_is_not_there_is_a_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in sound_names():
        with pytest.raises(EdgeSerError, match=f"holds no sounds of {name} .*lay them out as {name}/"):
            load_sounds(name, tmp_path)
    with pytest.raises(EdgeSerError, match="holds no sounds"):
        load_sounds(tmp_path / "empty")
    with pytest.raises(
        EdgeSerError,
        match=r"neither a collection of sounds \(esc10, esc50, urbansound8k, fsdd, noise, rir\) nor a folder",
    ):
        load_sounds("esc11")


def test_a_collection_missing_from_the_data_says_where_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_SER_DATA", str(tmp_path))
    with pytest.raises(EdgeSerError, match="the sounds esc10 are not in .* github.com/karolpiczak/ESC-50"):
        load_sounds("esc10")


def test_a_folder_of_classes(tmp_path):
    for name in (
        "rock/one.wav",
        "rock/live/two.flac",
        "jazz/three.ogg",
        "alone.wav",
        "notes.txt",
        "empty/x.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".hidden").mkdir()
    read = load_classes(tmp_path)
    assert read.labels == ("jazz", "rock")
    assert [(s.path.name, s.label) for s in read.sounds] == [
        ("three.ogg", "jazz"), ("two.flac", "rock"), ("one.wav", "rock"),
    ]  # fmt: skip
    assert [(one.what, one.reason.split()[-1]) for one in read.left_out] == [
        ("alone.wav", "folder"),
        ("empty", "files"),
    ]
    with pytest.raises(EdgeSerError, match="lay them out as"):
        load_classes(tmp_path / "empty")
    with pytest.raises(EdgeSerError, match="there is no folder"):
        load_classes(tmp_path / "nowhere")
