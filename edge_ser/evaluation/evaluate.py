"""Evaluate what was trained: fold checkpoints on the speakers they never heard, bundles as a device runs them."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_ser.audio import load_audio
from edge_ser.corpora import Clip, Corpus, LeftOut
from edge_ser.corpora.registry import names_of
from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.answers import Exclusion
from edge_ser.evaluation.folds import checkpoint_of, fold_checkpoints, load_fold, named_folds
from edge_ser.evaluation.origin import learnt_corpora, of_bundle, of_checkpoints
from edge_ser.evaluation.score import Scored, answered_as, best_label, score, summarise
from edge_ser.recognizer import Recognizer
from firmware_py.decision import heard_as

if TYPE_CHECKING:
    from edge_ser.models.base import Network

__all__ = [
    "Device",
    "Progress",
    "answer_clip",
    "answered",
    "asking",
    "by_seed",
    "comparable",
    "evaluate_bundle",
    "evaluate_checkpoints",
    "unknown_classes",
]

Progress = Callable[[Iterable[Clip]], Iterable[Clip]]
#: A checkpoint in the form of a device, from its path and the clips that it may be calibrated on.
Device = Callable[[Path, Sequence[Clip]], AbstractContextManager[Recognizer]]


def evaluate_checkpoints(
    folder: str | Path,
    corpus: Corpus,
    *,
    folds: Sequence[int] | None = None,
    device: Device | None = None,
    progress: Progress = iter,
    onto: list[Scored] | None = None,
) -> dict[str, Any]:
    """Score each fold's checkpoint on that fold of a corpus, among the corpus's classes.

    Parameters
    ----------
    folder : str or Path
        Holds ``foldF-seedS.safetensors`` as ``edge-ser train`` writes them.
    corpus : Corpus
        With folds; each has to be covered by a checkpoint.
    folds : sequence of int, optional
        Score only these; the protocol then says so.
    device : callable, optional
        Feed the audio to each checkpoint in this form, calibrated on the other folds of the corpus, and give torch's
        figures of the same clips beside.
    progress : callable
        Wraps the clips of each fold.
    onto : list, optional
        Gets each clip's answer, for `edge_ser.evaluation.answers.Answers`.

    Returns
    -------
    dict
        ``corpus``, ``protocol``, ``model``, ``params``, ``temperature`` (that probabilities were given with),
        ``answered_by`` (see `edge_ser.evaluation.origin`), ``seeds``, ``left_out`` (of the corpus, and clips with
        neither an emotion nor ratings: ``what``, ``reason``), ``excluded`` (clips that could not be answered: ``file``,
        ``reason``), what `summarise` gives, and `by_seed`'s list. With `device` also ``quantisation``: ``engine``,
        ``precision``, ``fp32_uar``, ``drop`` (that less the mean of ``uar``) and ``same_label`` (share of clips); and
        ``fp32_uar`` in each row of ``folds``.

    Raises
    ------
    EdgeSerError
        No checkpoints, a fold without one, one that held out another fold than its name says or heard one of the
        fold's speakers, or a fold of which no clip could be answered.
    """
    found = fold_checkpoints(Path(folder))
    seeds = sorted({seed for seed, _ in found})
    wanted = sorted({*corpus.folds(), *(f for _, f in found)} if folds is None else set(folds))
    scored: list[Scored] = []
    plain: list[Scored] = []
    excluded: dict[str, str] = {}  # by file, as a clip that cannot be read is so for every seed
    clips, left_out = comparable(corpus, corpus.labels, wanted)
    metas: list[dict[str, Any]] = []
    how, temperature = "", 1.0
    for seed, held_out in itertools.product(seeds, wanted):
        path = checkpoint_of(found, folder, seed, held_out)
        model, meta = load_fold(path, held_out, corpus)
        metas.append(meta)
        train, _ = corpus.split(held_out)
        test = [clip for clip in clips if clip.fold == held_out]
        ask = asking(model, meta, corpus.labels, fold=held_out, seed=seed)
        mine, unheard = answered(test, ask, progress)
        how = answered_as(model)
        if device is not None:
            with device(path, train) as recognizer:
                through, more = answered(
                    [one.clip for one in mine],
                    functools.partial(
                        answer_clip, recognizer, labels=corpus.labels, fold=held_out, seed=seed
                    ),
                    progress,
                )
                engine, precision = recognizer.engine.name, recognizer.engine.precision
                temperature = recognizer.bundle.calibration.temperature
            how = f"audio through {engine} {precision} streaming"
            scored += through
            unheard += more
            both = {one.clip.path for one in through}
            mine = [one for one in mine if one.clip.path in both]
        plain += mine
        excluded |= {one.file: one.reason for one in unheard}
    if folds is None:
        which = f"{len(wanted)} {corpus.folding}, each model"
    else:
        which = f"{named_folds(wanted)} alone, {'its' if len(wanted) == 1 else 'each'} model"
    if onto is not None:
        onto += plain if device is None else scored
    result = {
        "corpus": corpus.name,
        "protocol": f"{which} on the speakers it never heard, last epoch, {how}",
        "model": meta["architecture"],
        "params": model.count_parameters(),
        "temperature": temperature,
        "answered_by": of_checkpoints(metas, held_out=True),
        "seeds": seeds,
        "left_out": [dataclasses.asdict(one) for one in left_out],
        "excluded": [{"file": file, "reason": reason} for file, reason in excluded.items()],
        **summarise(plain if device is None else scored, corpus.labels),
    }
    if "folds" in result:
        result["by_seed"] = by_seed(result["folds"])
        if device is not None:
            named = [one.label == other.label for one, other in zip(scored, plain, strict=True) if one.label]
            result["quantisation"] = {
                "engine": engine,
                "precision": precision,
                **_drop(result, summarise(plain, corpus.labels)),
                "same_label": float(np.mean(named)),
            }
    return result


def comparable(
    corpus: Corpus, labels: Sequence[str], folds: Sequence[int] | None = None
) -> tuple[list[Clip], list[LeftOut]]:
    """Clips with which an answer can be compared, and what is left out beside them.

    Parameters
    ----------
    corpus : Corpus
    labels : sequence of str
        Classes that are chosen among.
    folds : sequence of int, optional
        Clips of these alone.

    Returns
    -------
    clips : list of Clip
        Of one of the classes, or rated.
    left_out : list of LeftOut
        What the corpus left out, and the number of clips with neither an emotion nor ratings. Those of another class
        are counted by `unknown_classes`.
    """
    clips = [clip for clip in corpus.clips if folds is None or clip.fold in folds]
    left_out = list(corpus.left_out)
    if bare := sum(clip.emotion is None and clip.adv is None for clip in clips):
        left_out.append(LeftOut(f"{bare} clips", "they have neither an emotion nor ratings"))
    return [clip for clip in clips if clip.emotion in labels or clip.adv is not None], left_out


def answered(
    clips: Sequence[Clip], ask: Callable[[Clip], Scored], progress: Progress = iter
) -> tuple[list[Scored], list[Exclusion]]:
    """Answers to the clips that can be answered, and the others with the reason: too short, or unreadable.

    Raises
    ------
    EdgeSerError
        None of them can be answered.
    """
    scored, excluded = [], []
    for clip in progress(clips):
        try:
            scored.append(ask(clip))
        except EdgeSerError as error:
            excluded.append(Exclusion(str(clip.path), str(error)))
    if excluded and not scored:
        raise EdgeSerError(
            f"none of the {len(clips)} clips could be answered; the first: {excluded[0].reason}"
        )
    return scored, excluded


def asking(
    model: Network, meta: Mapping[str, Any], labels: Sequence[str], *, fold: int = 0, seed: int
) -> Callable[[Clip], Scored]:
    """What answers a clip as `score` asks a checkpoint's network.

    Raises
    ------
    EdgeSerError
        The model does not know one of the labels.
    """
    from edge_ser.models.stream72k import Stream72k  # here, as a bundle needs no torch

    spec = MelSpec.from_dict(meta["spec"])
    ready = model.fold() if isinstance(model, Stream72k) and not model.folded else model  # once for all clips
    score(ready, (), labels)  # a label that it does not know is no clip's fault

    def ask(clip: Clip) -> Scored:
        pair = (clip, model.heard(load_audio(clip.path), spec))
        return score(ready, [pair], labels, fold=fold, seed=seed)[0]

    return ask


def unknown_classes(corpus: Corpus, labels: Sequence[str]) -> dict[str, int]:
    """Clips of each class that is none of the labels."""
    names = [clip.emotion for clip in corpus.clips if clip.emotion is not None and clip.emotion not in labels]
    return {name: names.count(name) for name in sorted(set(names))}


def by_seed(folds: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The mean UAR over folds of each seed, from the rows of ``folds``: ``seed``, ``uar``."""
    uars: dict[int, list[float]] = {}
    for row in folds:
        uars.setdefault(row["seed"], []).append(row["uar"])
    return [{"seed": seed, "uar": float(np.mean(values))} for seed, values in sorted(uars.items())]


