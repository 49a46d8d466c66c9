"""Tables that are read as a TOML file says, and files that say it wrongly."""

from __future__ import annotations

import pytest

from edge_ser.corpora import load_corpus
from edge_ser.corpora.described import load_described
from edge_ser.errors import EdgeSerError


@pytest.fixture
def described(tmp_path):
    """Writes a description beside a table, with sounds below wav/."""
    (tmp_path / "wav").mkdir()
    for name in "abc":
        (tmp_path / "wav" / f"{name}.wav").write_text(name)
    (tmp_path / "labels.csv").write_text(
        "FileName,EmoClass,SpkrID,EmoAct,EmoDom,EmoVal\n"
        "a.wav,A,1,7,4,1\nb.wav,H,2,4,2.5,5.5\nc.wav,Neutral,1,1,1,7\n"
    )

    def write(text: str, name: str = "msp.toml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


ALL = """
table = "labels.csv"
folder = "wav"
rating_scale = [1, 7]
licence = "academic"
citation = "Lotfian and Busso 2019"
columns = {file = "FileName", emotion = "EmoClass", speaker = "SpkrID", arousal = "EmoAct", dominance = "EmoDom", valence = "EmoVal"}
emotions = {A = "angry", H = "happy"}
"""  # noqa: E501


def test_a_table_of_other_columns_scale_and_letters(described):
    corpus = load_corpus(described(ALL))
    assert (corpus.name, corpus.licence, corpus.citation) == ("msp", "academic", "Lotfian and Busso 2019")
    assert [clip.emotion for clip in corpus.clips] == ["angry", "happy", "neutral"]
    assert [clip.adv for clip in corpus.clips] == [(1.0, 0.5, 0.0), (0.5, 0.25, 0.75), (0.0, 0.0, 1.0)]
    assert [clip.path.name for clip in corpus.clips] == ["a.wav", "b.wav", "c.wav"]
    assert corpus.speakers == ("1", "2") and corpus.read_as == {"Neutral": "neutral"}


def test_folds_behind_its_name_and_a_name_of_its_own(described):
    path = described(ALL + 'name = "podcast"\nlabels = ["happy", "angry", "neutral"]\n')
    corpus = load_corpus(f"{path}@speaker")
    assert corpus.name == "podcast" and corpus.labels == ("happy", "angry", "neutral")
    assert len(corpus.folds()) == 2


def test_the_table_of_its_own_name_by_default(described, tmp_path):
    (tmp_path / "plain.csv").write_text("file,speaker,emotion\nwav/a.wav,ann,calm\n")
    assert load_described(described("", "plain.toml")).labels == ("calm",)


def test_a_word_that_is_to_stay(described, tmp_path):
    (tmp_path / "t.csv").write_text("file,speaker,emotion\nwav/a.wav,ann,anger\nwav/b.wav,ann,fear\n")
    corpus = load_described(described('emotions = {anger = "anger"}', "t.toml"))
    assert corpus.labels == ("fearful", "anger") and corpus.read_as == {"fear": "fearful"}


@pytest.mark.parametrize(("text", "says"), [
    ('tabel = "labels.csv"', r"msp\.toml: has no field 'tabel'; there are table, name, folder"),
    ("rating_scale = 7", r"msp\.toml: rating_scale must be of type"),
    ("rating_scale = [1, 5, 7]", r"msp\.toml: rating_scale is the lowest and the highest rating, not \[1, 5, 7\]"),
    ("rating_scale = [7, 1]", "from a lower to a higher"),
    ("columns = {file = 3}", r"msp\.toml: columns: file must be text, not 3"),
    ("emotions = {A = true}", r"msp\.toml: emotions: A must be text"),
    ('emotions = "A"', r"msp\.toml: emotions must be of type dict"),
    ('table = "labels.csv"\ncolumns = {wave = "FileName"}', "wave is no column that is read"),
    ('table = "labels.csv"', r"labels\.csv lacks the columns file, speaker; .*columns = \{file = "),
    ("", r"there is no file .*msp\.csv"),
    ("table = ", "msp.toml is not TOML"),
    (ALL.replace("[1, 7]", "[1, 5]"), r"line 2: EmoAct is 7, outside 1\.\.5; .*rating_scale"),
    (ALL.replace('folder = "wav"', 'folder = "waves"'), "line 2: there is no file .*waves"),
])  # fmt: skip
def test_what_is_wrong_is_said(described, text, says):
    with pytest.raises(EdgeSerError, match=says):
        load_corpus(described(text))
