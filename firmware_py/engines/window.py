"""A model that hears a window as a whole, driven like one that streams: at each step, the last seconds again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_ser.dsp import log_mel
from edge_ser.dsp.normalise import unit_power
from edge_ser.errors import EdgeSerError

from .base import Engine, Outputs, State

if TYPE_CHECKING:
    from edge_ser.bundle import Bundle

__all__ = ["WindowEngine", "filled"]


def filled(heard: np.ndarray, length: int) -> np.ndarray:
    """What was heard, repeated until a window is full; the newest is last.

    Silence in its place would be heard as such, and would change the level that a window is brought to.

    Parameters
    ----------
    heard : (n, ...)
        At least one, oldest first.
    length : int

    Returns
    -------
    (length, ...)
    """
    if len(heard) >= length:
        return heard[len(heard) - length :]
    return heard[(np.arange(length) - length) % len(heard)]


class WindowEngine:
    """`Engine` around one whose file has no states; the state is what was heard, at most a window of it.

    A file of the form ``window`` takes a whole window, and until one was heard it gets what there is repeated (see
    `filled`); one of the form ``clip`` takes what there is.

    Parameters
    ----------
    bundle : Bundle
        With a window.
    engine : Engine
        Opened on one of its files; its step takes the file's input without the batch.
    """

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        if bundle.window is None:
            raise EdgeSerError(f"{bundle.name} streams and has no window; export it again")
        self.name, self.precision = engine.name, engine.precision
        self._engine = engine
        self._spec, self._window = bundle.spec, bundle.window
        self._streamed = bundle.hears == "features"
        self._waveform = bundle.inputs[0].name == "waveform"
        self._whole = bundle.model_file(engine.name, engine.precision).form == "clip"
        samples = self._window.samples
        self._length = bundle.spec.frames(samples) if self._streamed else samples
        self._empty = np.zeros((0, bundle.spec.n_mels) if self._streamed else (0,), np.float32)

    def initial_state(self) -> State:
        """Nothing heard."""
        return (self._empty,)

    def hear(self, heard: np.ndarray, state: State) -> State:
        """The state after some more features or samples, without an answer."""
        return (np.concatenate([state[0], heard])[-self._length :],)

    def step(self, features: np.ndarray, state: State) -> tuple[Outputs, State]:
        """Hear a step's features or samples and answer; see `Engine.step`."""
        state = self.hear(features, state)
        return self.answer(state), state

    def answer(self, state: State) -> Outputs:
        """The answer to what a state holds, which must not be empty."""
        [heard] = state
        given = heard if self._whole else filled(heard, self._length)
        if not self._streamed and not self._waveform:
            if self._window.normalise == "unit_power":
                given = unit_power(given)
            given = log_mel(given, self._spec)
        outputs, _ = self._engine.step(np.ascontiguousarray(given), ())
        return outputs
