"""Getting used to a speaker: answers less what is common to all that this voice said so far, without any label.

A voice moves a model's scores as much as an emotion does. Each answer is set against what the model typically gives to
the emotions that it may have been; what is left over, on average, is the voice's and comes off. Where a person is
mostly of one mood, that mood is expected and stays, which a plain mean of answers would take for the voice. (A bias
found by weighing classes by their own probabilities: Sankar and Lee 1996, IEEE Transactions on Speech and Audio
Processing 4(3). The emotion head is linear, so it equals moving the vector before it; cf. normalisation by speaker,
Busso et al. 2013, IEEE Transactions on Affective Computing 4(4).)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .prediction import probabilities

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["LONG_TURN_S", "MEMORY_S", "PRIOR_CLIPS", "PRIOR_S", "SOFTENING", "SpeakerMean", "SpeakerTurns"]

#: A stranger's emotions are often mistaken, so they are expected softly. The more, the more strangers gain and the more
#: one mood is taken for the voice: the middle of what new speakers of a known corpus gain by, whether they are mostly
#: neutral or not (`benchmarks.softening`).
SOFTENING = 4.0
#: Clips of the length that corpora have after which half of a speaker's own mean comes off.
PRIOR_CLIPS = 4.0
#: The same in seconds of speech, of which such a clip has three.
PRIOR_S = 12.0
#: A turn that goes on counts again after so much speech, as long as models look back.
LONG_TURN_S = 5.0
#: What was said longer ago fades, so that another person is got used to as well.
MEMORY_S = 600.0


class SpeakerMean:
    """Running mean of what one speaker's answers have beyond the typical ones.

    Parameters
    ----------
    typical : (labels, labels) or (labels,) array_like
        Row k: mean of the logarithms of a model's probabilities over many speakers' clips of emotion k. One row stands
        for all emotions. A constant in a row is of no account.
    prior : float
        Weight at which half of the mean comes off; above 0.
    memory : float
        The weight goes no further; older answers fade instead.
    softening : float
        Scores are divided by it for the probabilities by which emotions are expected; infinite expects all alike.
    """

    def __init__(
        self,
        typical: ArrayLike,
        prior: float = PRIOR_S,
        memory: float = MEMORY_S,
        softening: float = SOFTENING,
    ) -> None:
        rows = np.asarray(typical, dtype=np.float64)
        rows = np.broadcast_to(rows, (rows.shape[-1], rows.shape[-1]))
        self._typical = rows - rows.mean(1, keepdims=True)
        self._prior, self._memory, self._softening = prior, memory, softening
        self._beyond = np.zeros(rows.shape[-1])
        self.weight = 0.0

    def adapted(self, logits: np.ndarray) -> np.ndarray:
        """Scores (labels,) as this speaker means them; those given where nothing was heard yet."""
        return np.asarray(logits - self.weight / (self.weight + self._prior) * self._beyond)

    def hear(self, logits: np.ndarray, weight: float) -> None:
        """Let an answer count; its weight is in the unit of `prior`, seconds on a device."""
        self.weight = min(self.weight + weight, self._memory)
        beyond = logits - logits.mean() - probabilities(logits, self._softening) @ self._typical
        self._beyond += (beyond - self._beyond) * min(1.0, weight / self.weight)


class SpeakerTurns:
    """What one person says, step by step: each turn counts once, by the answer at its end.

    Answers to the first second of a turn are about little and all alike, which is no trait of the voice; where each
    step counted, they hid what is.

    Parameters
    ----------
    mean : SpeakerMean
        In seconds.
    step_s : float
        Seconds of a step.
    """

    def __init__(self, mean: SpeakerMean, step_s: float) -> None:
        self.mean, self._step_s = mean, step_s
        self._last: np.ndarray | None = None
        self._seconds = 0.0

    def adapted(self, logits: np.ndarray) -> np.ndarray:
        """As `SpeakerMean.adapted`, of the turns before."""
        return self.mean.adapted(logits)

    def begin_turn(self) -> None:
        """The next step begins a turn: the one before counts."""
        if self._last is not None:
            self.mean.hear(self._last, self._seconds)
        self._last, self._seconds = None, 0.0

    def hear(self, logits: np.ndarray) -> None:
        """The answer to a step of speech."""
        self._last = np.array(logits)
        self._seconds += self._step_s
        if self._seconds >= LONG_TURN_S:
            self.begin_turn()
