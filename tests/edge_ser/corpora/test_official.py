"""Official file names, each corpus in a tiny copy as it is published."""

from __future__ import annotations

import math
import struct
import wave
from pathlib import Path

import pytest

from edge_ser.corpora import corpus_names, load_corpus
from edge_ser.corpora.facts import CORPORA
from edge_ser.errors import EdgeSerError


def tone(path: Path) -> None:
    """A tenth of a second of 440 Hz at 16 kHz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(b"".join(struct.pack("<h", round(9000 * math.sin(0.1728 * i))) for i in range(1600)))


def copy_of(folder: Path, *names: str) -> Path:
    for name in names:
        tone(folder / name)
    return folder


RAVDESS = "Audio_Speech_Actors_01-24/Actor_{:02d}/03-01-{}-{:02d}.wav"

# file, speaker, emotion, sex, language, sentence, intensity, fold
CASES = {
    "ravdess": [
        (
            RAVDESS.format(12, "05-02-02-01", 12),
            "12",
            "angry",
            "f",
            "en",
            "Dogs are sitting by the door",
            "strong",
            2,
        ),
        (
            RAVDESS.format(1, "01-01-01-02", 1),
            "01",
            "neutral",
            "m",
            "en",
            "Kids are talking by the door",
            "normal",
            4,
        ),
        (
            RAVDESS.format(14, "08-01-01-01", 14),
            "14",
            "surprised",
            "f",
            "en",
            "Kids are talking by the door",
            "normal",
            0,
        ),
    ],
    "emodb": [
        ("wav/03a01Fa.wav", "03", "happy", "m", "de", "a01", None, 0),
        ("wav/16b10Wb.wav", "16", "angry", "f", "de", "b10", None, 9),
        ("wav/08a07La.wav", "08", "bored", "f", "de", "a07", None, 1),
    ],
    "emotale": [
        ("wav/DK_001_A_1.wav", "001", "angry", "f", "da", "Dugen ligger på køleskabet.", None, 0),
        ("wav/EN_004_B_5.wav", "004", "bored", "m", "en", "In seven hours it will be morning.", None, 2),
    ],
    "aesdd": [
        ("anger/a01 (1).wav", "1", "angry", "f", "el", "01", None, 0),
        ("fear/f10 (01).wav", "1", "fearful", "f", "el", "10", None, 0),
        ("sadness/s01 (5)b.wav", "5", "sad", "f", "el", "01", None, 4),
        ("disgust/d04 (5b).wav", "5", "disgust", "f", "el", "04", None, 4),
        ("happiness/h12_6.wav", "6", "happy", "m", "el", "12", None, 5),
    ],
    "nemo": [
        ("samples/EB0_anger_1.wav", "EB0", "angry", "f", "pl", "1", None, 0),
        ("WR0_surprised_64.wav", "WR0", "surprised", "m", "pl", "64", None, 8),
    ],
    "urdu": [
        ("Angry/SM1_F10_A010.wav", "M1", "angry", "m", "ur", None, None, 3),
        ("Sad/SF6_F2_S046.wav", "F6", "sad", "f", "ur", None, None, 2),
    ],
}


def test_every_corpus_has_a_case():
    assert list(CASES) == corpus_names()


@pytest.mark.parametrize("name", CASES)
def test_official_names_say_who_and_what(tmp_path, name):
    cases = {Path(case[0]).name: case for case in CASES[name]}
    copy_of(tmp_path / name.upper(), *(case[0] for case in CASES[name]))
    corpus = load_corpus(name, tmp_path)  # the folder is found in any case of letters
    assert len(corpus) == len(cases) and not corpus.left_out
    assert corpus.labels == CORPORA[name].labels and corpus.licence and corpus.citation
    for clip in corpus.clips:
        _, speaker, emotion, sex, language, sentence, intensity, fold = cases[clip.path.name]
        found = (
            clip.speaker,
            clip.emotion,
            clip.sex,
            clip.language,
            clip.sentence,
            clip.intensity,
            clip.fold,
        )
        assert found == (f"{name}-{speaker}", emotion, sex, language, sentence, intensity, fold)
        assert clip.adv is None and clip.duration is None


@pytest.mark.parametrize("name", CASES)
def test_a_copy_is_found_by_its_own_folder_and_known_by_its_names(tmp_path, name):
    folder = copy_of(tmp_path / "somewhere", *(case[0] for case in CASES[name]))
    assert load_corpus(name, folder).clips == load_corpus(folder).clips == load_corpus(str(folder)).clips


def test_ravdess_leaves_out_songs_the_duplicate_and_second_copies_and_says_so(tmp_path):
    copy_of(
        tmp_path / "ravdess",
        "Actor_07/03-01-03-01-02-01-07.wav",
        "Actor_07/03-01-03-01-02-02-07.wav",
        "Actor_07/03-02-03-01-02-01-07.wav",
        "audio_speech_actors_01-24/Actor_07/03-01-03-01-02-01-07.wav",
        "Actor_25/03-01-03-01-02-01-25.wav",
        "Actor_07/03-01-09-01-02-01-07.wav",
        "Actor_07/notes.wav",
        "__MACOSX/Actor_07/03-01-03-01-02-01-07.wav",
        "Actor_07/._03-01-03-01-02-01-07.wav",
    )
    (tmp_path / "ravdess" / "README.txt").write_text("not sound")
    corpus = load_corpus("ravdess", tmp_path)
    assert [clip.path.name for clip in corpus.clips] == ["03-01-03-01-02-01-07.wav"]
    assert sorted((one.what, one.reason) for one in corpus.left_out) == [
        ("Actor_07/03-01-03-01-02-02-07.wav", "duplicate of 03-01-03-01-02-01-07"),
        ("Actor_07/03-01-09-01-02-01-07.wav", "no file name of ravdess"),
        ("Actor_07/03-02-03-01-02-01-07.wav", "song"),
        ("Actor_07/notes.wav", "no file name of ravdess"),
        ("Actor_25/03-01-03-01-02-01-25.wav", "no speaker of ravdess"),
        ("audio_speech_actors_01-24/Actor_07/03-01-03-01-02-01-07.wav", "second copy of the same recording"),
    ]
    assert "1 (song)" in corpus.describe()


ANNOTATIONS = """file,a1_A,a1_V,a1_D,a1_cat,a2_A,a2_V,a2_D,a2_cat,a3_A,a3_V,a3_D,a3_cat,gt_emotion
DK_001_A_1.wav,4.0,1.5,4.5,A,4.0,2.5,5.0,A,5.0,1.0,4.5,A,A
DK_099_A_1.wav,1,1,1,A,1,1,1,A,1,1,1,A,A
"""


@pytest.mark.parametrize("below", ["", "wav"])
def test_emotale_reads_its_ratings_where_its_table_lies(tmp_path, below):
    folder = copy_of(tmp_path / "emotale", "wav/DK_001_A_1.wav", "wav/DK_001_B_1.wav")
    (folder / "annotations.csv").write_text(ANNOTATIONS)
    rated, unrated = load_corpus("emotale", folder / below).clips
    # means of the three raters on 1..5: 4.3333, 4.6667, 1.6667
    assert rated.adv == pytest.approx((10 / 12, 11 / 12, 2 / 12))
    assert rated.extra["a2_V"] == "2.5"
    assert unrated.adv is None


def test_a_damaged_table_of_a_release_is_a_sentence(tmp_path):
    folder = copy_of(tmp_path / "emotale", "wav/DK_001_A_1.wav")
    (folder / "annotations.csv").write_text("file,a1_A\nDK_001_A_1.wav,4\n")
    with pytest.raises(EdgeSerError, match=r"lacks the columns a1_D, a1_V, .* of emotale"):
        load_corpus("emotale", folder)
    (folder / "annotations.csv").write_text(ANNOTATIONS.replace("4.0,1.5", "x,1.5"))
    with pytest.raises(EdgeSerError, match="line 2: a1_A is 'x', not a number"):
        load_corpus("emotale", folder)
    (folder / "annotations.csv").write_text(ANNOTATIONS.replace("4.0", "14.0"))
    with pytest.raises(EdgeSerError, match="line 2: arousal is 11, outside 1..5"):
        load_corpus("emotale", folder)


def test_nemo_reads_its_sentences_where_its_table_lies(tmp_path):
    folder = copy_of(tmp_path / "nemo", "samples/EB0_fear_35.wav")
    (folder / "data.tsv").write_text(
        "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage\n"
        "EB0_fear_35.wav\tfear\tAby upiec ciasto, muszę kupić mączkę.\taby upiec\t        EB0\tfemale\t27\n"
    )
    (clip,) = load_corpus("nemo", tmp_path).clips
    assert clip.sentence == "Aby upiec ciasto, muszę kupić mączkę."
    assert clip.extra["speaker_id"] == "EB0"


def test_what_is_not_there_says_where_to_get_it_and_how_to_lay_it_out(tmp_path):
    for name in corpus_names():
        (tmp_path / "other").mkdir(exist_ok=True)
        with pytest.raises(EdgeSerError) as caught:
            load_corpus(name, tmp_path)
        assert CORPORA[name].where in str(caught.value) and CORPORA[name].layout in str(caught.value)


def test_a_folder_of_nothing_known_is_a_sentence(tmp_path):
    with pytest.raises(EdgeSerError, match="holds no sound files"):
        load_corpus(tmp_path)
    copy_of(tmp_path, "one.wav", "two.wav", "three.wav", "03a01Fa.wav")
    with pytest.raises(EdgeSerError, match="the names of the 4 sound files .* are none of a known corpus"):
        load_corpus(tmp_path)
    with pytest.raises(
        EdgeSerError, match="neither a corpus .*ravdess, emodb.* nor a folder nor a CSV table"
    ):
        load_corpus("ravdes")
