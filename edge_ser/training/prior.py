"""Classes that count alike, however often the training had them."""

from __future__ import annotations

import torch

from edge_ser.errors import EdgeSerError
from edge_ser.models.base import Network
from edge_ser.training.data import LabelledClips

__all__ = ["adjust_logits", "class_shares"]


def class_shares(clips: LabelledClips, balance: float) -> torch.Tensor:
    """How often training draws each class, among the clips whose corpus knows it.

    Parameters
    ----------
    clips : LabelledClips
    balance : float
        As `edge_ser.training.parts.FitPart`.

    Returns
    -------
    Tensor (labels,)
        0..1.

    Raises
    ------
    EdgeSerError
        There are no classes, or no clip of one of them.
    """
    weight = torch.from_numpy(clips.corpus_size**-balance)
    named = clips.labels >= 0
    known = (weight[:, None] * (clips.allowed & named[:, None])).sum(0)
    own = torch.zeros(clips.allowed.shape[1], dtype=weight.dtype)
    own.index_add_(0, clips.labels[named], weight[named])
    if not len(own) or not bool((own > 0).all()):
        raise EdgeSerError("[fit] logit_adjustment needs clips of every emotion that the network knows")
    return own / known


def adjust_logits(model: Network, clips: LabelledClips, balance: float, strength: float) -> None:
    """Take the classes' shares of the training out of a network's answers, in place (post-hoc logit adjustment).

    A network learns how often a class is from how often it was seen, and names a rare one less often than it is there.
    The mean of recalls counts classes alike, and so does somebody who does not know how often anybody is angry: the
    logarithms of the shares are taken off the bias of the emotion head (Menon et al. 2021, arXiv 2007.07314).

    Parameters
    ----------
    model : Network
        Trained on `clips`.
    clips : LabelledClips
    balance : float
        As it was trained with.
    strength : float
        1 takes them out whole, 0 not at all.

    Raises
    ------
    EdgeSerError
        There is no clip of one of its classes.
    """
    assert model.emotion is not None  # who knows classes has a head for them
    logs = torch.log(class_shares(clips, balance))
    with torch.no_grad():
        model.emotion.bias.sub_(strength * (logs - logs.mean()).to(model.emotion.bias.dtype))
