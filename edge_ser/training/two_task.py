"""Clips with what is said and how, for a network of two tasks, and what a batch of them costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from edge_ser.errors import EdgeSerError
from edge_ser.models.two_task import TwoTask, TwoTaskConfig
from edge_ser.training.ctc import ctc_greedy, ctc_loss

__all__ = ["Heard", "SpokenBatch", "SpokenClips", "hear", "two_task_loss"]


class SpokenBatch(NamedTuple):
    """Tensors of a batch."""

    features: Tensor  # (B, T, n_mels)
    frames: Tensor  # (B,) valid frames
    targets: Tensor  # (B, L) classes of the letters, filled up with 0
    lengths: Tensor  # (B,) letters of each
    labels: Tensor  # (B,) emotion, -1 where unknown
    allowed: Tensor  # (B, labels) bool: emotions that each clip's corpus knows


@dataclasses.dataclass(frozen=True)
class SpokenClips:
    """Clips in memory.

    Attributes
    ----------
    features : sequence of (frames, n_mels) float arrays
        Normalised log-mel.
    texts : sequence of str
        What is said; empty for silence.
    labels : (n,) int
        Emotion of each, -1 where unknown.
    allowed : (n, labels) bool
        Emotions that each clip's corpus knows.
    groups : sequence of str
        Corpus of each, all of which have the same share of each batch; none where clips are drawn as they are.
    """

    features: Sequence[NDArray[np.floating[Any]]]
    texts: Sequence[str]
    labels: NDArray[np.int64]
    allowed: NDArray[np.bool_]
    groups: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not len(self.features) == len(self.texts) == len(self.labels) == len(self.allowed):
            raise EdgeSerError("clips need features, a text, an emotion and its classes each")
        if self.groups and len(self.groups) != len(self.labels):
            raise EdgeSerError("where clips have groups, each has one")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, places: Sequence[int] | NDArray[np.int64]) -> SpokenClips:
        """Some of the clips."""
        return SpokenClips(
            [self.features[i] for i in places],
            [self.texts[i] for i in places],
            self.labels[np.asarray(places, np.int64)],
            self.allowed[np.asarray(places, np.int64)],
            [self.groups[i] for i in places] if self.groups else (),
        )

    def batch(
        self, places: Sequence[int], config: TwoTaskConfig, rng: np.random.Generator | None = None
    ) -> SpokenBatch:
        """Some clips, padded to the longest; louder or softer, and with stretches blanked, where `rng` is given."""
        features = [torch.from_numpy(np.asarray(self.features[i], np.float32)) for i in places]
        if rng is not None:
            features = [_spoilt(one, rng) for one in features]
        targets = [torch.tensor(config.classes(self.texts[i]), dtype=torch.int64) for i in places]
        pad = torch.nn.utils.rnn.pad_sequence
        return SpokenBatch(
            pad(features, batch_first=True),
            torch.tensor([len(one) for one in features]),
            pad(targets, batch_first=True),
            torch.tensor([len(one) for one in targets]),
            torch.from_numpy(self.labels[np.asarray(places)]),
            torch.from_numpy(self.allowed[np.asarray(places)]),
        )

    def batches(
        self, size: int, config: TwoTaskConfig
    ) -> tuple[int, Callable[[int, np.random.Generator], Iterator[SpokenBatch]]]:
        """How many batches an epoch has, and what `edge_ser.training.steps.fit_steps` draws them with.

        Clips of about one length come together, since all in a batch are padded to the longest. Groups are mixed within
        each batch: batch normalisation would otherwise learn each in statistics of its own and be heard in those of the
        largest, and a small corpus with many sentences would hardly be learnt beside a large one with two. An epoch has
        as many clips as there are; those of a small group come several times.
        """
        steps = max(1, len(self) // size)
        names = np.array(self.groups) if self.groups else np.zeros(len(self))
        members = [np.flatnonzero(names == name) for name in np.unique(names)]
        if len(members) > size:
            raise EdgeSerError(f"a batch of {size} cannot hold clips of {len(members)} groups")
        shares = [len(part) for part in np.array_split(np.arange(size), len(members))]

        def draw(_: int, rng: np.random.Generator) -> Iterator[SpokenBatch]:
            lengths = np.array([len(one) for one in self.features])
            rows = []
            for places, share in zip(members, shares, strict=True):
                wanted = steps * share
                rounds = -(-wanted // len(places))
                drawn = np.concatenate([rng.permutation(places) for _ in range(rounds)])[:wanted]
                order = np.argsort(lengths[drawn] * rng.uniform(0.9, 1.1, wanted))
                rows.append(drawn[order].reshape(steps, share))
            together = np.concatenate(rows, axis=1)
            for k in rng.permutation(steps):
                yield self.batch(together[k].tolist(), config, rng)

        return steps, draw


def two_task_loss(letters: float) -> Callable[[TwoTask, SpokenBatch], dict[str, Tensor]]:
    """The loss of both tasks.

    Parameters
    ----------
    letters : float
        Weight of the letters' loss (CTC, a letter) in 0..1; that of the emotion's cross-entropy is the rest. 0 and 1
        are the tasks alone.

    Returns
    -------
    callable
        For `edge_ser.training.steps.fit_steps`; its terms are ``letters`` and ``emotion``, those that have a weight.
    """
    if not 0 <= letters <= 1:
        raise EdgeSerError(f"the weight of the letters lies between 0 and 1, not at {letters:g}")

    def loss(model: TwoTask, batch: SpokenBatch) -> dict[str, Tensor]:
        log_probs, logits = model(batch.features, batch.frames)
        terms = {}
        if letters > 0:
            frames = model.encoded(batch.frames)
            ctc = ctc_loss(log_probs, batch.targets, frames, batch.lengths, zero_infinity=True)
            terms["letters"] = letters * ctc
        if letters < 1:
            known = logits.masked_fill(~batch.allowed, -1e4)
            cross = F.cross_entropy(
                known, batch.labels, ignore_index=-1, reduction="sum", label_smoothing=0.0
            )
            terms["emotion"] = (1 - letters) * cross / (batch.labels >= 0).sum().clamp(min=1)
        return terms

    return loss


@dataclasses.dataclass(frozen=True)
class Heard:
    """What a network says of clips.

    Attributes
    ----------
    texts : list of str
    chances : (n, labels) float64
        Of the emotions that each clip's corpus knows.
    """

    texts: list[str]
    chances: NDArray[np.float64]


def hear(model: TwoTask, clips: SpokenClips, *, batch: int = 32) -> Heard:
    """Letters (the likeliest of each frame) and emotions of clips.

    Parameters
    ----------
    model : TwoTask
        Is put into inference mode.
    clips : SpokenClips
    batch : int
    """
    model.eval()
    order = np.argsort([len(one) for one in clips.features], kind="stable")
    texts = [""] * len(clips)
    chances = np.zeros((len(clips), len(model.config.labels)))
    with torch.inference_mode():
        for start in range(0, len(clips), batch):
            places = order[start : start + batch]
            one = clips.batch(places.tolist(), model.config)
            log_probs, logits = model(one.features, one.frames)
            said, _ = ctc_greedy(log_probs, model.encoded(one.frames))
            for place, classes in zip(places, said, strict=True):
                texts[place] = " ".join(model.config.spell(classes).split())
            chances[places] = torch.softmax(logits.double().masked_fill(~one.allowed, -1e4), 1).numpy()
    return Heard(texts, chances)


def _spoilt(features: Tensor, rng: np.random.Generator) -> Tensor:
    """A level of up to 6 dB more or less, and a stretch of bands blanked (SpecAugment, arXiv 1904.08779)."""
    changed = features + float(rng.uniform(-0.3, 0.3))
    bands = features.shape[1]
    width = int(rng.integers(0, bands // 8 + 1))
    at = int(rng.integers(0, bands - width + 1))
    changed[:, at : at + width] = changed.mean()
    return changed
