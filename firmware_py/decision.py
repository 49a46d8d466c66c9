"""What is said of a step: calibrated probabilities, and whether an emotion is named at all."""

from __future__ import annotations

import functools
import math
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .adaptation import SpeakerMean
from .gate import Reading
from .prediction import Prediction, State, probabilities

if TYPE_CHECKING:
    from edge_ser.manifest import Calibration, SpeechDetector

__all__ = ["Decision", "WINDOW_STEPS", "heard_as", "probabilities", "speech_statistics"]

#: Steps that the speech detector looks back over; fewer at a stream's start.
WINDOW_STEPS = 8
_GROUPS = 8  # of bands, for the spectrum's shape and its movement
_CEPSTRUM = 13
_RIPPLE_BANDS = 32  # the lowest ones, where a voice's harmonics are apart
_RATES_HZ = ((1.0, 3.0), (3.0, 6.0), (6.0, 12.0), (12.0, 25.0))


def speech_statistics(frames: np.ndarray, frame_rate: float) -> np.ndarray:
    """Numbers by which speech and other sounds differ, of a stretch of log-mel; level and a constant gain drop out.

    How fast the level moves (speech has syllables, 3 to 6 a second: Houtgast and Steeneken, JASA 1985), how much and
    how unevenly; the mean spectrum's shape and its movement; and the ripple of harmonics over the low bands.

    Parameters
    ----------
    frames : (T, bands) float32
        Log-mel frames, oldest first; at least two, 16 bands or more.
    frame_rate : float
        Frames a second.

    Returns
    -------
    (n,) float64
        The same n for any T and number of bands.
    """
    x = np.asarray(frames, dtype=np.float64)
    n, bands = x.shape
    level = x.mean(1)
    moving = level - level.mean()
    spread = math.sqrt(float(moving @ moving) / n)
    scaled = moving / (spread + 1e-3)
    cubed = scaled * scaled * scaled
    power = np.square(np.abs(np.fft.rfft(scaled * _hanning(n))))
    rates = np.arange(len(power)) * (frame_rate / n)
    total = power[1:].sum() + 1e-9
    modulation = [power[(rates >= low) & (rates < high)].sum() / total for low, high in _RATES_HZ]
    shape = x - level[:, None]
    starts, sizes = _groups(bands)
    by_group = np.add.reduceat(shape, starts, axis=1) / sizes
    flux = np.abs(x[1:] - x[:-1])
    ripple = _ripple(x[:, : min(_RIPPLE_BANDS, bands)])
    rippling = ripple - ripple.mean()
    uneven = math.sqrt(float(rippling @ rippling) / n)
    in_order = np.sort(moving)
    loud = moving >= _quantiles(in_order, 0.5)
    width = np.sqrt(np.square(shape).mean(1))  # a spectrum's shape has no mean
    return np.concatenate(
        [
            [spread, cubed.mean(), (cubed * scaled).mean(), in_order[-1] - in_order[0]],
            _quantiles(in_order, (0.1, 0.25, 0.75, 0.9)),
            modulation,
            _dct(bands) @ shape.mean(0),
            _dct(bands) @ shape[loud].mean(0),
            by_group.std(0),
            np.abs(by_group[1:] - by_group[:-1]).mean(0),
            [
                flux.mean(),
                flux.std(),
                np.abs(level[1:] - level[:-1]).mean(),
                np.abs(shape[1:] - shape[:-1]).mean(),
            ],
            [ripple.mean(), uneven, ripple[loud].mean(), float(_quantiles(np.sort(ripple), 0.9))],
            [float(rippling @ moving) / (n * uneven * spread) if uneven > 1e-9 and spread > 1e-9 else 0.0],
            [width.mean(), width.std()],
        ]
    )


def _quantiles(in_order: np.ndarray, shares: float | tuple[float, ...]) -> np.ndarray:
    """Of sorted values, between neighbours by a line."""
    n = len(in_order)
    return np.interp(np.asarray(shares) * (n - 1), np.arange(n), in_order)


@functools.cache
def _hanning(n: int) -> np.ndarray:
    return np.hanning(n)


@functools.cache
def _groups(bands: int) -> tuple[np.ndarray, np.ndarray]:
    """First band and number of bands of each group, as even as can be."""
    parts = np.array_split(np.arange(bands), _GROUPS)
    return np.array([part[0] for part in parts]), np.array([len(part) for part in parts])


@functools.cache
def _dct(bands: int) -> np.ndarray:
    """Rows of the cosine transform of a spectrum, the mean left out."""
    k = np.arange(1, _CEPSTRUM)[:, None]
    return np.cos(np.pi * k * (np.arange(bands) + 0.5) / bands) / bands


def _ripple(low: np.ndarray) -> np.ndarray:
    """How regularly each frame goes up and down over the low bands: the largest autocorrelation at 2 to 9 bands."""
    total = np.cumsum(np.pad(low, ((0, 0), (4, 3)), mode="edge"), axis=1)
    smooth = (total[:, 7:] - total[:, :-7]) / 7  # the mean of seven bands
    fine = low - smooth
    energy = np.square(fine).sum(1) + 1e-3
    lags = [np.sum(fine[:, lag:] * fine[:, :-lag], axis=1) / energy for lag in range(2, 10)]
    return np.max(lags, axis=0)


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
    speaker : SpeakerMean, optional
        Gets used to who speaks: each step of speech is answered by what was heard before it, and heard itself then.
    """

    def __init__(
        self,
        calibration: Calibration,
        detector: SpeechDetector | None,
        frame_rate: float,
        speaker: SpeakerMean | None = None,
    ) -> None:
        self._calibration, self._detector, self._frame_rate = calibration, detector, frame_rate
        self._speaker = speaker
        self._steps: deque[np.ndarray] = deque(maxlen=WINDOW_STEPS)

    def hear(self, features: np.ndarray) -> None:
        """Take a step of which nothing is asked, for the detector to look back on."""
        self._steps.append(features)

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
        self._steps.append(features)
        adapted = logits if self._speaker is None else self._speaker.adapted(logits)
        shares = probabilities(adapted, self._calibration.temperature)
        if not reading.open:
            return shares, "silence"
        if self._detector is not None:
            statistics = speech_statistics(np.concatenate(self._steps), self._frame_rate)
            if self._detector.score(statistics) < self._detector.threshold:
                return shares, "noise"
        if self._speaker is not None:
            self._speaker.hear(logits, len(features) / self._frame_rate)
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
