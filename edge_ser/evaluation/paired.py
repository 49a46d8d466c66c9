"""Two models on the same clips: how far apart they are, and whether that could be chance."""

from __future__ import annotations

from collections.abc import Callable
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
        Clips are matched by corpus and file name (and seed, where both have several).
    rounds : int
        Of the bootstrap over speakers.

    Returns
    -------
    dict
        ``clips``, ``speakers``, ``only_a``, ``only_b`` (clips that have no part); ``uar``, ``accuracy`` and, with
        ratings, ``ccc.DIMENSION``: each ``a``, ``b``, ``difference``, ``ci95`` over speakers and ``p`` by
        `sign_flip_p` of the speakers' own figures; and ``changed``: clips that only one has right.

    Raises
    ------
    EdgeSerError
        No clip in common, one speaker only, other labels, or another truth for a clip.
    """
    keys = [
        [(c.corpus, c.path.name, int(s)) for c, s in zip(one.clips, one.seeds, strict=True)] for one in (a, b)
    ]
    places = {key: i for i, key in enumerate(keys[1])}
    pairs = [(i, places[key]) for i, key in enumerate(keys[0]) if key in places]
    if not pairs:
        raise EdgeSerError("the two have no clip in common; evaluate both on the same corpus")
    one, other = a.take(np.array([i for i, _ in pairs])), b.take(np.array([j for _, j in pairs]))
    truths = [[clip.emotion for clip in x.clips] for x in (one, other)]
    if truths[0] != truths[1] or a.labels != b.labels:
        raise EdgeSerError(
            "the two were scored among other classes or against other labels; evaluate both on the same table"
        )
    result: dict[str, Any] = {
        "clips": len(pairs),
        "speakers": len(set(one.speakers)),
        "only_a": len(a) - len(pairs),
        "only_b": len(b) - len(pairs),
    }
    known = one.truth >= 0
    if known.any():
        x, y = one.take(known), other.take(known)
        for name, metric in (("uar", uar), ("accuracy", accuracy)):
            figure = [lambda rows, z=z, m=metric: m(x.truth[rows], z.said[rows]) for z in (x, y)]
            result[name] = _paired(figure[0], figure[1], x.speakers, rounds)
        right = [z.said == z.truth for z in (x, y)]
        result["changed"] = {
            "only_a_right": int(np.sum(right[0] & ~right[1])),
            "only_b_right": int(np.sum(~right[0] & right[1])),
        }
    rated = np.isfinite(one.ratings).all(1)
    if rated.sum() > 1:
        x, y = one.take(rated), other.take(rated)
        for k, dimension in enumerate(ADV):
            figure = [lambda rows, z=z, k=k: ccc(x.ratings[rows, k], z.adv[rows, k]) for z in (x, y)]
            result[f"ccc.{dimension}"] = _paired(figure[0], figure[1], x.speakers, rounds)
    return result


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
