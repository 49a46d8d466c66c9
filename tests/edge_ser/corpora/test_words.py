"""What tables call emotions, and the project's words for them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ser.corpora import EMOTIONS, Clip, Corpus
from edge_ser.corpora.words import in_words_of, project_words

# as IEMOCAP, CREMA-D, MELD and audformat's EmoDB write them
PUBLISHED = {
    "iemocap": ("ang hap neu sad fea sur dis exc fru", {"ang": "angry", "hap": "happy", "neu": "neutral",
                "fea": "fearful", "sur": "surprised", "dis": "disgust"}),
    "crema-d": ("ANG DIS FEA HAP NEU SAD", {"ANG": "angry", "DIS": "disgust", "FEA": "fearful", "HAP": "happy",
                "NEU": "neutral", "SAD": "sad"}),
    "meld": ("anger disgust fear joy neutral sadness surprise", {"anger": "angry", "fear": "fearful",
             "joy": "happy", "sadness": "sad", "surprise": "surprised"}),
    "emodb": ("anger boredom disgust fear happiness neutral sadness", {"anger": "angry", "boredom": "bored",
              "fear": "fearful", "happiness": "happy", "sadness": "sad"}),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_words_of_published_corpora(name):
    words, wanted = PUBLISHED[name]
    assert project_words(words.split()) == wanted


def test_joy_stays_beside_happiness():
    assert project_words(["Joy", "sad"]) == {"Joy": "happy"}
    for happy in ("happy", "Happiness", "HAP"):
        assert "joy" not in project_words(["joy", happy])


@given(
    st.lists(
        st.sampled_from(EMOTIONS) | st.sampled_from(["contempt", "excited", "S", "freude", "anxious", ""])
    )
)
def test_the_projects_own_words_and_what_is_no_other_word_for_them_stay(words):
    assert project_words(words) == {}


@given(st.lists(st.text(max_size=12)))
def test_what_is_read_is_read_as_one_of_the_projects_and_that_is_read_no_further(words):
    read = project_words(words)
    assert set(read) <= set(words) and set(read.values()) <= set(EMOTIONS)
    assert not any(word == ours for word, ours in read.items())
    assert project_words(read.values()) == {}


def corpus(*emotions: str | None, read_as: dict[str, str] | None = None) -> Corpus:
    clips = tuple(Clip(Path(f"{i}.wav"), "mine", f"s{i}", e) for i, e in enumerate(emotions))
    labels = tuple(dict.fromkeys(e for e in emotions if e))
    return Corpus("mine", clips, labels, read_as=read_as or {})


def test_a_corpus_in_a_models_words():
    mine = corpus("angry", "happy", None, "angry", "sad")
    said = in_words_of(mine, ["anger", "joy", "neutral", "sad"])
    assert [clip.emotion for clip in said.clips] == ["anger", "joy", None, "anger", "sad"]
    assert said.labels == ("anger", "joy", "sad") and said.read_as == {"angry": "anger", "happy": "joy"}
    assert [c.path for c in said.clips] == [c.path for c in mine.clips]


def test_a_table_and_a_model_of_the_same_words_were_read_as_nothing_else():
    mine = corpus("angry", "fearful", read_as={"anger": "angry", "Fear": "fearful"})
    said = in_words_of(mine, ["anger", "fear"])
    assert said.labels == ("anger", "fear") and said.read_as == {"Fear": "fear"}
    assert dataclasses.replace(mine, read_as={}) == dataclasses.replace(
        in_words_of(mine, ["angry", "fearful", "anger"]), read_as={}
    )


def test_a_model_of_the_projects_words_changes_nothing():
    mine = corpus("angry", "happy")
    assert in_words_of(mine, EMOTIONS) is mine
    assert in_words_of(mine, ["boredom", "contempt"]) is mine
