"""Two models on the same clips: how far apart they are, and whether that could be chance."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edge_ser.corpora import ADV
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.answers import Answers
from edge_ser.evaluation.metrics import accuracy, bootstrap_ci, ccc, uar

__all__ = ["compare", "sign_flip_p"]


def sign_flip_p(differences: np.ndarray, *, rounds: int = 10_000, seed: int = 0) -> float:
    """Two-sided p of a mean difference under random signs, a speaker each (Fisher's paired randomisation test).

    Parameters
    ----------
    differences : (speakers,) float
    rounds : int
        Draws of signs where there are more than 13 speakers; up to that, all of them are counted.
    seed : int

    Returns
    -------
    float
        Above 0, at most 1.
    """
    d = np.asarray(differences, np.float64)
    if d.ndim != 1 or len(d) < 2:
        raise EdgeSerError(f"a paired test over speakers needs at least two of them, not {d.size}")
    if len(d) <= 13:
        signs = 1 - 2.0 * ((np.arange(2 ** len(d))[:, None] >> np.arange(len(d))) & 1)
        return float(np.mean(np.abs(signs @ d) >= abs(d.sum()) - 1e-12))
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(rounds, len(d)))
    return float((1 + np.sum(np.abs(signs @ d) >= abs(d.sum()) - 1e-12)) / (rounds + 1))


def compare(a: Answers, b: Answers, *, rounds: int = 2000) -> dict[str, Any]:
    """Figures of B less those of A on the clips that both answered.

    Parameters
    ----------
    a, b : Answers
        Clips are matched by corpus, speaker and as much of the end of their paths as tells them apart in both, as the
        corpora may lie elsewhere. Answers of one seed each are matched whatever the seeds; of several, those of the
        seeds that both have.
    rounds : int
        Of the bootstrap over speakers.

    Returns
    -------
    dict
        ``clips``, ``speakers``, ``only_a``, ``only_b`` (clips that have no part, or none with one of the seeds),
        ``seeds`` (of ``a``, of ``b`` and, of several, those ``compared``); ``uar``, ``accuracy`` and, with
        ratings, ``ccc.DIMENSION``: each ``a``, ``b``, ``difference``, ``ci95`` over speakers and ``p`` by
        `sign_flip_p` of the speakers' own figures; and ``changed``: clips that only one has right.

    Raises
    ------
    EdgeSerError
        No clip or no seed in common, a clip that was answered twice, one speaker only, other labels, or another truth
        for a clip.
    """
    a, b, seeds = _same_seeds(a, b)
    rows_a, rows_b = _rows(a, b, "A"), _rows(b, a, "B")
    common = [key for key in rows_a if key in rows_b]
    if not common:
        raise EdgeSerError("the two have no clip in common; evaluate both on the same corpus")
    one, other = (x.take(np.array([rows[key] for key in common])) for x, rows in ((a, rows_a), (b, rows_b)))
    truths = [[clip.emotion for clip in x.clips] for x in (one, other)]
    if truths[0] != truths[1] or a.labels != b.labels:
        raise EdgeSerError(
            "the two were scored among other classes or against other labels; evaluate both on the same table"
        )
    result: dict[str, Any] = {
        "clips": len({clip for clip, _ in common}),
        "speakers": len(set(one.speakers)),
        "only_a": len({clip for clip, _ in rows_a.keys() - rows_b.keys()}),
        "only_b": len({clip for clip, _ in rows_b.keys() - rows_a.keys()}),
        "seeds": seeds,
    }
    known = one.truth >= 0
    if known.any():
        truth, speakers = one.truth[known], one.speakers[known]
        said = [z.said[known] for z in (one, other)]
        for name, metric in (("uar", uar), ("accuracy", accuracy)):
            figure = [lambda rows, z=z, m=metric: m(truth[rows], z[rows]) for z in said]
            result[name] = _paired(figure[0], figure[1], speakers, rounds)
        right = [z == truth for z in said]
        result["changed"] = {
            "only_a_right": int(np.sum(right[0] & ~right[1])),
            "only_b_right": int(np.sum(~right[0] & right[1])),
        }
    rated = np.isfinite(one.ratings).all(1)
    if rated.sum() > 1:
        speakers = one.speakers[rated]
        for k, dimension in enumerate(ADV):
            ratings, given = one.ratings[rated, k], [z.adv[rated, k] for z in (one, other)]
            figure = [lambda rows, z=z, r=ratings: ccc(r[rows], z[rows]) for z in given]
            result[f"ccc.{dimension}"] = _paired(figure[0], figure[1], speakers, rounds)
    return result


def _same_seeds(a: Answers, b: Answers) -> tuple[Answers, Answers, dict[str, list[int]]]:
    """The answers of seeds that can be compared, and which those are."""
    seeds = {"a": sorted(set(a.seeds.tolist())), "b": sorted(set(b.seeds.tolist()))}
    if len(seeds["a"]) == len(seeds["b"]) == 1:
        # two models of one run each: whichever seeds they were given, they are what there is to compare
        return a, dataclasses.replace(b, seeds=np.full_like(b.seeds, seeds["a"][0])), seeds
    both = sorted({*seeds["a"]} & {*seeds["b"]})
    if not both:
        raise EdgeSerError(
            f"A is of the seeds {', '.join(map(str, seeds['a']))} and B of {', '.join(map(str, seeds['b']))}; evaluate "
            "both with a seed in common, or with one each"
        )
    return a.take(np.isin(a.seeds, both)), b.take(np.isin(b.seeds, both)), {"compared": both, **seeds}


def _rows(mine: Answers, other: Answers, name: str) -> dict[tuple[Any, int], int]:
    """Rows of answers by clip and seed; a clip is its corpus, its speaker and the end of its path.

    The end is the file's name, or as much more as tells apart the files of that name, in either of the two.
    """
    alike: dict[Any, list[set[Path]]] = {}
    for side, answers in enumerate((mine, other)):
        for clip in answers.clips:
            alike.setdefault((clip.corpus, clip.speaker, clip.path.name), [set(), set()])[side].add(clip.path)
    parts = {named: _parts(*paths) for named, paths in alike.items()}
    rows: dict[tuple[Any, int], int] = {}
    for i, (clip, seed) in enumerate(zip(mine.clips, mine.seeds.tolist(), strict=True)):
        n = parts[clip.corpus, clip.speaker, clip.path.name]
        key = (clip.corpus, clip.speaker, clip.path.parts[-n:]), seed
        if key in rows:
            raise EdgeSerError(
                f"{name} has two answers to {clip.path}; list each recording once in the table, and evaluate again"
            )
        rows[key] = i
    return rows


def _parts(*sides: set[Path]) -> int:
    """How much of the end of paths it takes, in names of folders and the file, to tell them apart on each side."""
    n = 1
    while any(len({path.parts[-n:] for path in paths}) < len(paths) for paths in sides):
        n += 1
    return n


def _paired(
    a: Callable[[np.ndarray], float], b: Callable[[np.ndarray], float], speakers: np.ndarray, rounds: int
) -> dict[str, Any]:
    every = np.arange(len(speakers))
    names = sorted(set(speakers.tolist()))
    of_speaker = np.array([b(every[speakers == n]) - a(every[speakers == n]) for n in names])
    interval = bootstrap_ci(lambda rows: b(rows) - a(rows), speakers.tolist(), rounds=rounds)
    return {
        "a": a(every),
        "b": b(every),
        "difference": b(every) - a(every),
        "ci95": list(interval),
        "p": sign_flip_p(of_speaker),
    }
