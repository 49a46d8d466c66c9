"""Clips heard as one speaker's: each less what is common to the speaker's others.

Who speaks moves the pooled vector as much as what is felt. What a speaker's clips have in common is known after
hearing some of them, without any label; taken away, the emotion is left (iterative feature normalisation, Busso et al.
2013, IEEE Transactions on Affective Computing 4(4), without its choice of neutral speech). As the emotion head is
linear, a device does the same with a running mean of the head's answers, `edge_ser.adaptation`.
"""

from __future__ import annotations

from torch import Tensor

__all__ = ["heard_among"]


def heard_among(pooled: Tensor, speakers: Tensor) -> Tensor:
    """Pooled vectors less the mean of the speaker's others in the batch; the batch's own mean is put in its place.

    Parameters
    ----------
    pooled : Tensor (B, hidden)
    speakers : Tensor (B,) int64
        Who speaks, -1 where that is not known.

    Returns
    -------
    Tensor (B, hidden)
        As it was where the speaker has no other clip in the batch.
    """
    others = (speakers[:, None] == speakers[None]) & (speakers >= 0)[:, None]
    others = others.fill_diagonal_(False).to(pooled.dtype)
    count = others.sum(1, keepdim=True)
    common = others @ pooled / count.clamp(min=1)
    return pooled - (common - pooled.mean(0)) * (count > 0)
