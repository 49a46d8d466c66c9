"""A model that sleeps while the gate is closed, and wakes as if it had not."""

from __future__ import annotations

from collections import deque
from typing import Protocol

import numpy as np

from .engines import Engine, Outputs, State
from .turns import LEAD_STEPS

__all__ = ["MOST_STEPS", "Dozer", "memory_steps"]

#: Models that remember further back than this many steps cannot doze: waking would take too long.
MOST_STEPS = 64
_PROBES = 3


def memory_steps(engine: Engine, shape: tuple[int, int], limit: int = MOST_STEPS) -> int | None:
    """How many steps back a model remembers: after so many its state is the same bits, whatever it was before.

    It is measured: the model hears the same noise from its first state and from random ones, until every state tensor
    agrees bit for bit. A convolution forgets after its kernel, a sliding window after its length, a recurrent layer
    never quite.

    Parameters
    ----------
    engine : Engine
        The model.
    shape : (frames, mels)
        Of a step's features.
    limit : int
        Where to give up.

    Returns
    -------
    int or None
        None where it is more than `limit`.
    """
    first = engine.initial_state()
    states = [first, *(_other(first, number + 1) for number in range(_PROBES))]
    with np.errstate(all="ignore"):  # such states no sound could lead to
        for steps in range(limit + 1):
            if all(_same(states[0], other) for other in states[1:]):
                return steps
            features = _noise(shape, steps)
            states = [engine.step(features, state)[1] for state in states]
    return None


def _noise(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Numbers in -1.5..1.5 that look random; NumPy's generators would take 2.5 MB to load."""
    phase = (np.arange(np.prod(shape, dtype=int), dtype=np.float64) + 1) * (seed + 1.618)
    return (1.5 * np.sin(phase * phase)).astype(np.float32).reshape(shape)


def _other(state: State, seed: int) -> State:
    return tuple(_noise(values.shape, 1000 + seed).astype(values.dtype) for values in state)


def _same(one: State, other: State) -> bool:
    return all(np.array_equal(values, others) for values, others in zip(one, other, strict=True))


class FrontEnd(Protocol):
    """What makes features of a step's samples."""

    def push(self, x: np.ndarray) -> np.ndarray:
        """The features of the next samples."""

    def reset(self) -> None:
        """The next sample is the first."""


class Dozer:
    """Runs an engine where the gate is open, and keeps what it needs of the steps before.

    When the gate opens, the model first hears all that it would still remember, so that its answers are the same, bit
    for bit, as those of a model that never slept; no onset is lost. The first answer after a pause takes as long as
    the steps that were missed, `memory` at most.

    Parameters
    ----------
    engine : Engine
        What runs the model.
    memory : int
        See `memory_steps`.
    front : FrontEnd, optional
        Where given, `sleep` takes samples, whose features are computed when it wakes, and `wake` must be called before
        the front end hears the step that woke it. Its frames may not reach back further than one step.
    keep : int
        How many of the missed steps' features `wake` has to give at least, if there were so many.

    Attributes
    ----------
    dozed : int
        Steps that the model did not hear, so far.
    """

    def __init__(
        self,
        engine: Engine,
        memory: int,
        front: FrontEnd | None = None,
        keep: int = 0,
    ) -> None:
        self._engine, self._memory, self._front = engine, memory, front
        self._state = engine.initial_state()
        # One more where features are still to be computed: its samples are the past of the next one's frames.
        self._missed: deque[np.ndarray] = deque(maxlen=max(memory, keep) + (front is not None))
        self._forgot = False
        self.dozed = 0

    def sleep(self, heard: np.ndarray) -> None:
        """Take a step that the model does not hear: its features, or its samples where there is a front end."""
        self._forgot |= len(self._missed) == self._missed.maxlen
        self._missed.append(heard.copy())
        self.dozed += 1

    def wake(self, anew: bool = False) -> list[np.ndarray]:
        """Let the model hear what it would still remember.

        Parameters
        ----------
        anew : bool
            It forgets what was before, and hears the last `LEAD_STEPS` missed steps: a turn begins.

        Returns
        -------
        list of ndarray
            Features of the last missed steps, oldest first.
        """
        missed = list(self._missed)
        self._missed.clear()
        if self._front is not None and missed:
            if self._forgot:
                self._front.reset()
                self._front.push(missed.pop(0))
            missed = [self._front.push(samples) for samples in missed]
        self._forgot = False
        most = self._memory
        if anew:
            self._state, most = self._engine.initial_state(), LEAD_STEPS
        remembered = missed[max(0, len(missed) - most) :]
        for features in remembered:
            _, self._state = self._engine.step(features, self._state)
        self.dozed -= len(remembered)
        return missed

    def step(self, features: np.ndarray) -> Outputs:
        """The model's answer to a step; `wake` comes first."""
        outputs, self._state = self._engine.step(features, self._state)
        return outputs
