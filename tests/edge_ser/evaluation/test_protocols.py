"""Protocols: nobody stands on both sides, the random split says that it leaks, exclusions are stated."""

import dataclasses
from pathlib import Path

import pytest

from edge_ser.corpora import Clip, Corpus
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.protocols import PROTOCOLS, merged, plan

LABELS = ("angry", "happy", "sad")


def corpus(name: str = "a", speakers: int = 6, labels=LABELS, languages=("en",)) -> Corpus:
    clips = tuple(
        Clip(Path(f"{name}{i}.wav"), name, f"{name}-s{i % speakers}", labels[i // speakers % len(labels)],
             language=languages[i // speakers % len(languages)], sex="f")
        for i in range(speakers * 12)
    )  # fmt: skip
    return Corpus(name, clips, labels)


@pytest.mark.parametrize("protocol", ["folds", "speaker"])
def test_speakers_are_apart_and_every_clip_is_tested_once(protocol: str) -> None:
    whole = corpus()
    made = plan(whole, protocol)
    assert len(made.splits) == (5 if protocol == "folds" else 6) and not made.leaks
    for split in made.splits:
        assert not {c.speaker for c in split.train} & {c.speaker for c in split.test}
    tested = [clip.path for split in made.splits for clip in split.test]
    assert sorted(tested) == sorted(clip.path for clip in whole.clips)


def with_folds(whole: Corpus, n: int) -> Corpus:
    return dataclasses.replace(
        whole, clips=tuple(dataclasses.replace(c, fold=int(c.speaker[-1]) % n) for c in whole.clips)
    )


def test_the_statement_says_whose_folds_they_are() -> None:
    assert plan(corpus()).statement.startswith("5 folds of whole speakers, dealt out here")
    assert plan(corpus(speakers=3)).statement.startswith("3 folds of whole speakers")
    own = plan(with_folds(corpus(), 3))
    assert own.statement == "the corpus's own 3 folds" and len(own.splits) == 3
    assert (
        "dealt out" in plan(with_folds(corpus(), 1)).statement
    )  # all in one fold: nothing could be held out


def test_folds_of_some_clips_only_are_refused() -> None:
    mixed = merged([with_folds(corpus("a"), 3), corpus("b")])
    with pytest.raises(EdgeSerError, match=r"those of b none; take another --protocol"):
        plan(mixed, "folds")
    tested = [clip.path for split in plan(mixed, "speaker").splits for clip in split.test]
    assert sorted(tested) == sorted(clip.path for clip in mixed.clips)


def test_the_random_split_says_that_it_leaks() -> None:
    made = plan(corpus(), "random")
    assert made.leaks and "LEAKS" in made.statement
    assert {c.speaker for c in made.splits[0].train} & {c.speaker for c in made.splits[0].test}
    assert plan(corpus(), "random") == made
    for split in made.splits:  # fifths of each class, which has 24 clips
        assert all(4 <= sum(clip.emotion == label for clip in split.test) <= 6 for label in LABELS)
    tested = [clip.path for split in made.splits for clip in split.test]
    assert sorted(tested) == sorted(clip.path for clip in corpus().clips)
    other = plan(corpus(), "random", seed=1)
    assert other.splits[0].test != made.splits[0].test


def test_clips_without_an_emotion_are_counted_and_stand_on_no_side() -> None:
    whole = corpus()
    some = tuple(dataclasses.replace(c, emotion=None) if i % 9 == 0 else c for i, c in enumerate(whole.clips))
    made = plan(dataclasses.replace(whole, clips=some), "speaker")
    assert [(one.what, one.reason) for one in made.left_out] == [("8 clips", "they have no emotion")]
    assert sum(len(split.test) for split in made.splits) == 64
    assert all(clip.emotion for split in made.splits for clip in (*split.train, *split.test))


def test_a_corpus_at_a_time_among_common_emotions() -> None:
    both = merged([corpus("a"), corpus("b", labels=("angry", "sad", "bored"))])
    assert both.labels == ("angry", "sad")
    assert {one.reason for one in both.left_out} == {
        "happy is not in every corpus",
        "bored is not in every corpus",
    }
    made = plan(both, "corpus")
    assert [split.name for split in made.splits] == ["a", "b"]
    assert {clip.corpus for clip in made.splits[0].train} == {"b"}


def test_speakers_of_two_languages_are_not_trained_on() -> None:
    whole = corpus(languages=("da", "en"))
    with pytest.raises(EdgeSerError, match="fewer than two emotions"):
        plan(whole, "language")  # everybody speaks both
    others = (*corpus("b", languages=("en",)).clips, *corpus("c", languages=("da",)).clips)
    some = Corpus("two", (*whole.clips, *others), LABELS)
    made = plan(some.keep(lambda c: c.corpus != "a" or c.speaker == "a-s0"), "language")
    danish = made.splits[0]
    assert danish.name == "da" and not {c.speaker for c in danish.train} & {c.speaker for c in danish.test}
    assert any("of speakers who are tested on" in one.reason for one in made.left_out)


def test_an_emotion_of_one_speaker_is_left_out_by_name() -> None:
    whole = corpus()
    only = Corpus("a", (*whole.clips, Clip(Path("x.wav"), "a", "a-s0", "bored")), (*LABELS, "bored"))
    made = plan(only, "speaker")
    [left] = made.left_out
    assert left.what == "1 clips of bored in a-s0" and "nobody is left" in left.reason
    assert [split.name for split in made.splits] == [f"a-s{i}" for i in range(6)]
    assert all(clip.emotion != "bored" for split in made.splits for clip in split.test)


def test_two_speakers_are_enough_and_one_corpus_stays_as_it_is() -> None:
    two = corpus(speakers=2)
    assert [split.name for split in plan(two).splits] == ["fold 0", "fold 1"]
    assert merged([two]) is two


def test_what_cannot_be_planned() -> None:
    with pytest.raises(EdgeSerError, match="1 speaker"):
        plan(corpus(speakers=1), "folds")
    with pytest.raises(EdgeSerError, match="unknown protocol"):
        plan(corpus(), "loso")
    with pytest.raises(EdgeSerError, match="one corpus only"):
        plan(corpus(), "corpus")
    with pytest.raises(EdgeSerError, match="named twice"):
        merged([corpus(), corpus()])
    with pytest.raises(EdgeSerError, match="no emotion in common"):
        merged([corpus("a", labels=("angry",)), corpus("b", labels=("sad",))])
    nameless = corpus().keep(lambda c: True)
    with pytest.raises(EdgeSerError, match="name no language"):
        plan(
            Corpus("a", tuple(Clip(c.path, "a", c.speaker, c.emotion) for c in nameless.clips), LABELS),
            "language",
        )
    assert set(PROTOCOLS) == {"folds", "speaker", "corpus", "language", "random"}