def _drop(rounded: dict[str, Any], plain: dict[str, Any]) -> dict[str, Any]:
    """What the device's form loses against torch; writes torch's UAR into the rows of ``folds`` too."""
    for row, other in zip(rounded["folds"], plain["folds"], strict=True):
        row["fp32_uar"] = other["uar"]
    mean = plain["uar"]["mean"]
    return {"fp32_uar": mean, "drop": mean - rounded["uar"]["mean"]}


def answer_clip(
    recognizer: Recognizer, clip: Clip, labels: Sequence[str], fold: int, seed: int = 0
) -> Scored:
    """A recognizer's answer to a clip, its emotion among some of the labels that it knows.

    Parameters
    ----------
    recognizer : Recognizer
    clip : Clip
        Its audio goes through the device's pipeline, and the answer at its end counts.
    labels : sequence of str
        Of the recognizer's, those that are chosen among.
    fold, seed : int
        Kept with the answer.

    Raises
    ------
    EdgeSerError
        The clip cannot be read or is shorter than a step.
    """
    predictions = recognizer.predictions(load_audio(clip.path))
    answer = predictions[-1]
    among = np.array([answer.emotion[name] for name in labels])
    label = best_label(among, labels) if clip.emotion in labels else None
    adv = (answer.arousal, answer.dominance, answer.valence)
    scores = tuple(map(float, among / among.sum())) if len(labels) else ()
    state = heard_as(predictions, recognizer.bundle.calibration.unsure_below)
    return Scored(clip, label, adv, fold, seed, scores, state)


