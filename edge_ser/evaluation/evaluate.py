"""Evaluate what was trained: fold checkpoints on the speakers they never heard, bundles as a device runs them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from edge_ser.audio import load_audio
from edge_ser.corpora import Clip, Corpus
from edge_ser.dsp import MelSpec, log_mel
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.score import Scored, best_label, score, summarise
from edge_ser.recognizer import Recognizer

__all__ = ["Progress", "evaluate_bundle", "evaluate_checkpoints"]

Progress = Callable[[Iterable[Clip]], Iterable[Clip]]


def evaluate_checkpoints(
    folder: str | Path, corpus: Corpus, *, fold: int | None = None, progress: Progress = iter
) -> dict[str, Any]:
    """Score each fold's checkpoint on that fold of a corpus, among the corpus's classes.

    Parameters
    ----------
    folder : str or Path
        Holds ``foldF-seedS.safetensors`` as ``edge-ser train`` writes them.
    corpus : Corpus
        With folds; each has to be covered by a checkpoint.
    fold : int, optional
        Score only this fold; the protocol then says so.
    progress : callable
        Wraps the clips of each fold.

    Returns
    -------
    dict
        ``corpus``, ``protocol``, ``model``, ``params``, ``seeds`` and what `summarise` gives.

    Raises
    ------
    EdgeSerError
        No checkpoints, a fold without one, or one that held out another fold than its name says.
    """
    from edge_ser.models.checkpoint import load_checkpoint  # a bundle needs no torch

    found = {}
    for path in sorted(Path(folder).glob("fold*-seed*.safetensors")):
        if match := re.fullmatch(r"fold(\d+)-seed(\d+)", path.stem):
            found[int(match[2]), int(match[1])] = path
    if not found:
        raise EdgeSerError(f"{folder} has no foldF-seedS.safetensors; train some with edge-ser train")
    seeds = sorted({seed for seed, _ in found})
    folds = sorted({*corpus.folds(), *(f for _, f in found)}) if fold is None else [fold]
    scored: list[Scored] = []
    for seed, held_out in itertools.product(seeds, folds):
        if (seed, held_out) not in found:
            raise EdgeSerError(f"{folder} lacks fold {held_out} of seed {seed}: train it first")
        path = found[seed, held_out]
        model, meta = load_checkpoint(path)
        if meta["training"]["held_out_fold"] != held_out:
            raise EdgeSerError(
                f"{path} held out fold {meta['training']['held_out_fold']}, not {held_out}: its name is wrong"
            )
        spec = MelSpec.from_dict(meta["spec"])
        test = corpus.split(held_out)[1]
        pairs = ((clip, log_mel(load_audio(clip.path), spec)) for clip in progress(test))
        scored += score(model, pairs, corpus.labels, fold=held_out, seed=seed)
    which = (
        f"{len(folds)} speaker-disjoint folds, each model"
        if fold is None
        else f"fold {fold} alone, its model"
    )
    return {
        "corpus": corpus.name,
        "protocol": f"{which} on the speakers it never heard, last epoch, streaming form fed step by step",
        "model": meta["architecture"],
        "params": model.count_parameters(),
        "seeds": seeds,
        **summarise(scored, corpus.labels),
    }


def evaluate_bundle(
    model: str, corpus: Corpus, *, engine: str = "auto", precision: str = "fp32", progress: Progress = iter
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

    Returns
    -------
    dict
        As `evaluate_checkpoints`, with ``seen_in_training``: whether the bundle was trained on this corpus, which
        makes the figures no measure of accuracy on new speakers; ``not_scored``: clips of a class that the
        model does not know, by class; and ``excluded``: clips that could not be answered, each with its reason.

    Raises
    ------
    EdgeSerError
        The model knows none of the classes and the corpus has no ratings, or no clip could be answered.
    """
    recognizer = Recognizer.load(model, engine=engine, precision=precision)
    bundle = recognizer.bundle
    labels = tuple(label for label in corpus.labels if label in bundle.labels)
    clips = [clip for clip in corpus.clips if clip.emotion in labels or clip.adv is not None]
    if not clips:
        raise EdgeSerError(
            f"{bundle.name} knows {', '.join(bundle.labels)}, and {corpus.name} has none of them and no ratings"
        )
    scored, excluded = [], []
    for clip in progress(clips):
        try:
            answer = recognizer.predict(load_audio(clip.path))
        except EdgeSerError as error:  # too short, or unreadable: said in the result, not dropped
            excluded.append({"file": str(clip.path), "reason": str(error)})
            continue
        label = None
        if clip.emotion in labels:
            label = best_label([answer.emotion[name] for name in labels], labels)
        adv = (answer.arousal, answer.dominance, answer.valence)
        scored.append(Scored(clip, label, adv, fold=0 if clip.fold is None else clip.fold))
    if not scored:
        raise EdgeSerError(
            f"none of the {len(clips)} clips could be answered; the first: {excluded[0]['reason']}"
        )
    seen = corpus.name in bundle.training.get("clips", {})
    unknown = [
        clip.emotion for clip in corpus.clips if clip.emotion is not None and clip.emotion not in labels
    ]
    return {
        "corpus": corpus.name,
        "protocol": f"whole corpus, audio through {recognizer.engine.name} {precision} streaming"
        + ("; the model was TRAINED on this corpus" if seen else ""),
        "model": bundle.name,
        "params": bundle.parameters,
        "seen_in_training": seen,
        "not_scored": {name: unknown.count(name) for name in sorted(set(unknown))},
        "excluded": excluded,
        **summarise(scored, labels),
    }
