"""Getting used to a speaker: answers less what is common to all that this voice said so far, without any label.

A voice moves a model's scores as much as an emotion does. What its answers have in common is soon known; with the
typical answer in its place, what is left is what changes, and that is the emotion. The emotion head is linear, so this
equals taking the speaker's mean off the vector before it (feature normalisation by speaker, Busso et al. 2013, IEEE
Transactions on Affective Computing 4(4)). It presumes that one person speaks, in more than one mood: whoever is angry
for the whole time is taken to sound like that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["MEMORY_S", "PRIOR_CLIPS", "PRIOR_S", "SpeakerMean"]

#: Speech after which a speaker's own mean counts as much as the typical one.
PRIOR_S = 15.0
#: The same in clips of the length that corpora have.
PRIOR_CLIPS = 4.0
#: What was said longer ago fades, so that another person is got used to as well.
MEMORY_S = 600.0


class SpeakerMean:
    """Running mean of one speaker's answers.

    Parameters
    ----------
    typical : (labels,) array_like
        Mean of the logarithms of a model's probabilities over many speakers and emotions; a constant in it is of no
        account.
    prior : float
        Weight at which speaker's and typical mean count alike; above 0.
    memory : float
        The weight goes no further; older answers fade instead.
    """

    def __init__(self, typical: ArrayLike, prior: float = PRIOR_S, memory: float = MEMORY_S) -> None:
        self._typical = np.asarray(typical, dtype=np.float64)
        self._prior, self._memory = prior, memory
        self._mean = self._typical.copy()
        self.weight = 0.0

    def adapted(self, logits: np.ndarray) -> np.ndarray:
        """Scores (labels,) as this speaker means them; those given where nothing was heard yet."""
        share = self.weight / (self.weight + self._prior)
        return np.asarray(logits - share * (self._mean - self._typical))

    def hear(self, logits: np.ndarray, weight: float) -> None:
        """Let an answer count; its weight is in the unit of `prior`, seconds on a device."""
        self.weight = min(self.weight + weight, self._memory)
        self._mean += (logits - logits.mean() + self._typical.mean() - self._mean) * min(
            1.0, weight / self.weight
        )