def evaluate_bundle(
    model: str,
    corpus: Corpus,
    *,
    engine: str = "auto",
    precision: str = "fp32",
    progress: Progress = iter,
    onto: list[Scored] | None = None,
) -> dict[str, Any]:
    """Score a bundle on a whole corpus, fed with audio through the device's own pipeline.

    Parameters
    ----------
    model : str
        A bundle's name or folder.
    corpus : Corpus
        All its clips are answered; emotion is chosen among the classes that both know.
    engine, precision : str
        As `Recognizer.load` takes them.
    progress : callable
        Wraps the clips.
    onto : list, optional
        As `evaluate_checkpoints` takes it.

    Returns
    -------
    dict
        As `evaluate_checkpoints`, with ``seen_in_training``: whether the bundle was trained on this corpus, by its
        name or its files' (`edge_ser.corpora.registry.names_of`), which makes the figures no measure of accuracy on
        new speakers; ``not_scored``: clips of a class that the model does not know, by class.

    Raises
    ------
    EdgeSerError
        The model knows none of the classes and the corpus has no ratings, or no clip could be answered.
    """
    recognizer = Recognizer.load(model, engine=engine, precision=precision)
    bundle = recognizer.bundle
    labels = tuple(label for label in corpus.labels if label in bundle.labels)
    clips, left_out = comparable(corpus, labels)
    if not clips:
        raise EdgeSerError(
            f"{bundle.name} knows {', '.join(bundle.labels)}, and {corpus.name} has none of them and no ratings"
        )
    scored, excluded = answered(
        clips, lambda clip: answer_clip(recognizer, clip, labels, clip.fold or 0), progress
    )
    if onto is not None:
        onto += scored
    seen = sorted(names_of(corpus) & learnt_corpora(bundle.training))
    return {
        "corpus": corpus.name,
        "protocol": f"whole corpus, audio through {recognizer.engine.name} {precision} streaming"
        + (f"; the model was TRAINED on {' and '.join(seen)}" if seen else ""),
        "model": bundle.name,
        "params": bundle.parameters,
        "temperature": bundle.calibration.temperature,
        "answered_by": of_bundle(recognizer),
        "seen_in_training": bool(seen),
        "not_scored": unknown_classes(corpus, labels),
        "left_out": [dataclasses.asdict(one) for one in left_out],
        "excluded": [dataclasses.asdict(one) for one in excluded],
        **summarise(scored, labels),
    }
