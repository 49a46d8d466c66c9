"""What is said of a step: calibrated probabilities, and whether an emotion is named at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .adaptation import SpeakerTurns
from .gate import Reading
from .prediction import Prediction, State, probabilities
from .speech_statistics import SpeechWindow

if TYPE_CHECKING:
    from edge_ser.manifest import Calibration, SpeechDetector

__all__ = ["Decision", "heard_as", "probabilities"]


class Decision:
    """Probabilities and the state of each step, from the model's scores, the gate, and the detector of speech.

    Parameters
    ----------
    calibration : Calibration
        The bundle's.
    detector : SpeechDetector or None
        The bundle's; without one, all that passes the gate is taken for speech.
    frame_rate : float
        Frames of log-mel a second.
    speaker : SpeakerTurns, optional
        Gets used to who speaks: each step of speech is answered by the turns before it.
    """

    def __init__(
        self,
        calibration: Calibration,
        detector: SpeechDetector | None,
        frame_rate: float,
        speaker: SpeakerTurns | None = None,
    ) -> None:
        self._calibration, self._detector = calibration, detector
        self._speaker = speaker
        self._window = SpeechWindow(frame_rate)

    def hear(self, features: np.ndarray) -> None:
        """Take a step of which nothing is asked, for the detector to look back on."""
        if self._detector is not None:
            self._window.hear(features)

    def begin_turn(self) -> None:
        """The next step begins a turn, see `firmware_py.turns`."""
        if self._speaker is not None:
            self._speaker.begin_turn()

    def push(self, features: np.ndarray, logits: np.ndarray, reading: Reading) -> tuple[np.ndarray, State]:
        """Take the next step.

        Parameters
        ----------
        features : (step_frames, n_mels) float32
            The step's log-mel.
        logits : (labels,) float32
            The model's scores after it.
        reading : Reading
            What the gate says of it.

        Returns
        -------
        shares : (labels,) float64
            Calibrated probabilities.
        state : {"speech", "silence", "noise", "unsure"}
        """
        self.hear(features)
        adapted = logits if self._speaker is None else self._speaker.adapted(logits)
        shares = probabilities(adapted, self._calibration.temperature)
        if not reading.open:
            return shares, "silence"
        detector = self._detector
        if detector is not None and detector.score(self._window.statistics()) < detector.threshold:
            return shares, "noise"
        if self._speaker is not None:
            self._speaker.hear(logits)
        return shares, "unsure" if shares.max() < self._calibration.unsure_below else "speech"


def heard_as(predictions: Sequence[Prediction], unsure_below: float) -> State:
    """What a whole clip is, by its steps: a pause or a breath at its end does not make speech silence.

    Parameters
    ----------
    predictions : sequence of Prediction
        All of a clip, in their order, at least one.
    unsure_below : float
        The bundle's.

    Returns
    -------
    {"speech", "silence", "noise", "unsure"}
        ``speech`` or ``unsure`` where somebody spoke at any step, by the confidence of the last one's answer; else
        ``noise`` where any step held a sound; else ``silence``.
    """
    if any(one.state in ("speech", "unsure") for one in predictions):
        return "unsure" if predictions[-1].confidence < unsure_below else "speech"
    return "noise" if any(one.state == "noise" for one in predictions) else "silence"
