"""A prediction, and the one place where logits become probabilities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

__all__ = ["Prediction", "State", "probabilities"]

State = Literal["speech", "silence", "unsure", "noise"]


def probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Calibrated softmax.

    Parameters
    ----------
    logits : (labels,) float32
        The model's emotion scores.
    temperature : float
        The bundle's; above 0.

    Returns
    -------
    (labels,) float64
        Non-negative, sum 1.
    """
    z = logits.astype(np.float64) / temperature
    e = np.exp(z - z.max())
    return e / e.sum()


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says after a step.

    Attributes
    ----------
    start, end : int
        The span heard, in samples from the start of the stream, lost ones counted: the model's sliding window up to
        the step's last sample.
    sample_rate : int
        Hz, of `start` and `end`.
    arousal, dominance, valence : float
        0..1; NaN where the model dozed, or learnt emotions alone.
    emotion : mapping of str to float
        Calibrated probability of each label, in the bundle's order; they sum to 1.
    state : {"speech", "silence", "unsure", "noise"}
        ``silence``: the gate hears nothing. ``noise``: a sound that is no speech to the bundle's detector.
        ``unsure``: somebody speaks, but no label reaches the bundle's ``unsure_below``. An emotion is meant to be
        named in the state ``speech`` alone.
    level_db : float
        Root mean square of the step in dBFS (0 is a full-scale square wave), -120 at least.
    lost_samples : int
        Lost before this prediction and after the one before it.
    lost_total : int
        Lost from the start of the stream: ``end - lost_total`` samples were heard.
    steady : str or None
        One label for those who want one (see `firmware_py.steady`); None while there is none.
    turn : int
        Which turn it belongs to, or the pause behind it (see `firmware_py.turns`); 0 before the first.
    latency_ms : float
        From the arrival of the step's last sample to the writing of this answer; NaN where nobody measured it.
    """

    start: int
    end: int
    sample_rate: int
    arousal: float
    dominance: float
    valence: float
    emotion: Mapping[str, float]
    state: State
    level_db: float
    lost_samples: int = 0
    lost_total: int = 0
    steady: str | None = None
    turn: int = 0
    latency_ms: float = math.nan

    @property
    def dozed(self) -> bool:
        """The model did not hear this step, since the gate was closed: the answers are NaN."""
        return any(math.isnan(share) for share in self.emotion.values())

    @property
    def rated(self) -> bool:
        """There are arousal, dominance and valence."""
        return not math.isnan(self.arousal)

    @property
    def label(self) -> str:
        """The most probable emotion (the first of equals); empty where the model dozed."""
        return "" if self.dozed else max(self.emotion, key=self.emotion.__getitem__)

    @property
    def confidence(self) -> float:
        """Its probability; NaN where the model dozed."""
        return math.nan if self.dozed else self.emotion[self.label]

    def ranked(self) -> Sequence[tuple[str, float]]:
        """Labels with their probabilities, the most probable first."""
        return sorted(self.emotion.items(), key=lambda item: -item[1])

    def to_json(self) -> dict[str, Any]:
        """The documented keys of ``listen -o jsonl``; times in seconds.

        `latency_ms` is None where not measured, the answers where the model dozed, and arousal, dominance and valence
        of a model that learnt none. The model's numbers are given in full, so that two runs can be compared bit for
        bit.
        """
        return {
            "type": "prediction",
            "start": self.start / self.sample_rate,
            "end": self.end / self.sample_rate,
            "arousal": _or_none(self.arousal),
            "dominance": _or_none(self.dominance),
            "valence": _or_none(self.valence),
            "emotion": {label: _or_none(share) for label, share in self.emotion.items()},
            "label": self.label or None,
            "confidence": _or_none(self.confidence),
            "state": self.state,
            "level_db": round(self.level_db, 1),
            "lost_samples": self.lost_samples,
            "lost_total": self.lost_total,
            "steady": self.steady,
            "latency_ms": None if math.isnan(self.latency_ms) else round(self.latency_ms, 3),
        }


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
