"""Clips and folds: no speaker on both sides, whatever the corpus."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ser.corpora import EMOTIONS, Clip, Corpus, LeftOut
from edge_ser.corpora.base import label_order
from edge_ser.errors import EdgeSerError

lawful = settings(max_examples=60)


def corpus_of(*clips: tuple[str, str | None, int | None]) -> Corpus:
    """A corpus of (speaker, emotion, fold)."""
    made = tuple(
        Clip(Path(f"{i}.wav"), "mine", speaker, emotion, fold=fold)
        for i, (speaker, emotion, fold) in enumerate(clips)
    )
    return Corpus("mine", made, label_order(c.emotion for c in made if c.emotion))


speakers = st.lists(
    st.tuples(st.sampled_from("ABCDEFGH"), st.sampled_from(["angry", "calm", "sad", None]), st.none()),
    min_size=2,
    max_size=60,
).filter(lambda clips: len({c[0] for c in clips}) > 1)


@lawful
@given(speakers, st.data())
def test_speaker_folds_part_the_speakers_and_lose_nobody(clips, data):
    corpus = corpus_of(*clips)
    n = data.draw(st.integers(2, len(corpus.speakers)))
    folded = corpus.speaker_folds(n)
    assert folded.folds() == list(range(n))
    assert [clip.path for clip in folded.clips] == [clip.path for clip in corpus.clips]
    tested = []
    for fold in folded.folds():
        train, test = folded.split(fold)
        assert not {clip.speaker for clip in train} & {clip.speaker for clip in test}
        assert len(train) + len(test) == len(corpus)
        tested += test
    assert Counter(tested) == Counter(folded.clips)


@lawful
@given(speakers, st.randoms())
def test_speaker_folds_do_not_depend_on_the_order_of_clips(clips, random):
    shuffled = list(clips)
    random.shuffle(shuffled)
    folds = [
        {clip.speaker: clip.fold for clip in corpus_of(*order).speaker_folds(2).clips}
        for order in (clips, shuffled)
    ]
    assert folds[0] == folds[1]


def test_speaker_folds_are_balanced_in_clips_and_classes():
    clips = [
        (f"s{s:02d}", emotion, None)
        for s in range(20)
        for emotion in ("angry", "sad")
        # half of the speakers are mostly angry, half mostly sad
        for _ in range(3 + 6 * ((emotion == "angry") == (s % 2 == 0)))
    ]
    folded = corpus_of(*clips).speaker_folds(5)
    for fold in folded.folds():
        counts = Counter(clip.emotion for clip in folded.split(fold)[1])
        assert counts == {"angry": 24, "sad": 24}


def test_speakers_of_one_class_do_not_meet_in_one_fold():
    """Dealt out by the number of their clips alone, the angry would all be in the first."""
    folded = corpus_of(*[(s, "angry" if s in "AC" else "sad", None) for s in "AABBCCDD"]).speaker_folds(2)
    for fold in folded.folds():
        assert Counter(clip.emotion for clip in folded.split(fold)[1]) == {"angry": 2, "sad": 2}


def test_leave_one_speaker_out_is_as_many_folds_as_speakers():
    folded = corpus_of(*[(s, "sad", None) for s in "AABBBC"]).speaker_folds(3)
    assert [{c.speaker for c in folded.split(f)[1]} for f in folded.folds()] == [{"B"}, {"A"}, {"C"}]


def test_folds_that_cannot_be_made_are_a_sentence():
    with pytest.raises(EdgeSerError, match="has 1 speaker; speaker-independent folds need at least two"):
        corpus_of(("A", "sad", None), ("A", "calm", None)).speaker_folds(2)
    two = corpus_of(("A", "sad", None), ("B", "calm", None))
    for n in (1, 3, 0, -1):
        with pytest.raises(EdgeSerError, match=f"2 speakers: ask for 2 to 2 folds, not {n}"):
            two.speaker_folds(n)
    with pytest.raises(EdgeSerError, match="has no folds"):
        two.split(0)


def test_split_refuses_an_unknown_fold_a_lone_fold_and_a_speaker_on_both_sides():
    with pytest.raises(EdgeSerError, match="has no fold 7; its folds are 0, 1"):
        corpus_of(("A", "sad", 0), ("B", "sad", 1)).split(7)
    with pytest.raises(EdgeSerError, match="nothing is left to train on"):
        corpus_of(("A", "sad", 0), ("B", "sad", 0)).split(0)
    with pytest.raises(EdgeSerError, match="A would stand on both sides of fold 0"):
        corpus_of(("A", "sad", 0), ("A", "sad", 1), ("B", "sad", 1)).split(0)


def test_other_folds_by_speaker_by_language_or_so_many():
    clips = [
        Clip(Path(f"{s}{i}.wav"), "mine", s, "sad", language="de" if s == "B" else "el", fold=9)
        for s in "ABC"
        for i in "01"
    ]
    corpus = Corpus("mine", tuple(clips), ("sad",))
    alone = corpus.folded("speaker")
    assert [{c.speaker for c in alone.split(f)[1]} for f in alone.folds()] == [{"A"}, {"B"}, {"C"}]
    assert alone.folding == "folds of one speaker each" and corpus.folding == "speaker-disjoint folds"
    spoken = corpus.folded("language")
    assert [{c.speaker for c in spoken.split(f)[1]} for f in spoken.folds()] == [{"B"}, {"A", "C"}]
    assert spoken.folding == "folds of one language each (de, el)"
    two = corpus.folded("2")
    assert two.folds() == [0, 1] and two.clips == corpus.speaker_folds(2).clips
    for by in ("speakers", "-1", "1.5", ""):
        with pytest.raises(EdgeSerError, match=f"by speaker, by language, or a number of them, not '{by}'"):
            corpus.folded(by)
    with pytest.raises(EdgeSerError, match="mine has one language only"):
        corpus.keep(lambda clip: clip.speaker == "B").folded("language")
    with pytest.raises(EdgeSerError, match="mine has clips without a language"):
        corpus_of(("A", "sad", None), ("B", "sad", None)).folded("language")


def test_a_clip_without_a_fold_stands_on_neither_side():
    train, test = corpus_of(("A", "sad", 0), ("B", "sad", 1), ("C", "sad", None)).split(0)
    assert [c.speaker for c in train + test] == ["B", "A"]


def test_restrict_keeps_clips_of_the_asked_emotions_in_the_projects_order():
    corpus = corpus_of(("A", "sad", 0), ("B", "angry", 1), ("C", "calm", 1), ("D", None, 1))
    few = corpus.restrict(["sad", "happy", "angry"])
    assert few.labels == ("angry", "sad")
    assert [c.speaker for c in few.clips] == ["A", "B"]
    with pytest.raises(EdgeSerError, match="mine has none of bored; it has angry, calm, sad"):
        corpus.restrict(["bored"])


def test_labels_stand_in_the_projects_order_and_strangers_after():
    assert label_order(["zeal", "surprised", "awe", "angry"]) == ("angry", "surprised", "awe", "zeal")
    assert label_order(reversed(EMOTIONS)) == EMOTIONS


def test_adv_is_all_or_nothing():
    clip = Clip(Path("a.wav"), "mine", "A", arousal=0.1, dominance=0.2, valence=0.3)
    assert clip.adv == (0.1, 0.2, 0.3)
    assert Clip(Path("a.wav"), "mine", "A", arousal=0.1, dominance=0.2).adv is None


def test_describe_counts_what_there_is_and_what_was_left_out():
    corpus = corpus_of(("A", "sad", 0), ("B", "sad", 1), ("C", None, 1))
    left = Corpus(
        corpus.name, corpus.clips, corpus.labels, left_out=(LeftOut("x", "song"), LeftOut("y", "song"))
    )
    assert left.describe() == (
        "mine: 3 clips of 3 speakers in 2 folds; sad 2, no emotion 1; left out: 2 (song)"
    )
