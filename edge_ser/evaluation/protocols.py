"""Who is trained on and who is tested on: splits that keep speakers apart, and one that does not and says so."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from edge_ser.corpora import Clip, Corpus, LeftOut
from edge_ser.corpora.base import label_order
from edge_ser.corpora.copies import without_copies
from edge_ser.errors import EdgeSerError

__all__ = ["PROTOCOLS", "Plan", "Split", "merged", "plan", "restricted"]

#: Name to what is held out.
PROTOCOLS = {
    "folds": "the corpus's folds, or five of whole speakers",
    "speaker": "leave one speaker out",
    "corpus": "leave one corpus out",
    "language": "leave one language out",
    "random": "random fifths of the clips: LEAKS speakers",
}
_FOLDS = 5


@dataclasses.dataclass(frozen=True)
class Split:
    """Clips to train on and clips to test on.

    Attributes
    ----------
    name : str
        What is held out.
    train, test : tuple of Clip
    """

    name: str
    train: tuple[Clip, ...]
    test: tuple[Clip, ...]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Splits in their order, what a report says of them, and what they leave out.

    Attributes
    ----------
    splits : tuple of Split
        The test sides hold every clip that is not left out, once.
    statement : str
    leaks : bool
        Speakers stand on both sides.
    left_out : tuple of LeftOut
    """

    splits: tuple[Split, ...]
    statement: str
    leaks: bool
    left_out: tuple[LeftOut, ...]


def merged(corpora: Sequence[Corpus]) -> Corpus:
    """Several corpora as one, of the emotions that all of them have; other clips and copies stand in ``left_out``.

    Raises
    ------
    EdgeSerError
        None, one twice, no emotion in common, or a speaker's name in two of them.
    """
    if not corpora:
        raise EdgeSerError("name at least one corpus")
    names = [corpus.name for corpus in corpora]
    if len(set(names)) != len(names):
        raise EdgeSerError(f"a corpus is named twice: {', '.join(names)}")
    if len(corpora) == 1:
        return corpora[0]
    common = label_order(set.intersection(*(set(corpus.labels) for corpus in corpora)))
    if not common:
        raise EdgeSerError(f"{', '.join(names)} have no emotion in common")
    speakers = [speaker for corpus in corpora for speaker in corpus.speakers]
    if len(set(speakers)) != len(speakers):
        twice = sorted({one for one in speakers if speakers.count(one) > 1})
        raise EdgeSerError(f"the speaker {twice[0]} is in two corpora; give speakers names of their own")
    parts = [restricted(corpus, common, "is not in every corpus") for corpus in corpora]
    kept, copied = without_copies(clip for part in parts for clip in part.clips)
    left = [one for part in parts for one in part.left_out]
    read_as = {word: ours for part in parts for word, ours in part.read_as.items()}
    return Corpus("+".join(names), kept, common, left_out=(*left, *copied), read_as=read_as)


def restricted(corpus: Corpus, labels: Iterable[str], why: str) -> Corpus:
    """`Corpus.restrict` with the clips of each other emotion counted in ``left_out``; `why` follows the emotion.

    Raises
    ------
    EdgeSerError
        None of the labels is one of this corpus.
    """
    part = corpus.restrict(labels)
    names = [clip.emotion or "no emotion" for clip in corpus.clips if clip.emotion not in part.labels]
    left = [
        LeftOut(f"{names.count(name)} clips of {corpus.name}", f"{name} {why}") for name in label_order(names)
    ]
    return dataclasses.replace(part, left_out=(*corpus.left_out, *left))


