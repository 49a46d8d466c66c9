"""Answers made up for tests: as many speakers, classes and ratings as wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge_ser.corpora import Clip
from edge_ser.evaluation.answers import Answers, Exclusion

LABELS = ("angry", "happy", "sad")


def make(
    n: int = 120, *, speakers: int = 6, right: float = 0.7, seed: int = 0, rated: bool = True, **about: Any
) -> Answers:
    """`n` clips, folds of whole speakers; answers are right in that share, and ratings near the truth."""
    rng = np.random.default_rng(seed)
    clips, scores, adv = [], [], []
    for i in range(n):
        truth = (i // speakers) % len(LABELS)
        sex, language = "fm"[i % 2], "da" if i % speakers < speakers / 2 else "en"
        ratings = dict(zip(("arousal", "dominance", "valence"), rng.uniform(size=3).tolist(), strict=True))
        clips.append(
            Clip(
                Path(f"clips/{i}.wav"), "made", f"s{i % speakers}", LABELS[truth], sex=sex, fold=i % speakers % 3,
                language=language, **(ratings if rated else {}),
            )
        )  # fmt: skip
        said = truth if rng.uniform() < right else int(rng.integers(3))
        row = rng.uniform(0.05, 0.3, 3)
        row[said] += rng.uniform(0.3, 1.0) if said == truth else rng.uniform(0.1, 0.5)
        scores.append(row / row.sum())
        adv.append(np.clip([x + rng.normal(0, 0.1) for x in ratings.values()], 0, 1))
    result = {"corpus": "made", "protocol": "made up", "model": "none", "params": 7, **about}
    return Answers(
        result, LABELS, tuple(clips), np.array(scores), np.array(adv), np.array([c.fold for c in clips]),
        np.zeros(n, np.int64), ("speech",) * n, (Exclusion("lost.wav", "too short"),),
    )  # fmt: skip
