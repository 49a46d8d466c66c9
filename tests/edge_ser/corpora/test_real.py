"""The corpora themselves, where they are at hand: counts, speakers and folds as they are documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_ser.corpora import EMOTIONS, corpus_names, load_corpus, load_sounds, sound_names
from edge_ser.corpora.facts import CORPORA
from edge_ser.corpora.official import read_name
from tests.support import need_corpus

# clips, speakers, folds, labels, languages
FACTS = {
    "ravdess": (1439, 24, 5, "angry calm disgust fearful happy neutral sad surprised", "en"),
    "emodb": (535, 10, 10, "angry bored disgust fearful happy neutral sad", "de"),
    "emotale": (800, 18, 5, "angry bored happy neutral sad", "da en"),
    "aesdd": (604, 6, 6, "angry disgust fearful happy sad", "el"),
    "nemo": (4481, 9, 9, "angry fearful happy neutral sad surprised", "pl"),
    "urdu": (400, 29, 5, "angry happy neutral sad", "ur"),
}
RAVDESS_FOLDS = [
    {2, 5, 14, 15, 16},
    {3, 6, 7, 13, 18},
    {10, 11, 12, 19, 20},
    {8, 17, 21, 23, 24},
    {1, 4, 9, 22},
]


def real(name: str, load=load_corpus):
    """The corpus, or a skip that says why."""
    need_corpus(name)
    return load(name)


@pytest.mark.parametrize("name", FACTS)
def test_counts_are_the_documented_ones(name):
    corpus = real(name)
    clips, speakers, folds, labels, languages = FACTS[name]
    assert (len(corpus), len(corpus.speakers), len(corpus.folds())) == (clips, speakers, folds)
    assert corpus.labels == tuple(labels.split())
    assert {clip.emotion for clip in corpus.clips} == set(corpus.labels) <= set(EMOTIONS)
    assert sorted({clip.language for clip in corpus.clips}) == languages.split()
    assert all(clip.sex in ("f", "m") and clip.duration != 0 for clip in corpus.clips)


@pytest.mark.parametrize("name", FACTS)
def test_no_speaker_stands_on_both_sides(name):
    corpus = real(name)
    tested = set()
    for fold in corpus.folds():
        train, test = corpus.split(fold)
        assert not {clip.speaker for clip in train} & {clip.speaker for clip in test}
        tested |= {clip.path for clip in test}
    assert tested == {clip.path for clip in corpus.clips}


def test_ravdess_folds_are_the_published_ones_and_its_duplicate_is_counted():
    corpus = real("ravdess")
    for fold, actors in enumerate(RAVDESS_FOLDS):
        assert {int(clip.speaker[-2:]) for clip in corpus.split(fold)[1]} == actors
    assert "03-01-03-01-02-02-07" in {Path(one.what).stem for one in corpus.left_out}


@pytest.mark.parametrize("name", FACTS)
def test_official_names_say_the_same_as_the_table(name):
    for clip in real(name).clips:
        named, reason = read_name(CORPORA[name], clip.path)
        assert named is not None, reason
        for what in ("speaker", "emotion", "intensity", "sex", "language", "fold"):
            assert getattr(named, what) == getattr(clip, what), (clip.path.name, what)


def test_emotale_is_rated_on_0_to_1_by_three_people():
    clips = real("emotale").clips
    assert all(clip.adv is not None and all(0 <= value <= 1 for value in clip.adv) for clip in clips)
    first = clips[0]
    assert first.adv == pytest.approx((0.8333, 0.9167, 0.1667), abs=1e-4)
    for dimension in ("A", "D", "V"):
        mean = sum(float(first.extra[f"a{rater}_{dimension}"]) for rater in (1, 2, 3)) / 3
        assert first.adv["ADV".index(dimension)] == pytest.approx((mean - 1) / 4, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "count", "classes"), [("esc10", 400, 10), ("fsdd", 720, 10), ("noise", 100, 0), ("rir", 7, 0)]
)
def test_sounds(name, count, classes):
    sounds = real(name, load_sounds)
    assert (len(sounds), len(sounds.labels), sounds.left_out) == (count, classes, ())
    assert name in sound_names()


def test_corpora_in_the_readme_are_the_ones_with_a_reader():
    assert list(FACTS) == corpus_names()
