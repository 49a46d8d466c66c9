"""A teacher of ``edge-ser teach`` in the place of a model, so that it can be tested as its students are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_ser.audio import load_audio
from edge_ser.corpora import Clip, Corpus
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.evaluate import answered
from edge_ser.evaluation.listeners import Ask, Heard, Listener
from edge_ser.evaluation.score import Scored, best_label, summarise
from firmware_py.decision import probabilities

__all__ = ["evaluate_teacher", "teacher_listener"]


def teacher_listener(
    folder: str | Path,
    encoder: str | Path,
    corpus: Corpus,
    clips: Sequence[Clip],
    *,
    folds: Sequence[int] | None = None,
) -> Listener:
    """Linear heads on a frozen encoder, each fold's for the clips of its fold.

    Parameters
    ----------
    folder : str or Path
        Holds ``foldF.safetensors``, as ``edge-ser teach`` writes them.
    encoder : str or Path
        What they were trained on, as `edge_ser.teachers.linear.LinearTeacher.load` takes it.
    corpus : Corpus
        The heads must know its emotions.
    clips : sequence of Clip
        Those that will be asked about. Heads that hear a clip beside its speaker's others get the mean of the
        speaker's among these, as recorded, in every condition.
    folds : sequence of int, optional
        Load these folds' heads alone.

    Raises
    ------
    EdgeSerError
        There are no folds, or one has no heads here, or they are no linear ones, on another encoder, or do not know an
        emotion.
    """
    from edge_ser.teachers.linear import LinearTeacher, statistics  # here, as only teachers need torch

    known: dict[int, LinearTeacher] = {}
    folds = corpus.folds() if folds is None else folds
    if not folds:
        raise EdgeSerError(f"{corpus.name} has no folds, and each of a teacher's files belongs to one")
    for held_out in folds:
        path = Path(folder) / f"fold{held_out}.safetensors"
        if not path.is_file():
            raise EdgeSerError(f"{folder} has no fold{held_out}.safetensors: train it with edge-ser teach")
        known[held_out] = LinearTeacher.load(path, encoder)
        if unknown := [label for label in corpus.labels if label not in known[held_out].labels]:
            raise EdgeSerError(f"the teacher of fold {held_out} does not know {', '.join(unknown)}")
    means: dict[str, np.ndarray] = {}

    def heard(teacher: LinearTeacher, clip: Clip) -> np.ndarray | None:
        """None of a clip that cannot be heard, which is told when it is asked for."""
        try:
            return statistics(teacher.encoder, load_audio(clip.path))
        except EdgeSerError:
            return None

    def mean(teacher: LinearTeacher, speaker: str) -> np.ndarray:
        if speaker not in means:
            own = (heard(teacher, clip) for clip in clips if clip.speaker == speaker)
            means[speaker] = np.mean([rows for rows in own if rows is not None], axis=0)
        return means[speaker]

    def ask_for(clip: Clip) -> Ask:
        if clip.fold not in known:
            raise EdgeSerError(f"{clip.path} is of fold {clip.fold}, and no teacher here held that out")
        teacher = known[clip.fold]
        columns = [teacher.labels.index(label) for label in corpus.labels]

        def ask(wave: np.ndarray) -> Heard:
            rows = statistics(teacher.encoder, wave)
            if teacher.centred:
                rows = rows - mean(teacher, clip.speaker)
            logits, adv, _ = teacher.heads.answer(rows[None])
            return Heard(probabilities(logits[0, columns], 1.0), adv[0].astype(np.float64))

        return ask

    centred = any(teacher.centred for teacher in known.values())
    return Listener(
        "teacher",
        "the fold's own linear heads"
        + (", each clip beside the speaker's others of these as recorded" if centred else ""),
        corpus.labels,
        ask_for,
    )


def evaluate_teacher(
    listener: Listener,
    corpus: Corpus,
    clips: Sequence[Clip],
    progress: Callable[[Iterable[Clip]], Iterable[Clip]] = iter,
) -> tuple[dict[str, Any], list[Scored]]:
    """A teacher's answers to some clips, and figures as `edge_ser.evaluation.evaluate.evaluate_checkpoints` gives."""

    def ask(clip: Clip) -> Scored:
        heard = listener.hear(clip, load_audio(clip.path))
        label = best_label(heard.scores, listener.labels)
        scores = tuple(map(float, heard.scores))
        arousal, dominance, valence = map(float, heard.adv)
        return Scored(clip, label, (arousal, dominance, valence), clip.fold or 0, 0, scores)

    scored, excluded = answered(clips, ask, progress)
    folds = sorted({one.fold for one in scored})
    result = {
        "corpus": corpus.name,
        "protocol": f"{len(scored)} of {len(corpus)} clips, evenly over speakers and emotions, of fold"
        f"{'s' if len(folds) > 1 else ''} {', '.join(map(str, folds))}; {listener.statement}",
        "model": listener.name,
        "params": None,
        "seeds": [0],
        "left_out": [dataclasses.asdict(one) for one in corpus.left_out],
        "excluded": [dataclasses.asdict(one) for one in excluded],
        **summarise(scored, corpus.labels),
    }
    return result, scored