def plan(corpus: Corpus, protocol: str = "folds", *, seed: int = 0) -> Plan:
    """Splits of a corpus.

    Parameters
    ----------
    corpus : Corpus
        Perhaps `merged` from several.
    protocol : str
        Of `PROTOCOLS`. Where a held-out language has speakers who speak another too, their other clips are not
        trained on.
    seed : int
        Of the random fifths.

    Raises
    ------
    EdgeSerError
        An unknown protocol, too few speakers, corpora or languages for it, or folds of some clips only.
    """
    if protocol not in PROTOCOLS:
        raise EdgeSerError(f"unknown protocol {protocol!r}; choose one of {', '.join(PROTOCOLS)}")
    keep = corpus.keep(lambda clip: clip.emotion is not None)
    left = list(corpus.left_out)
    if missing := len(corpus) - len(keep):
        left.append(LeftOut(f"{missing} clips", "they have no emotion"))
    if len(keep.speakers) < 2:
        raise EdgeSerError(
            f"{corpus.name} has {len(keep.speakers)} speaker with emotions; figures need two at least, so that one "
            "can be tested on whom nobody trained on"
        )
    statement = PROTOCOLS[protocol]
    if protocol == "folds":
        keep, statement = _folded(keep)
    splits = []
    for name, test in _held_out(keep, protocol, seed):
        speakers = {clip.speaker for clip in test}
        inside = {clip.path for clip in test}
        train = [clip for clip in keep.clips if clip.path not in inside]
        if protocol != "random":
            apart = [clip for clip in train if clip.speaker not in speakers]
            if len(apart) < len(train):
                what = f"{len(train) - len(apart)} clips in the training of {name}"
                left.append(LeftOut(what, "of speakers who are tested on"))
            train = apart
        if len({clip.emotion for clip in train}) < 2:
            raise EdgeSerError(f"with {name} held out, fewer than two emotions are left to train on")
        absent = {clip.emotion for clip in test} - {clip.emotion for clip in train}
        if absent:
            n = sum(clip.emotion in absent for clip in test)
            what = f"{n} clips of {', '.join(sorted(map(str, absent)))} in {name}"
            left.append(LeftOut(what, "nobody is left to train this emotion on"))
            test = [clip for clip in test if clip.emotion not in absent]
        splits.append(Split(name, tuple(train), tuple(test)))
    return Plan(tuple(splits), statement, protocol == "random", tuple(left))


def _folded(corpus: Corpus) -> tuple[Corpus, str]:
    """A corpus with folds, its own or else new ones of whole speakers, and the words for which they are."""
    if len(folds := corpus.folds()) < 2:
        n = min(_FOLDS, len(corpus.speakers))
        return corpus.speaker_folds(n), f"{n} folds of whole speakers, dealt out here"
    if bare := sorted({clip.corpus for clip in corpus.clips if clip.fold is None}):
        raise EdgeSerError(
            f"some clips of {corpus.name} have folds, and those of {', '.join(bare)} none; take another --protocol, "
            "speaker for instance, or fill in the column fold"
        )
    own = corpus.folding == Corpus.folding
    return corpus, f"the corpus's own {len(folds)} folds" if own else f"{len(folds)} {corpus.folding}"


def _held_out(corpus: Corpus, protocol: str, seed: int) -> Iterator[tuple[str, list[Clip]]]:
    if protocol in ("folds", "speaker"):
        folded = corpus if protocol == "folds" else corpus.folded("speaker")
        for fold in folded.folds():
            _, test = folded.split(fold)
            yield (test[0].speaker if protocol == "speaker" else f"fold {fold}"), list(test)
        return
    if protocol == "random":
        order = np.random.default_rng(seed).permutation(len(corpus))
        order = np.array(sorted(order, key=lambda i: corpus.clips[i].emotion or ""))  # even classes
        for part in range(_FOLDS):
            yield f"random fifth {part}", [corpus.clips[i] for i in sorted(order[part::_FOLDS])]
        return
    of = (lambda clip: clip.corpus) if protocol == "corpus" else (lambda clip: clip.language)
    names = sorted({of(clip) or "" for clip in corpus.clips})
    if "" in names:
        raise EdgeSerError(
            f"some clips of {corpus.name} name no {protocol}; fill in that column of the table"
        )
    if len(names) < 2:
        raise EdgeSerError(f"{corpus.name} has one {protocol} only ({names[0]}); name corpora of two or more")
    for name in names:
        yield name, [clip for clip in corpus.clips if of(clip) == name]
