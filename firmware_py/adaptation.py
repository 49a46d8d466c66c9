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

__all__ = ["MEMORY_S", "PRIOR_CLIPS", "PRIOR_S", "SOFTENING", "SpeakerMean"]

#: A stranger's emotions are often mistaken, so they are expected softly. The more, the more strangers gain and the more
#: one mood is taken for the voice: the most at which new speakers of a known corpus lose nothing while mostly neutral
#: (`benchmarks.softening`).
SOFTENING = 4.0
#: Speech after which a speaker's own mean counts as much as the typical one.
PRIOR_S = 15.0
#: The same in clips of the length that corpora have.
PRIOR_CLIPS = 4.0
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
