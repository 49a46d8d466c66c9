"""What getting used to a speaker is worth: a speaker's clips one after another, none of them labelled."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.bundle import Bundle
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.answers import Answers
from edge_ser.evaluation.calibrate import logarithms
from edge_ser.evaluation.metrics import uar
from firmware_py.adaptation import PRIOR_CLIPS, SOFTENING, SpeakerMean
from firmware_py.decision import probabilities

__all__ = ["HEARD", "adapted_answers", "session_figures", "typical_answers", "typical_of_bundle"]

Floats = NDArray[np.float64]
#: Borders of the numbers of clips heard before, for the figures by them.
HEARD = (0, 1, 2, 4, 8, 16, 32)
_MEMORY_CLIPS = 160.0
#: In random order, each emotion in one piece, one emotion alone, all speakers of a fold in turn.
_ORDERS = ("uar", "by_mood", "one_mood", "together")
# What a speaker mostly is in everyday life, how much of the time, and clips of one such session.
_CALM = ("neutral", "calm")
_CALM_SHARE = 0.8
_EVERYDAY_CLIPS = 120


def typical_answers(
    scores: Floats,
    truth: NDArray[np.int64],
    known: NDArray[np.bool_] | None = None,
    weights: Floats | None = None,
) -> Floats:
    """For each emotion the mean of the logarithms of probabilities, less its own mean: the form that bundles hold.

    Parameters
    ----------
    scores : (n, labels) float64
        Probabilities.
    truth : (n,) int64
        The label of each clip.
    known : (n, labels) bool, optional
        Labels among which each clip was answered; all when left out. What is not known of a clip does not count, and
        clips are brought to one level by the labels that are known of all.
    weights : (n,) float64, optional
        How much each clip counts; alike when left out.

    Returns
    -------
    (labels, labels) float64
        A row for each emotion. What no clip of an emotion knows is that of all clips.

    Raises
    ------
    EdgeSerError
        No answers, a label that is known of no clip, or none that is known of all.
    """
    if not len(scores):
        raise EdgeSerError("typical answers need answers")
    if known is None:
        known = np.ones(scores.shape, bool)
    if not known.any(0).all() or not known.all(0).any():
        raise EdgeSerError("typical answers need clips of every label, and a label that all of them know")
    weights = np.ones(len(scores)) if weights is None else weights
    logs = logarithms(scores)
    logs = logs - logs[:, known.all(0)].mean(1, keepdims=True)

    def mean(clips: NDArray[np.bool_]) -> Floats:
        counted = (known & clips[:, None]) * weights[:, None]
        with np.errstate(invalid="ignore"):
            return np.asarray((logs * counted).sum(0) / counted.sum(0))

    every = mean(np.ones(len(scores), bool))
    rows = np.stack([mean(truth == label) for label in range(scores.shape[1])])
    rows = np.where(np.isnan(rows), every, rows)
    return np.asarray(rows - rows.mean(1, keepdims=True))


def typical_of_bundle(bundle: Bundle, labels: Sequence[str]) -> Floats:
    """What a bundle typically answers to some of its emotions, as a device reads it.

    Returns
    -------
    (labels, labels) float64
        As `typical_answers`.

    Raises
    ------
    EdgeSerError
        It does not say so.
    """
    places = [bundle.labels.index(label) for label in labels]
    return np.asarray(bundle.typical_for("--session"), np.float64)[np.ix_(places, places)]


def adapted_answers(
    answers: Answers,
    order: NDArray[np.int64],
    typical: Mapping[str, Floats],
    *,
    together: bool = False,
    one_mood: bool = False,
    softening: float = SOFTENING,
) -> tuple[Answers, NDArray[np.int64]]:
    """Answers as given by a model that gets used to each speaker from an empty start, and the clips heard before each.

    Parameters
    ----------
    answers : Answers
    order : (n,) int64
        The order in which clips are heard; speakers, folds and seeds may stand mixed, each is a session of its own.
    typical : mapping
        From a speaker to `typical_answers` of clips of other speakers.
    together : bool
        All speakers of a fold are one session: several people who speak in turn, taken for one.
    one_mood : bool
        Each emotion of a speaker is a session by itself.
    softening : float
        As `SpeakerMean` takes it.

    Returns
    -------
    answers : Answers
        In the order given in, with new scores.
    heard : (n,) int64
        Clips of the session before each.
    """
    logs = logarithms(answers.scores)
    scores, heard = np.empty_like(answers.scores), np.zeros(len(answers), np.int64)
    sessions: dict[tuple[int, int, str, int], SpeakerMean] = {}
    count: Counter[tuple[int, int, str, int]] = Counter()
    speakers = answers.speakers
    for i in order:
        speaker = str(speakers[i])
        mood = int(answers.truth[i]) if one_mood else -1
        key = (int(answers.folds[i]), int(answers.seeds[i]), "" if together else speaker, mood)
        mean = sessions.setdefault(key, SpeakerMean(typical[speaker], PRIOR_CLIPS, _MEMORY_CLIPS, softening))
        scores[i] = probabilities(mean.adapted(logs[i]), 1.0)
        heard[i] = count[key]
        mean.hear(logs[i], 1.0)
        count[key] += 1
    return dataclasses.replace(answers, scores=scores), heard


def session_figures(
    answers: Answers,
    orders: int = 20,
    typical_of_training: Floats | None = None,
    softening: float = SOFTENING,
) -> dict[str, Any]:
    """UAR where each clip is heard after others of its speaker, unlabelled and in random order.

    Parameters
    ----------
    answers : Answers
        Of two folds or more, as the typical answers against which a fold's speakers are set are the others' speakers'.
    orders : int
        Random orders, drawn from fixed seeds; figures are means over them.
    typical_of_training : (labels, labels) float64, optional
        What all speakers are set against instead, and one fold is enough: what the model answers to the corpora
        that it was trained on (`edge_ser.evaluation.unheard.typical_of_training`), or what a bundle says
        (`typical_of_bundle`).
    softening : float
        As `SpeakerMean` takes it.

    Returns
    -------
    dict
        ``uar_alone`` and ``uar`` (means over folds and seeds), ``folds`` (each with ``fold``, ``seed``, ``alone``,
        ``uar``), ``heard`` (``from``, ``to``, ``uar`` by the number of clips heard before), ``by_mood`` (UAR where
        each emotion of a speaker comes in one piece), ``one_mood`` (where nothing but that emotion is ever heard of the
        speaker: the worst that can come), ``together`` (UAR where all speakers of a fold speak in turn and
        are taken for one), ``everyday`` (UAR where four clips of five are neutral or calm; absent from a corpus without
        either) and ``everyday_alone`` (of the same clips), ``orders`` and ``prior_clips``.

    Raises
    ------
    EdgeSerError
        One fold only and no typical answer of another corpus, or no clip with an emotion.
    """
    known = answers.take(answers.truth >= 0)
    folds = sorted(set(known.folds.tolist()))
    if typical_of_training is not None:
        typical = dict.fromkeys(known.speakers.tolist(), typical_of_training)
    elif len(folds) < 2:
        raise EdgeSerError("figures of a session need answers of two folds or more: leave --fold out")
    else:
        others = {
            fold: typical_answers(known.scores[known.folds != fold], known.truth[known.folds != fold])
            for fold in folds
        }
        typical = {
            one: others[fold] for one, fold in zip(known.speakers.tolist(), known.folds.tolist(), strict=True)
        }
    used = functools.partial(adapted_answers, typical=typical, softening=softening)
    said, heard, by_mood, one_mood, together = [], [], [], [], []
    for seed in range(orders):
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(known))
        mixed, before = used(known, order)
        said.append(mixed.said)
        heard.append(before)
        together.append(used(known, order, together=True)[0].said)
        moods = rng.permutation(len(known.labels))[known.truth]
        by_mood.append(used(known, np.argsort(moods, kind="stable"))[0].said)
        one_mood.append(used(known, order, one_mood=True)[0].said)
    rows = []
    for seed, fold in sorted({*zip(known.seeds.tolist(), known.folds.tolist(), strict=True)}):
        mine = (known.folds == fold) & (known.seeds == seed)
        row = {"fold": fold, "seed": seed, "alone": uar(known.truth[mine], known.said[mine])}
        for name, answered in zip(_ORDERS, (said, by_mood, one_mood, together), strict=True):
            row[name] = float(np.mean([uar(known.truth[mine], one[mine]) for one in answered]))
        rows.append(row)
    truth, all_said, before = np.tile(known.truth, orders), np.concatenate(said), np.concatenate(heard)
    ends = [*HEARD[1:], int(before.max()) + 1]
    curve = [
        {"from": low, "to": high - 1, "uar": uar(truth[part], all_said[part])}
        for low, high in zip(HEARD, ends, strict=True)
        if (part := (before >= low) & (before < high)).any()
    ]
    mean = {name: float(np.mean([row[name] for row in rows])) for name in ("alone", *_ORDERS)}
    return {
        "uar_alone": mean.pop("alone"),
        **mean,
        **_everyday(known, used, orders),
        "folds": rows,
        "heard": curve,
        "orders": orders,
        "prior_clips": PRIOR_CLIPS,
    }


def _everyday(known: Answers, used: Callable[..., tuple[Answers, Any]], orders: int) -> dict[str, float]:
    """UAR of clips as days bring them, most of a speaker's neutral; nothing where no speaker has any."""
    calm = np.isin(known.truth, [known.labels.index(name) for name in _CALM if name in known.labels])
    pools = []
    for seed, speaker in sorted({*zip(known.seeds.tolist(), known.speakers.tolist(), strict=True)}):
        mine = (known.seeds == seed) & (known.speakers == speaker)
        if (mine & calm).any() and (mine & ~calm).any():
            pools.append((np.flatnonzero(mine & calm), np.flatnonzero(mine & ~calm)))
    if not pools:
        return {}
    figures = []
    for order in range(orders):
        rng = np.random.default_rng(order)
        drawn = []
        for often, seldom in pools:
            which = rng.random(_EVERYDAY_CLIPS) < _CALM_SHARE
            drawn.append(np.where(which, rng.choice(often, len(which)), rng.choice(seldom, len(which))))
        alone = known.take(np.concatenate(drawn))
        adapted, _ = used(alone, np.arange(len(alone)))
        parts = {*zip(alone.seeds.tolist(), alone.folds.tolist(), strict=True)}
        groups = [(alone.seeds == seed) & (alone.folds == fold) for seed, fold in parts]
        figures.append([[uar(one.truth[g], one.said[g]) for g in groups] for one in (alone, adapted)])
    before, after = np.mean(figures, axis=(0, 2))
    return {"everyday_alone": float(before), "everyday": float(after)}
