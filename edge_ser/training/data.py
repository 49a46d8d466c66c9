"""Clips as normalised log-mel in memory, and batches of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from edge_ser.corpora import Clip, Corpus, load_corpus
from edge_ser.corpora.base import label_order
from edge_ser.corpora.copies import copies, without_copies
from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError
from edge_ser.training.augment import Augment, end_early, restyle, spread, warp
from edge_ser.training.noise import Noise
from edge_ser.training.told import told_of

__all__ = [
    "TASKS",
    "Batch",
    "ClipSet",
    "LabelledClips",
    "Taught",
    "check_folds",
    "left_out",
    "of_one_speaker",
    "pool_corpora",
    "with_answers",
]


#: What else clips tell beside emotion and ratings.
TASKS = ("intensity", "sex", "speaker")


class Taught(NamedTuple):
    """What a teacher says of V views of N clips; NaN where it says nothing."""

    logits: Tensor  # (V, N, L), in the order of the student's classes
    adv: Tensor  # (V, N, 3) in 0..1
    hint: Tensor  # (V, N, K), the teacher's features; K may be 0

    @classmethod
    def nothing(cls, views: int, clips: int, classes: int) -> Taught:
        """What nobody says of so many."""
        return cls(*(torch.full((views, clips, n), float("nan")) for n in (classes, 3, 0)))

    def pick(self, index: Tensor) -> Taught:
        """What it says of some of the clips."""
        return Taught(*(tensor[:, index] for tensor in self))


class Batch(NamedTuple):
    """Tensors of a batch of clips."""

    features: Tensor  # (B, T, n_mels)
    frames: Tensor  # (B,) valid frames
    labels: Tensor  # (B,) class indices, -1 where unknown
    allowed: Tensor  # (B, L) classes that each clip's corpus knows
    adv: Tensor  # (B, 3) in 0..1, NaN where unknown: the raters' where there are some, else the teacher's
    logits: Tensor  # (B, L) the teacher's, NaN where there are none
    hint: Tensor  # (B, K) the teacher's features, NaN where there are none; K may be 0
    tasks: dict[str, Tensor]  # (B,) class indices of each of `TASKS`, -1 where unknown
    plain: tuple[Tensor, Tensor] | None = None  # features and frames of another stretch, not augmented


def pool_corpora(
    names: Sequence[str], labels: Sequence[str] = ()
) -> tuple[Corpus, dict[str, tuple[str, ...]]]:
    """Several corpora as one, and the labels that each of them knows.

    Parameters
    ----------
    names : sequence of str
        As `edge_ser.corpora.load_corpus` takes them.
    labels : sequence of str
        Keep only these emotions (clips without an emotion stay); none keeps all.

    Returns
    -------
    corpus : Corpus
    known : dict
        From a corpus's name to its labels.

    Raises
    ------
    EdgeSerError
        None, two of one name, or a label that none of them has.
    """
    corpora = [load_corpus(name) for name in names]
    if not corpora:
        raise EdgeSerError("name at least one corpus")
    titles = [corpus.name for corpus in corpora]
    if len(set(titles)) < len(titles):  # what each of them knows goes by its name
        twice = next(title for title in titles if titles.count(title) > 1)
        raise EdgeSerError(
            f"two corpora are called {twice}: leave one out, or give their tables file names of their own"
        )
    if strange := sorted(set(labels).difference(*(corpus.labels for corpus in corpora))):
        there = label_order(label for corpus in corpora for label in corpus.labels)
        raise EdgeSerError(f"{'+'.join(titles)} has no {', '.join(strange)}; it has {', '.join(there)}")
    if labels:
        corpora = [
            corpus.keep(lambda clip: clip.emotion is None or clip.emotion in labels) for corpus in corpora
        ]
    known = {c.name: tuple(label for label in c.labels if not labels or label in labels) for c in corpora}
    union = label_order(label for mine in known.values() for label in mine)
    clips, copied = without_copies(clip for corpus in corpora for clip in corpus.clips)
    together = Corpus(
        name="+".join(known),
        clips=clips,
        labels=union,
        licence="; ".join(f"{c.name}: {c.licence}" for c in corpora),
        citation="; ".join(c.citation for c in corpora),
        left_out=(*(one for c in corpora for one in c.left_out), *copied),
        folding=" or ".join(dict.fromkeys(c.folding for c in corpora)),
        read_as={word: ours for c in corpora for word, ours in c.read_as.items()},
    )
    return together, known


def with_answers(corpus: Corpus) -> list[Clip]:
    """Clips that have an emotion or ratings."""
    return [clip for clip in corpus.clips if clip.emotion is not None or clip.adv is not None]


def left_out(corpus: Corpus, clips: Sequence[Clip]) -> list[dict[str, str]]:
    """What of a corpus no model is scored on, whichever fold is held out: ``what`` and ``reason`` of each.

    Parameters
    ----------
    corpus : Corpus
    clips : sequence of Clip
        Those of its clips that are taken; the others lack what is learnt.
    """
    rows = [(one.what, one.reason) for one in corpus.left_out]
    taken = set(clips)
    for clip in corpus.clips:
        if clip not in taken:
            rows.append((str(clip.path), "no emotion" if clip.adv else "no emotion and no ratings"))
        elif clip.fold is None:
            rows.append((str(clip.path), "no fold given"))
    return [{"what": what, "reason": reason} for what, reason in rows]


def check_folds(corpus: Corpus, wanted: Sequence[int], beside: Sequence[str] = ()) -> None:
    """Refuse what cannot be learnt, or cannot be held out, before anything is trained.

    Parameters
    ----------
    corpus : Corpus
    wanted : sequence of int
        The folds.
    beside : sequence of str
        Other corpora, as `edge_ser.corpora.load_corpus` takes them, that are heard whichever fold is held out.

    Raises
    ------
    EdgeSerError
        There is no such fold, or one of its speakers or recordings is heard in training too; or all clips are of one
        emotion and none is rated, so that there is nothing to tell apart.
    """
    if len(corpus.labels) == 1 and not any(clip.adv for clip in corpus.clips):
        raise EdgeSerError(
            f"all clips of {corpus.name} are {corpus.labels[0]}: a model needs two emotions at least to tell apart"
        )
    heard = [clip for name in beside if wanted for clip in with_answers(load_corpus(name))]
    speakers = {clip.speaker for clip in heard}
    for fold in wanted:
        _, test = corpus.split(fold)
        if both := sorted({clip.speaker for clip in test} & speakers):
            raise EdgeSerError(
                f"{both[0]} speaks in fold {fold} of {corpus.name}, which is held out, and in {' or '.join(beside)}, "
                "which is heard: leave that speaker out there, or give two people two names"
            )
    if not heard:
        return
    clips = [*heard, *(clip for clip in corpus.clips if clip.fold in wanted)]
    for place, first in copies([clip.path for clip in clips]).items():
        if first < len(heard) <= place:
            raise EdgeSerError(
                f"{clips[place].path} of fold {clips[place].fold}, which is held out, is the same recording as "
                f"{clips[first].path} of {clips[first].corpus}, which is heard: leave it out of one of them"
            )


class LabelledClips:
    """What is known of clips to train on, and in which order they come.

    Parameters
    ----------
    clips : sequence of Clip
    labels : sequence of str
        All classes, in the order of the logits.
    known : mapping
        From a corpus's name to the labels that it knows.
    taught : Taught
        What a teacher says of them.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        labels: Sequence[str],
        known: Mapping[str, tuple[str, ...]],
        taught: Taught,
    ) -> None:
        index = {label: i for i, label in enumerate(labels)}
        self.labels = torch.tensor([index.get(clip.emotion or "", -1) for clip in clips])
        allowed = [[label in known[clip.corpus] for label in labels] for clip in clips]
        self.allowed = torch.tensor(
            allowed, dtype=torch.bool
        )  # said, since there may be no labels to tell it by
        self.adv = torch.tensor([clip.adv or (float("nan"),) * 3 for clip in clips])
        self.taught = taught
        self.tasks, self.task_sizes = {}, {}
        for task in TASKS:
            said = [getattr(clip, task) for clip in clips]
            names = {name: i for i, name in enumerate(sorted({one for one in said if one is not None}))}
            self.tasks[task] = torch.tensor([names.get(one, -1) for one in said])
            self.task_sizes[task] = len(names)
        counts = {name: sum(clip.corpus == name for clip in clips) for name in known}
        self.corpus_size = np.array([counts[clip.corpus] for clip in clips], dtype=float)
        self.speakers = np.array([clip.speaker for clip in clips])
        self.told = told_of(clips)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def rated(self) -> bool:
        """Whether any clip has arousal, dominance and valence, by raters or by the teacher."""
        return any(bool(torch.isfinite(adv).any()) for adv in (self.adv, self.taught.adv))

    def order(self, rng: np.random.Generator, balance: float, together: int = 1) -> np.ndarray:
        """Clips of one epoch in random order.

        Parameters
        ----------
        rng : numpy.random.Generator
        balance : float
            0 gives each clip once; above, small corpora come more often and clips by chance.
        together : int
            So many clips of one speaker follow one another, fewer where a speaker's clips run out.

        Returns
        -------
        (n,) int64
        """
        if together > 1:
            parts = of_one_speaker(self.speakers, together, rng)
            if balance == 0:
                return np.concatenate([parts[i] for i in rng.permutation(len(parts))])
            weight = np.array([self.corpus_size[part[0]] ** -balance for part in parts])
            # twice as many as there are, since drawn parts may be short ones
            drawn = rng.choice(len(parts), 2 * len(parts), p=weight / weight.sum())
            return np.resize(np.concatenate([parts[i] for i in drawn]), len(self))
        if balance == 0:
            return rng.permutation(len(self))
        weight = self.corpus_size**-balance
        return rng.choice(len(self), len(self), p=weight / weight.sum())


