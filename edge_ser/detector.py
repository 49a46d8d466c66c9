"""A bundle's detector of speech: a few numbers that tell a voice from another sound."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from edge_ser.entries import Entries

__all__ = ["SpeechDetector"]


@dataclasses.dataclass(frozen=True, eq=False)  # arrays have no one truth
class SpeechDetector:
    """Speech or another sound, from `firmware_py.speech_statistics`: one hidden layer of rectified units.

    Attributes
    ----------
    mean, scale : (n,) float64
        Statistics become ``(x - mean) / scale``, held to -6..6.
    hidden : (units, n) float64
    hidden_bias, output : (units,) float64
    output_bias : float
    threshold : float
        A score under it is no speech.
    record : dict
        What it was fitted on, and how it did on sounds and speakers that it never heard.
    """

    mean: np.ndarray
    scale: np.ndarray
    hidden: np.ndarray
    hidden_bias: np.ndarray
    output: np.ndarray
    output_bias: float
    threshold: float
    record: dict[str, Any]

    def score(self, statistics: np.ndarray) -> float:
        """Log-odds of speech of (n,) statistics."""
        x = np.clip((statistics - self.mean) / self.scale, -6.0, 6.0)
        return float(self.output @ np.maximum(self.hidden @ x + self.hidden_bias, 0.0) + self.output_bias)

    def to_dict(self) -> dict[str, Any]:
        """As bundle.json holds it."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in fields.items()}

    @classmethod
    def parse(cls, entry: Entries) -> SpeechDetector:
        """From bundle.json's entry; an `EdgeSerError` names what is wrong in it."""
        mean, bias = entry.numbers("mean"), entry.numbers("hidden_bias")
        scale = entry.numbers("scale", len(mean))
        if not (scale > 0).all():
            raise entry.wrong("scale", "numbers above 0")
        return cls(
            mean=mean,
            scale=scale,
            hidden=entry.rows("hidden", len(bias), len(mean)),
            hidden_bias=bias,
            output=entry.numbers("output", len(bias)),
            output_bias=entry.number("output_bias", -1e6, 1e6),
            threshold=entry.number("threshold", -1e6, 1e6),
            record=entry.mapping("record"),
        )
