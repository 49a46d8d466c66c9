"""A user's own recordings from a table, and every way in which the table can be wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ser.corpora import load_corpus, load_csv
from edge_ser.corpora.tables import scaled
from edge_ser.errors import EdgeSerError


@pytest.fixture
def table(tmp_path):
    """Writes a table beside sounds a.wav, b.wav and sub/c.wav."""
    (tmp_path / "sub").mkdir()
    for name in ("a.wav", "b.wav", "sub/c.wav"):
        (tmp_path / name).touch()

    def write(text: str, name: str = "mine.csv"):
        path = tmp_path / name
        path.write_bytes(text.encode("utf-8"))
        return path

    return write


def test_a_full_table(table):
    corpus = load_csv(
        table(
            "file,speaker,emotion,arousal,dominance,valence,fold,sex,language,intensity,sentence,duration,room\n"
            "a.wav,ann,angry,0.9,0.8,0.1,0,f,en,strong,Go away,1.25,hall\n"
            "sub/c.wav,bob,sad,,,,1,,,,,,\n"
        )
    )
    first, second = corpus.clips
    assert corpus.name == "mine" and corpus.labels == ("angry", "sad") and corpus.folds() == [0, 1]
    assert (first.speaker, first.emotion, first.adv, first.fold) == ("ann", "angry", (0.9, 0.8, 0.1), 0)
    assert (first.sex, first.language, first.intensity, first.sentence) == ("f", "en", "strong", "Go away")
    assert first.duration == 1.25 and first.extra == {"room": "hall"} and first.path.name == "a.wav"
    assert second.path.parts[-2:] == ("sub", "c.wav")
    assert second.adv is None and second.sex is None and second.extra == {}
    assert corpus.split(1)[1] == (second,)


@pytest.mark.parametrize("text", [
    "file,speaker,emotion\r\na.wav,ann,calm\r\n",
    "\ufefffile;speaker;emotion\na.wav;ann;calm\n",
    "file\tspeaker\temotion\na.wav\tann\tcalm",
    'file, speaker ,emotion\n"a.wav", ann ,calm\n\n',
    "\n\r\nfile;speaker;emotion\na.wav;ann;calm\n",
])  # fmt: skip
def test_separators_line_ends_and_blanks(table, text):
    (clip,) = load_corpus(table(text)).clips
    assert (clip.path.name, clip.speaker, clip.emotion) == ("a.wav", "ann", "calm")


def test_the_header_says_what_separates(table):
    text = "file;speaker;emotion;sentence\na.wav;ann;calm;go, go, go, go, go, go, go, go\n"
    (clip,) = load_corpus(table(text)).clips
    assert (clip.emotion, clip.sentence) == ("calm", "go, go, go, go, go, go, go, go")


def test_columns_scale_and_emotions_can_be_mapped(table):
    corpus = load_csv(
        table("wav,who,label,act\na.wav,ann,anger,5\nb.wav,bob,glee,1\n"),
        name="study",
        columns={"file": "wav", "speaker": "who", "emotion": "label", "arousal": "act"},
        emotions={"anger": "angry"},
        rating_scale=(1, 5),
    )
    assert [(c.corpus, c.speaker, c.emotion, c.arousal, c.extra) for c in corpus.clips] == [
        ("study", "ann", "angry", 1.0, {}),
        ("study", "bob", "glee", 0.0, {}),
    ]
    assert corpus.labels == ("angry", "glee")  # a label set of the user's own


def test_rows_without_a_fold_are_left_out_where_others_have_one(table):
    corpus = load_csv(
        table("file,speaker,fold,duplicate_of\na.wav,ann,0,\nb.wav,bob,,a.wav\nsub/c.wav,cy,,\n")
    )
    assert [c.path.name for c in corpus.clips] == ["a.wav"]
    assert [(x.what, x.reason) for x in corpus.left_out] == [
        ("b.wav", "duplicate of a.wav"),
        ("sub/c.wav", "no fold given"),
    ]
    assert len(load_csv(table("file,speaker,fold\na.wav,ann,\nb.wav,bob,\n"))) == 2


def test_an_absolute_path_stays(table, tmp_path):
    path = table(f"file,speaker\n{tmp_path / 'sub' / 'c.wav'},ann\n")
    assert load_csv(path, folder="/nowhere").clips[0].path == tmp_path / "sub" / "c.wav"


def test_a_folder_with_a_table_is_a_corpus(table, tmp_path):
    table("file,speaker,emotion\na.wav,ann,calm\n", "metadata.csv")
    assert load_corpus(tmp_path).name == tmp_path.name
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "a.wav").touch()
    assert load_corpus(tmp_path).clips[0].path == tmp_path / "audio" / "a.wav"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty; it needs a header"),
        ("\n \n", "is empty"),
        ("file,speaker\n", "has no rows with recordings"),
        ("path,who\na.wav,ann\n", "lacks the columns file, speaker; it has path, who"),
        ("file,who\na.wav,ann\n", "lacks the column speaker; it has file, who"),
        ("file,speaker\na.wav,ann\ngone.wav,bob\n", r"line 3: there is no file .*gone.wav"),
        ("file,speaker\nsub,ann\n", "line 2: there is no file"),
        ("file,speaker\n,ann\n", "line 2: the file is empty"),
        ("file,speaker\na.wav,\n", "line 2: the speaker is empty"),
        ("file,speaker\na.wav,ann,extra\n", "line 2: more cells than the header"),
        ("\n\nfile,speaker\na.wav,ann,extra\n", "line 4: more cells than the header"),
        ("file,speaker,emotion, emotion\na.wav,ann,sad,calm\n", "mine.csv has two columns emotion"),
        ('file,speaker\n"a.wav,ann\n', "not a CSV row"),
        ("file,speaker,fold\na.wav,ann,0\nsub/../a.wav,bob,1\n", "line 3: .*a.wav stands in line 2 already"),
        ("file,speaker,arousal\na.wav,ann,1.5\n", r"line 2: arousal is 1.5, outside 0..1; .*rating_scale"),
        ("file,speaker,valence\na.wav,ann,nan\n", "line 2: valence is 'nan', not a number"),
        ("file,speaker,valence\na.wav,ann,high\n", "line 2: valence is 'high', not a number"),
        ("file,speaker,fold\na.wav,ann,0.5\n", "line 2: fold is 0.5, not a whole number"),
        ("file,speaker,fold\na.wav,ann,-1\n", "line 2: fold is -1, not a whole number"),
    ],
)
def test_what_is_wrong_with_a_table_is_a_sentence(table, text, words):
    with pytest.raises(EdgeSerError, match=words):
        load_csv(table(text))


def test_other_bad_use_is_a_sentence(table, tmp_path):
    good = table("file,speaker,emotion\na.wav,ann,glee\n")
    with pytest.raises(EdgeSerError, match="there is no file"):
        load_csv(tmp_path / "gone.csv")
    with pytest.raises(EdgeSerError, match="is not a file"):
        load_csv(tmp_path)
    with pytest.raises(EdgeSerError, match="lacks the column label; it has"):
        load_csv(good, columns={"emotion": "label"})
    with pytest.raises(EdgeSerError, match="mood is no column that is read; they are file, speaker"):
        load_csv(good, columns={"mood": "emotion"})
    with pytest.raises(EdgeSerError, match="from a lower to a higher number"):
        load_csv(good, rating_scale=(5, 1))
    with pytest.raises(EdgeSerError, match="not among angry, calm: glee"):
        load_csv(good, labels=("angry", "calm"))
    (tmp_path / "latin.csv").write_bytes("file,speaker\nä.wav,bö\n".encode("latin-1"))
    with pytest.raises(EdgeSerError, match="not UTF-8 text"):
        load_csv(tmp_path / "latin.csv")


def test_one_speaker_only_is_told_when_folds_are_asked_for(table):
    corpus = load_csv(table("file,speaker\na.wav,ann\nb.wav,ann\n"))
    with pytest.raises(EdgeSerError, match="mine has 1 speaker; speaker-independent folds need at least two"):
        corpus.speaker_folds(2)


@given(st.floats(-10, 10), st.floats(0.01, 20), st.floats(0, 1))
def test_a_scale_maps_its_ends_to_0_and_1(low, width, where):
    high = low + width
    value = min(max(low + where * width, low), high)
    assert scaled(low, (low, high), "x") == 0 and scaled(high, (low, high), "x") == 1
    assert 0 <= scaled(value, (low, high), "x") <= 1
    assert scaled(value, (low, high), "x") == pytest.approx(where, abs=1e-6)
