"""A model on a corpus that its training left out: on people, microphones and languages that it does not know."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.corpora import Clip, Corpus, load_corpus
from edge_ser.corpora.registry import names_of
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.battery import spread_over
from edge_ser.evaluation.evaluate import Progress, answered, asking, comparable, unknown_classes
from edge_ser.evaluation.origin import learnt_corpora, of_checkpoints
from edge_ser.evaluation.score import Scored, answered_as, summarise
from edge_ser.evaluation.session import typical_answers
from edge_ser.models.checkpoint import load_checkpoint

__all__ = ["evaluate_unheard", "typical_of_training"]

#: Clips of each emotion and corpus that a typical answer is the mean of.
_TYPICAL_CLIPS = 20


def evaluate_unheard(
    path: str | Path, corpus: Corpus, *, progress: Progress = iter, onto: list[Scored] | None = None
) -> dict[str, Any]:
    """Score one checkpoint on a whole corpus that it was not trained on (leave one corpus out).

    Parameters
    ----------
    path : str or Path
        A checkpoint of ``edge-ser train``.
    corpus : Corpus
        Emotion is chosen among its classes that the checkpoint knows; `Corpus.restrict` makes fewer of them.
    progress, onto
        As `evaluate_checkpoints` takes them.

    Returns
    -------
    dict
        As `evaluate_checkpoints`, with ``trained_on``, names of corpora, and ``not_scored`` as `evaluate_bundle`.

    Raises
    ------
    EdgeSerError
        It was trained on this corpus, or shares no class with it, or no clip could be answered.
    """
    model, meta = load_checkpoint(Path(path))
    if not (heard := sorted(learnt_corpora(meta["training"]))):
        raise EdgeSerError(
            f"{path} does not say which corpora it was trained on, so nothing is known to be new to it"
        )
    if own := sorted(names_of(corpus) & set(heard)):
        raise EdgeSerError(
            f"{path} was trained on {own[0]}: score its folds by a folder of checkpoints, or leave {own[0]} out of "
            "the training"
        )
    labels = tuple(label for label in corpus.labels if label in model.config.labels)
    if not labels:
        raise EdgeSerError(f"{path} knows {', '.join(model.config.labels)}, and {corpus.name} none of them")
    clips, left_out = comparable(corpus, labels)
    seed = meta["training"]["seed"]
    scored, excluded = answered(clips, asking(model, meta, labels, seed=seed), progress)
    if onto is not None:
        onto += scored
    return {
        "corpus": corpus.name,
        "protocol": f"all of a corpus that the model was not trained on, last epoch, {answered_as(model)}",
        "model": meta["architecture"],
        "params": model.count_parameters(),
        "temperature": 1.0,
        "answered_by": of_checkpoints([meta]),
        "seeds": [seed],
        "trained_on": heard,
        "not_scored": unknown_classes(corpus, labels),
        "left_out": [dataclasses.asdict(one) for one in left_out],
        "excluded": [dataclasses.asdict(one) for one in excluded],
        **summarise(scored, labels),
    }


def typical_of_training(
    path: str | Path, labels: Sequence[str], *, progress: Progress = iter
) -> tuple[NDArray[np.float64], dict[str, int]]:
    """What a checkpoint typically answers to what it was trained on: where a device that runs it begins a session.

    Parameters
    ----------
    path : str or Path
        A checkpoint of ``edge-ser train``.
    labels : sequence of str
        Emotions to choose among; corpora that lack one of them are left out.
    progress : callable
        Wraps the clips: some of each emotion and corpus, evenly over speakers.

    Returns
    -------
    typical : (labels, labels) float64
        As `edge_ser.evaluation.session.typical_answers`.
    clips : dict
        From a corpus's name to the clips that were heard of it; what cannot be read is not among them.

    Raises
    ------
    EdgeSerError
        None of its corpora has all the labels, or one is not at hand.
    """
    model, meta = load_checkpoint(Path(path))
    chosen: dict[str, list[Clip]] = {}
    for name in meta["training"].get("clips", {}):
        corpus = load_corpus(name)
        if set(labels) <= set(corpus.labels):
            of_each = ([clip for clip in corpus.clips if clip.emotion == label] for label in labels)
            chosen[name] = [clip for clips in of_each for clip in spread_over(clips, _TYPICAL_CLIPS)]
    if not chosen:
        raise EdgeSerError(
            f"{path} was trained on no corpus that has all of {', '.join(labels)}: name fewer --labels"
        )
    clips = [clip for mine in chosen.values() for clip in mine]
    scored, _ = answered(clips, asking(model, meta, labels, seed=meta["training"]["seed"]), progress)
    truth = np.array([labels.index(one.clip.emotion or "") for one in scored])
    typical = typical_answers(np.array([one.scores for one in scored], np.float64), truth)
    heard = {one.clip.path for one in scored}
    return typical, {name: sum(clip.path in heard for clip in mine) for name, mine in chosen.items()}
