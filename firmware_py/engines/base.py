"""The one protocol of all engines: a step of features and a state in, answers and a new state out."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

__all__ = ["Engine", "Outputs", "State"]

State = tuple[np.ndarray, ...]


class Outputs(NamedTuple):
    """A model's raw answer after one step.

    Attributes
    ----------
    adv : (3,) float32
        Arousal, dominance, valence in 0..1.
    logits : (labels,) float32
        Emotion scores before softmax and before calibration.
    """

    adv: np.ndarray
    logits: np.ndarray


class Engine(Protocol):
    """Runs one bundle's step on one runtime.

    An engine keeps nothing between calls but scratch memory: all that the model remembers is in the state, so two
    streams may share an engine as long as they take turns (one thread at a time). A state handed out is never
    written to again.
    """

    @property
    def name(self) -> str:
        """``numpy``, ``litert`` or ``onnx``."""

    @property
    def precision(self) -> str:
        """``fp32`` or another precision that the bundle lists."""

    def initial_state(self) -> State:
        """The state before the first sample."""

    def step(self, features: np.ndarray, state: State) -> tuple[Outputs, State]:
        """Advance by one step.

        Parameters
        ----------
        features : (step_frames, n_mels) float32
            Log-mel frames of the step, oldest first; of a bundle that ``hears`` samples, the step's (n,) samples.
        state : State
            What the previous step returned, or `initial_state()`.

        Returns
        -------
        outputs : Outputs
            The answer after this step; the caller may keep it.
        state : State
            The state for the next step.
        """
