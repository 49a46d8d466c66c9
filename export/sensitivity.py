"""What each layer costs in int8, and mixed precision from it: the most sensitive layers stay float32.

A layer alone in eight bits, all others float32, and the answers' error on every sound: the ranking. Then files with
the first of it in float32, one more each time: size against error (as Dong et al. 2019, HAWQ, arXiv 1905.03696, but by
the error itself rather than a bound of it).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.parity import Difference, Limit, compare_all, errors
from export.source import Source

__all__ = ["Effect", "Mixed", "Sweep", "Trial", "parse_mixed", "sweep"]

#: A source to the size of its file in bytes and the file's answers to each sound.
Run = Callable[[Source], tuple[int, Mapping[str, np.ndarray]]]

#: Of the four that errors are told of, as `export.gate.OUTPUTS`.
_OUTPUTS = ("arousal", "dominance", "valence", "emotion")


@dataclasses.dataclass(frozen=True)
class Mixed:
    """How far to go.

    Attributes
    ----------
    count : int or None
        Layers to keep; None: until `mean` is met.
    mean : float or None
        Greatest mean error; None with no count: the gate's limits.
    """

    count: int | None = None
    mean: float | None = None

    def limit(self, gate: Limit) -> Limit:
        """The limits to meet."""
        return gate if self.mean is None else gate._replace(mean=self.mean)


@dataclasses.dataclass(frozen=True)
class Effect:
    """One layer in int8, all others float32.

    Attributes
    ----------
    layer : str
    weights : int
        Values of its weight.
    error : Difference
        Of all sounds, as the gate has it.
    outputs : mapping of str to float
        Mean absolute error of arousal, dominance, valence and the emotions' probabilities over all sounds.
    """

    layer: str
    weights: int
    error: Difference
    outputs: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Trial:
    """A file some of whose layers stay float32."""

    kept: tuple[str, ...]
    size: int
    error: Difference


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What was found.

    Attributes
    ----------
    effects : tuple of Effect
        The most sensitive layer first.
    trials : tuple of Trial
        By the number of layers kept, none first.
    """

    effects: tuple[Effect, ...]
    trials: tuple[Trial, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "layers": [
                {
                    "layer": one.layer,
                    "weights": one.weights,
                    "max_abs_error": one.error.largest,
                    "mean_abs_error": one.error.mean,
                    "by_output": dict(one.outputs),
                }
                for one in self.effects
            ],
            "mixed": [
                {
                    "float_layers": list(one.kept),
                    "bytes": one.size,
                    "max_abs_error": one.error.largest,
                    "mean_abs_error": one.error.mean,
                    "agreement": one.error.agreement,
                }
                for one in self.trials
            ],
        }


def parse_mixed(text: str) -> Mixed:
    """``2`` (layers), ``auto`` (the gate's limits) or ``0.002`` (a mean error).

    Raises
    ------
    EdgeSerError
        Another text.
    """
    if text == "auto":
        return Mixed()
    try:
        if text.isdigit():
            return Mixed(count=int(text))
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < 1:
        raise EdgeSerError(
            f"--mixed is a number of layers, `auto` or a mean error between 0 and 1, not {text!r}"
        )
    return Mixed(mean=value)


def sweep(
    source: Source,
    layers: Sequence[str],
    run: Run,
    wanted: Mapping[str, np.ndarray],
    *,
    limit: Limit | None = None,
    count: int | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Sweep:
    """Measure each layer, then files that keep more and more of them.

    Parameters
    ----------
    source : Source
    layers : sequence of str
        Those that the format rounds.
    run : callable
        Converts a source, and runs the file.
    wanted : mapping of str to (steps, 3 + labels)
        The trained model's answers.
    limit : Limit, optional
        Stop at the first file within it; left out, try all numbers of layers.
    count : int, optional
        Try this number of layers alone.
    say : callable
        Gets a line of progress.

    Raises
    ------
    EdgeSerError
        More layers are to be kept than there are.
    """
    if count is not None and count > len(layers):
        raise EdgeSerError(
            f"{count} layers cannot stay float32 where int8 rounds {len(layers)}; give --mixed fewer"
        )
    effects = []
    for layer in layers:
        say(f"{layer} alone in int8")
        _, answers = run(source.keeping(other for other in layers if other != layer))
        effects.append(
            Effect(
                layer,
                source.int8_layers[layer].weight.size,
                compare_all(answers, wanted, rounded=True)[0],
                _by_output(answers, wanted),
            )
        )
    effects.sort(key=lambda one: -one.error.mean)
    trials = []
    for number in range(len(layers) + 1) if count is None else [count]:
        kept = tuple(one.layer for one in effects[:number])
        say(f"{number} layers float32")
        size, answers = run(source.keeping(kept))
        trials.append(Trial(kept, size, compare_all(answers, wanted, rounded=True)[0]))
        if limit is not None and trials[-1].error.within(limit):
            break
    return Sweep(tuple(effects), tuple(trials))


def _by_output(answers: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> dict[str, float]:
    every = np.concatenate([errors(answers[name], wanted[name], rounded=True) for name in wanted]).mean(0)
    emotion = float(every[3:].mean()) if len(every) > 3 else 0.0
    return dict(zip(_OUTPUTS, (*map(float, every[:3]), emotion), strict=True))
