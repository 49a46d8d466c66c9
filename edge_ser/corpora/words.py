"""What tables call emotions, and the project's word for each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from edge_ser.corpora.base import EMOTIONS, Corpus

__all__ = ["in_words_of", "project_words", "words_read"]

#: Nouns, participles and the short forms of IEMOCAP and CREMA-D. Words that are only near one (excited, frustrated,
#: contempt, anxious) are emotions of their own.
_MEANING = {word: word for word in EMOTIONS} | {
    other: word
    for word, others in {
        "angry": "anger ang",
        "bored": "boredom bor",
        "calm": "calmness",
        "disgust": "disgusted dis",
        "fearful": "fear afraid fea",
        "happy": "happiness hap",
        "neutral": "neu",
        "sad": "sadness",
        "surprised": "surprise sur",
    }.items()
    for other in others.split()
}
_JOYS = {"joy": "happy", "joyful": "happy"}  # some corpora have joy beside happiness


def project_words(words: Iterable[str]) -> dict[str, str]:
    """The words of a table that the project has another for: ``{"Anger": "angry"}``.

    Parameters
    ----------
    words : iterable of str
        All emotions that occur; capitals do not matter. Joy is happiness where nothing else of the table is.

    Returns
    -------
    dict
        In the order of `words`; those that stay as they are are not in it.
    """
    distinct = list(dict.fromkeys(words))
    plain = {word: word.lower() for word in distinct}
    meaning = _MEANING | ({} if any(_MEANING.get(p) == "happy" for p in plain.values()) else _JOYS)
    return {
        word: meaning[plain[word]]
        for word in distinct
        if plain[word] in meaning and meaning[plain[word]] != word
    }


def in_words_of(corpus: Corpus, labels: Iterable[str]) -> Corpus:
    """A corpus with the words of a model that somebody else made, where it has others for the project's emotions.

    Parameters
    ----------
    corpus : Corpus
    labels : iterable of str
        The model's: a corpus's angry becomes anger where they hold anger and not angry.
    """
    known = set(labels)
    theirs = {ours: word for word, ours in project_words(labels).items() if ours not in known}
    theirs = {ours: word for ours, word in theirs.items() if ours in corpus.labels}
    if not theirs:
        return corpus
    told = {word: theirs.get(ours, ours) for word, ours in corpus.read_as.items()}
    told |= {ours: word for ours, word in theirs.items() if ours not in corpus.read_as.values()}
    clips = tuple(
        dataclasses.replace(clip, emotion=theirs[clip.emotion]) if clip.emotion in theirs else clip
        for clip in corpus.clips
    )
    return dataclasses.replace(
        corpus,
        clips=clips,
        labels=tuple(theirs.get(label, label) for label in corpus.labels),
        read_as={word: other for word, other in told.items() if word != other},
    )


def words_read(corpus: Corpus) -> dict[str, Any]:
    """``read_as`` of a result: a corpus's words that were read as others; nothing where none were."""
    return {"read_as": dict(corpus.read_as)} if corpus.read_as else {}
