"""Answers of a model to clips, and what they are worth."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edge_ser.corpora import ADV, Clip
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.metrics import (
    absent_classes,
    ccc,
    confusion,
    mae,
    pcc,
    speaker_interval,
    uar,
)
from firmware_py.decision import probabilities

if TYPE_CHECKING:
    import torch

    from edge_ser.models.base import Network
    from edge_ser.models.stream72k import Stream72k

__all__ = ["Scored", "answered_as", "best_label", "score", "stream_clip", "summarise", "whole_clip"]

Ratings = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Scored:
    """The answer to one clip at its end.

    Attributes
    ----------
    clip : Clip
    label : str or None
        The most probable of the corpus's classes; None where the clip has no emotion to compare it with.
    adv : tuple of float
        Arousal, dominance, valence in 0..1.
    fold, seed : int
        Of the model that gave it.
    scores : tuple of float
        Probability of each of the corpus's classes, among them alone; they sum to 1.
    state : str or None
        What the device makes of the clip (`firmware_py.decision.heard_as`); None where no device was asked.
    """

    clip: Clip
    label: str | None
    adv: Ratings
    fold: int = 0
    seed: int = 0
    scores: tuple[float, ...] = ()
    state: str | None = None


def best_label(scores: npt.ArrayLike, labels: Sequence[str]) -> str:
    """The label with the highest score, the first of equals; an `EdgeSerError` where a score is not a number."""
    values = np.asarray(scores)
    if not np.isfinite(values).all():
        raise EdgeSerError(
            "the model's scores of a clip are not numbers; look for NaN in its weights or the audio"
        )
    return labels[int(np.argmax(values))]


def stream_clip(folded: Stream72k, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Feed a clip step by step, as a device does, and return the answer after its last full step.

    Parameters
    ----------
    folded : Stream72k
        The inference form, `Stream72k.fold`.
    features : (T, n_mels)
        Normalised log-mel of the clip.

    Returns
    -------
    adv : (3,) float32
    logits : (labels,) float32

    Raises
    ------
    EdgeSerError
        The clip is shorter than one step.
    """
    size = folded.config.step_frames
    if len(features) < size:
        raise EdgeSerError(f"a clip of {len(features)} frames is shorter than one step of {size}")
    import torch  # here, since the scores of a bundle need none of it

    frames = torch.from_numpy(np.asarray(features, dtype=np.float32))[None]
    state: tuple[torch.Tensor, ...] = folded.initial_state()
    with torch.inference_mode():
        for start in range(0, len(features) // size * size, size):
            adv, logits, *new = folded.step(frames[:, start : start + size], *state)
            state = tuple(new)
    return adv[0].numpy(), logits[0].numpy()


def whole_clip(model: Network, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Let a network that does not stream hear a whole clip at once.

    Parameters
    ----------
    model : Network
        In inference mode.
    features : (T, n_mels)
        Log-mel of the clip, as `Network.pool` takes it.

    Returns
    -------
    adv : (3,) float32
    logits : (labels,) float32

    Raises
    ------
    EdgeSerError
        The clip has no frame.
    """
    if len(features) == 0:
        raise EdgeSerError("a clip without a frame has no answer")
    import torch  # as above

    with torch.inference_mode():
        whole = torch.from_numpy(np.asarray(features, dtype=np.float32))[None]
        adv, logits = model.clip(whole, torch.tensor([len(features)]))
    return adv[0].numpy(), logits[0].numpy()


def answered_as(model: Network) -> str:
    """How `score` asks a model, as a protocol says it."""
    return "streaming form fed step by step" if model.streams else "each clip heard as a whole"


def score(
    model: Network,
    clips: Iterable[tuple[Clip, np.ndarray]],
    labels: Sequence[str],
    *,
    fold: int = 0,
    seed: int = 0,
) -> list[Scored]:
    """Answer clips as the model will answer them in use.

    A network that streams is folded and fed step by step, `stream_clip`; one that does not hears each clip as a
    whole, `whole_clip`. `answered_as` says which, for a protocol.

    Parameters
    ----------
    model : Network
        Folded or not.
    clips : iterable of (Clip, features)
        Features of recordings that `Network.prepare` has prepared.
    labels : sequence of str
        Classes to choose among, those of the corpus; the model must know each.
    fold, seed : int
        Kept with the answers.

    Raises
    ------
    EdgeSerError
        The model does not know one of the labels.
    """
    if unknown := [label for label in labels if label not in model.config.labels]:
        raise EdgeSerError(
            f"the model does not know {', '.join(unknown)}; it knows {', '.join(model.config.labels)}"
        )
    columns = [model.config.labels.index(label) for label in labels]
    ask = _way_of_asking(model.eval())
    scored = []
    for clip, features in clips:
        adv, logits = ask(features)
        label = best_label(logits[columns], labels) if clip.emotion is not None else None
        arousal, dominance, valence = (float(value) for value in adv)
        shares = tuple(map(float, probabilities(logits[columns], 1.0))) if columns else ()
        scored.append(Scored(clip, label, (arousal, dominance, valence), fold, seed, shares))
    return scored


def _way_of_asking(model: Network) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    from edge_ser.models.stream72k import Stream72k  # here, since the scores of a bundle need no torch

    if not isinstance(model, Stream72k):
        return functools.partial(whole_clip, model)
    return functools.partial(stream_clip, model if model.folded else model.fold())


def summarise(scored: Sequence[Scored], labels: Sequence[str]) -> dict[str, Any]:
    """Figures of a set of answers: UAR by fold and seed with an interval over speakers, and A/D/V agreement.

    Parameters
    ----------
    scored : sequence of Scored
        From one or more folds and seeds.
    labels : sequence of str
        The classes, in the order of the confusion matrix.

    Returns
    -------
    dict
        ``folds``, ``uar`` (mean over seeds and folds, its 95 % interval over speakers where there are five,
        and their number), ``baseline_uar`` (of the one label that does best where every clip is given it),
        ``labels``, ``absent`` (labels without a clip, which
        averages do not cover), ``confusion`` where clips have emotions; ``adv`` with ``n`` and CCC, PCC and MAE
        of each dimension over all folds, where they have ratings.
    """
    summary: dict[str, Any] = {}
    named = [one for one in scored if one.label is not None]
    if named:
        index = {label: i for i, label in enumerate(labels)}
        truth = np.array([index[one.clip.emotion or ""] for one in named])
        said = np.array([index[one.label or ""] for one in named])
        runs = np.array([(one.seed, one.fold) for one in named])
        groups = np.unique(runs, axis=0)
        member = [(runs == group).all(1) for group in groups]

        speakers = [one.clip.speaker for one in named]
        weight = np.sum([_share_of_speakers(speakers, mask) for mask in member], 0)

        def mean_uar(chosen: np.ndarray) -> float:
            parts = [part for mask in member if len(part := chosen[mask[chosen]])]
            # A fold counts by how many of its speakers were drawn, or one who is drawn twice would count once.
            drawn = [weight[part].sum() for part in parts]
            return float(np.average([uar(truth[part], said[part]) for part in parts], weights=drawn))

        summary["folds"] = [
            {"fold": int(fold), "seed": int(seed), "uar": uar(truth[mask], said[mask]), "n": int(mask.sum())}
            for (seed, fold), mask in zip(groups, member, strict=True)
        ]
        summary["uar"] = {
            "mean": float(np.mean([fold["uar"] for fold in summary["folds"]])),
            "ci95": speaker_interval(mean_uar, speakers),
            "speakers": len(set(speakers)),
        }
        summary["baseline_uar"] = max(
            float(np.mean([uar(truth[mask], np.full(mask.sum(), one)) for mask in member]))
            for one in set(truth.tolist())
        )
        summary["labels"] = list(labels)
        summary["absent"] = list(absent_classes(truth, labels))
        summary["confusion"] = confusion(truth, said, len(labels)).tolist()
    rated = [
        (one.seed, one.clip.adv, one.adv)
        for one in scored
        if one.clip.adv is not None and np.isfinite(one.adv).all()
    ]
    if rated:
        summary["adv"] = {"n": len(rated)} | _agreement(rated)
    return summary


def _share_of_speakers(speakers: Sequence[str], mask: np.ndarray) -> np.ndarray:
    """Of each clip that is masked, its part of one speaker of them all, whose clips and speakers sum to 1."""
    _, owner, clips = np.unique(np.array(speakers)[mask], return_inverse=True, return_counts=True)
    shares = np.zeros(len(mask))
    shares[mask] = 1 / (clips[owner] * len(clips))
    return shares


def _agreement(rated: Sequence[tuple[int, Ratings, Ratings]]) -> dict[str, dict[str, float]]:
    """CCC, PCC and MAE of each dimension, from (seed, truth, answer); over seeds, the mean of each seed's figure."""
    by_seed: dict[int, list[tuple[Ratings, Ratings]]] = {}
    for seed, truth, said in rated:
        by_seed.setdefault(seed, []).append((truth, said))
    figures = {}
    for column, dimension in enumerate(ADV):
        pairs = [np.array(part)[:, :, column].T for part in by_seed.values()]
        figures[dimension] = {
            name: float(np.mean([metric(truth, said) for truth, said in pairs]))
            for name, metric in (("ccc", ccc), ("pcc", pcc), ("mae", mae))
        }
    return figures