class ClipSet(LabelledClips):
    """Clips to train on, with their features.

    Parameters
    ----------
    clips, labels, known
        As of `LabelledClips`.
    views : sequence of sequences of (frames, n_mels) arrays
        For each view of the clips, the features of each clip, as `edge_ser.training.views.Views` holds them. The
        first is the clips themselves.
    taught : Taught, optional
        What a teacher says of each view of each clip.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        views: Sequence[Sequence[np.ndarray]],
        labels: Sequence[str],
        known: Mapping[str, tuple[str, ...]],
        taught: Taught | None = None,
    ) -> None:
        if taught is None:
            taught = Taught.nothing(len(views), len(clips), len(labels))
        super().__init__(clips, labels, known, taught)
        self.views = [[torch.from_numpy(f) for f in features] for features in views]

    def batch(
        self,
        index: Sequence[int],
        frames: int,
        how: Augment,
        spec: MelSpec,
        rng: np.random.Generator,
        noise: Noise | None = None,
        plain: bool = False,
    ) -> Batch:
        """Random crops of `frames` frames, augmented; short clips are padded and their length given.

        With `plain` the batch has, beside them, other crops of the same clips as they are.
        """
        drawn = rng.integers(len(self.views), size=len(index))
        sounds = [self.views[view][i] for view, i in zip(drawn, index, strict=True)]

        def heard(clip: Tensor) -> Tensor:
            clip = _crop(clip, int(frames * (1 + how.speed)) + 1, rng).float()
            return end_early(_crop(warp(clip, how, rng), frames, rng), how, rng)

        features, lengths = _padded([heard(clip) for clip in sounds], frames)
        beside = _padded([_crop(clip, frames, rng) for clip in sounds], frames) if plain else None
        if noise is not None:
            features = noise.add(features, lengths)
        chosen, view = torch.as_tensor(np.asarray(index)), torch.as_tensor(drawn)
        said = Taught(*(tensor[view, chosen] for tensor in self.taught))
        rated = self.adv[chosen]
        return Batch(
            features=spread(restyle(features, lengths, how), how, spec),
            frames=lengths,
            labels=self.labels[chosen],
            allowed=self.allowed[chosen],
            adv=torch.where(torch.isfinite(rated), rated, said.adv),
            logits=said.logits,
            hint=said.hint,
            tasks={task: values[chosen] for task, values in self.tasks.items()},
            plain=beside,
        )


def _padded(clips: Sequence[Tensor], frames: int) -> tuple[Tensor, Tensor]:
    """Clips of at most `frames` frames as one tensor (B, frames, n_mels), and their lengths (B,)."""
    features = torch.zeros(len(clips), frames, clips[0].shape[1])
    for row, clip in enumerate(clips):
        features[row, : len(clip)] = clip
    return features, torch.tensor([len(clip) for clip in clips])


def of_one_speaker(speakers: np.ndarray, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """All clips in parts of at most `size` clips of one speaker, drawn anew each time."""
    parts = []
    for speaker in np.unique(speakers):
        mine = rng.permutation(np.flatnonzero(speakers == speaker))
        parts += [mine[i : i + size] for i in range(0, len(mine), size)]
    return parts


def _crop(clip: Tensor, frames: int, rng: np.random.Generator) -> Tensor:
    """A random stretch of at most `frames` frames."""
    if len(clip) <= frames:
        return clip
    start = int(rng.integers(0, len(clip) - frames + 1))
    return clip[start : start + frames]
