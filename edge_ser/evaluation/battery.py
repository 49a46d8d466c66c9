"""Robustness: a model's answers in every condition, and what is lost there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.audio import load_audio
from edge_ser.corpora import ADV, Clip
from edge_ser.evaluation.conditions import CONDITIONS, SMALL_CHANGES, Material, heard_in
from edge_ser.evaluation.listeners import Listener
from edge_ser.evaluation.metrics import speaker_interval, uar

__all__ = ["bars", "conditions_table", "every_condition", "random_answers", "spread_over", "true_labels"]

Progress = Callable[[Iterable[str]], Iterable[str]]
#: The index of the label of each clip, and arousal, dominance, valence.
Answer = tuple[NDArray[np.int64], NDArray[np.float64]]
_ROUNDS = 1000


def spread_over(clips: Sequence[Clip], most: int) -> list[Clip]:
    """At most so many clips, taken evenly over speakers and emotions; the same ones every time."""
    if len(clips) <= most:
        return list(clips)
    order = sorted(
        range(len(clips)), key=lambda i: (clips[i].emotion or "", clips[i].speaker, clips[i].path.name)
    )
    places = np.linspace(0, len(order) - 1, most).round().astype(int)
    return [clips[order[i]] for i in sorted(set(places.tolist()))]


def every_condition(
    listener: Listener, clips: Sequence[Clip], material: Material, progress: Progress = iter
) -> dict[str, Answer]:
    """Answers to the clips in each condition and after each small change, by its name."""
    waves = [load_audio(clip.path) for clip in clips]
    answers = {}
    for name in progress([*CONDITIONS, *SMALL_CHANGES]):
        heard = [
            listener.hear(clip, heard_in(name, wave, clip, material))
            for clip, wave in zip(clips, waves, strict=True)
        ]
        labels = [int(np.argmax(one.scores)) if len(one.scores) else -1 for one in heard]
        answers[name] = (np.array(labels), np.array([one.adv for one in heard]))
    return answers


def random_answers(names: Iterable[str], n: int, labels: int, seed: int = 0) -> dict[str, Answer]:
    """The paper's random model: labels drawn alike, ratings from a Gaussian of mean 1/2 and deviation 1/6 in 0..1."""
    rng = np.random.default_rng(seed)
    drawn = {}
    for name in names:
        adv = rng.normal(0.5, 1 / 6, (n, 3))
        while (outside := (adv < 0) | (adv > 1)).any():
            adv[outside] = rng.normal(0.5, 1 / 6, int(outside.sum()))
        drawn[name] = (rng.integers(labels, size=n), adv)
    return drawn


def conditions_table(
    answers: Mapping[str, Answer], clips: Sequence[Clip], labels: Sequence[str]
) -> list[dict[str, Any]]:
    """UAR in each condition, what that is less than clean, and the share of unchanged answers."""
    truth = true_labels(clips, labels)
    clean = answers["clean"]
    base = uar(truth, clean[0])
    rows = []
    for name in CONDITIONS:
        said, adv = answers[name]
        row = {"condition": name, "uar": uar(truth, said), "lost": base - uar(truth, said)}
        row["same_label"] = float(np.mean(said == clean[0]))
        moved = np.abs(adv - clean[1]).mean(0)
        row |= {f"moved {d}": float(moved[k]) for k, d in enumerate(ADV) if np.isfinite(moved[k])}
        rows.append(row)
    return rows


def bars(answers: Mapping[str, Answer], clips: Sequence[Clip], labels: Sequence[str]) -> list[dict[str, Any]]:
    """The project's own limits: what may be lost in noise, at other levels, on a telephone, and between the sexes.

    Parameters
    ----------
    answers : mapping of str to (labels, ratings)
        In each condition, of `every_condition`.
    clips : sequence of Clip
        What was answered.
    labels : sequence of str
        What answers' indices stand for.

    Returns
    -------
    list of dict
        ``test``, ``figure`` (UAR lost, or the gap), ``ci95`` (from, to; a paired bootstrap over speakers, of the same
        number of each sex for the gap; None for fewer than five speakers, and for the gap where one is said to be of
        both sexes), ``limit``, ``ok``.
    """
    truth, clean = true_labels(clips, labels), answers["clean"][0]
    speakers, sexes = [clip.speaker for clip in clips], np.array([clip.sex or "" for clip in clips])

    def lost(condition: str) -> Callable[[NDArray[np.int64]], float]:
        said = answers[condition][0]
        return lambda i: uar(truth[i], clean[i]) - uar(truth[i], said[i])

    def of(sex: str, i: NDArray[np.int64]) -> float:
        mine = i[sexes[i] == sex]
        return uar(truth[mine], clean[mine])

    asked = [
        ("UAR lost in real noise at 10 dB", lost("real noise 10 dB"), 0.08),
        ("UAR lost at +20 dB", lost("gain +20 dB"), 0.01),
        ("UAR lost at -20 dB", lost("gain -20 dB"), 0.01),
        ("UAR lost on a telephone", lost("telephone"), 0.08),
    ]
    every = np.arange(len(clips))
    if {"f", "m"} <= set(sexes):
        better, worse = sorted("fm", key=lambda sex: -of(sex, every))
        asked.append(("UAR between the sexes", lambda i: of(better, i) - of(worse, i), 0.05))
    one_sex = len({*zip(speakers, sexes.tolist(), strict=True)}) == len(set(speakers))
    rows = []
    for test, figure, limit in asked:
        within = sexes.tolist() if "sexes" in test else None
        value, interval = figure(every), None
        if one_sex or within is None:
            interval = speaker_interval(figure, speakers, within=within, rounds=_ROUNDS)
        rows.append({"test": test, "figure": value, "ci95": interval, "limit": limit, "ok": value <= limit})
    return rows


def true_labels(clips: Sequence[Clip], labels: Sequence[str]) -> NDArray[np.int64]:
    """Index of each clip's emotion among the labels; every clip has one of them."""
    return np.array([list(labels).index(clip.emotion or "") for clip in clips])
