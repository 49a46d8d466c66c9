"""Tensors of a model file: what they are called, and those of somebody else's file as what engines give."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from edge_ser.entries import Entries

__all__ = ["ADV_ORDER", "SCORES", "Interface", "TensorSpec", "next_name"]

ADV_ORDER = ("arousal", "dominance", "valence")
#: What the output with a number a label holds.
SCORES = ("logits", "probabilities")

# The least probability: below it a logarithm says nothing, and that of zero is no number.
_LEAST = 1e-12


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """One input, state or output of the step.

    Attributes
    ----------
    name : str
    shape : tuple of int
        Batch of one included.
    dtype : str
        NumPy's name of the type.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def next_name(self) -> str:
        """What a model file calls the new value of this state; no graph may give two tensors one name."""
        return next_name(self.name)


def next_name(state: str) -> str:
    """Name of a state's new value among a model file's outputs."""
    return f"{state}_next"


@dataclasses.dataclass(frozen=True)
class Interface:
    """How a file's own tensors and the bundle's belong together.

    Attributes
    ----------
    input : str
        Name of the file's one input.
    shape : tuple of int
        Its shape: that of the bundle's input but for dimensions of one, and bands before frames where `transposed`.
    transposed : bool
        Log-mel is taken as bands by frames.
    scores : str
        Name of the output with a number a label.
    kind : {'logits', 'probabilities'}
        What these are.
    adv : str or None
        Name of the output of arousal, dominance and valence; None: the file has none.
    order : tuple of str
        Their order in it.
    range : tuple of float
        The ends of their scale, which become 0 and 1.
    """

    input: str
    shape: tuple[int, ...]
    transposed: bool
    scores: str
    kind: str
    adv: str | None = None
    order: tuple[str, ...] = ADV_ORDER
    range: tuple[float, float] = (0.0, 1.0)

    @classmethod
    def parse(cls, entry: Entries) -> Interface:
        """From bundle.json's entry; an `EdgeSerError` names what is wrong in it."""
        transposed = entry.raw.get("transposed", False)
        if type(transposed) is not bool:
            raise entry.wrong("transposed", "true or false")
        order: tuple[str, ...] = ADV_ORDER
        ends = (0.0, 1.0)
        has_adv = entry.raw.get("adv") is not None
        if has_adv:
            order = entry.texts("order")
            if sorted(order) != sorted(ADV_ORDER):
                raise entry.wrong("order", f"{', '.join(ADV_ORDER)} in the file's order")
            low, high = entry.numbers("range", 2)
            if low >= high:
                raise entry.wrong("range", "two numbers, the lower first")
            ends = (float(low), float(high))
        return cls(
            input=entry.text("input"),
            shape=entry.shape("shape"),
            transposed=transposed,
            scores=entry.text("scores"),
            kind=entry.choice("kind", SCORES),
            adv=entry.text("adv") if has_adv else None,
            order=order,
            range=ends,
        )

    def to_dict(self) -> dict[str, Any]:
        """The entry of bundle.json."""
        row = dataclasses.asdict(self)
        row |= {"shape": list(self.shape), "order": list(self.order), "range": list(self.range)}
        return row if self.adv is not None else {k: row[k] for k in row if k not in ("adv", "order", "range")}

    def takes(self, shape: tuple[int, ...]) -> bool:
        """The bundle's input of a shape, batch of one included, can be given to the file."""
        inner = shape[1:][::-1] if self.transposed else shape[1:]
        return [size for size in self.shape if size != 1] == [size for size in inner if size != 1]

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the file's outputs that are read, the scores first."""
        return (self.scores,) if self.adv is None else (self.scores, self.adv)

    def given(self, heard: np.ndarray) -> np.ndarray:
        """(frames, n_mels) or (samples,) as the file takes it."""
        if self.transposed:
            heard = heard.T
        return np.ascontiguousarray(heard.reshape(self.shape), np.float32)

    def answers(self, found: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Arousal, dominance, valence in 0..1, (3,) float32, and logits, (labels,) float32, from `outputs`' values."""
        scores = np.asarray(found[0], np.float32).reshape(-1)
        if self.kind == "probabilities":
            scores = np.log(np.maximum(scores, np.float32(_LEAST)))
        if self.adv is None:
            return np.full(3, 0.5, np.float32), scores
        low, high = self.range
        values = np.asarray(found[1], np.float32).reshape(-1)
        values = values[[self.order.index(name) for name in ADV_ORDER]]
        return ((values - np.float32(low)) / np.float32(high - low)).astype(np.float32), scores
