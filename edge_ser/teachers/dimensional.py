"""What published teachers of arousal, dominance and valence have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from edge_ser.corpora import ADV
from edge_ser.errors import EdgeSerError
from edge_ser.teachers.sources import Source, identity_of
from edge_ser.teachers.targets import Targets
from edge_ser.teachers.waves import checked_wave

__all__ = ["Dimensional", "output_order"]

_LEAST = 400  # samples that the convolutions need for one frame


class Dimensional(nn.Module):
    """A teacher of arousal, dominance and valence whose `forward` gives the three, and nothing else.

    Parameters
    ----------
    order : sequence of str
        Names of the outputs of `forward`: arousal, dominance and valence in the model's own order.
    """

    labels: tuple[str, ...] = ()
    hint_size = 0

    def __init__(self, order: Sequence[str]) -> None:
        super().__init__()
        self.order = tuple(order)

    def about(self) -> dict[str, Any]:
        """What the answers depend on beside the weights."""
        return {"kind": type(self).__name__, "order": self.order}

    @cached_property
    def identity(self) -> str:
        """SHA-256 of weights and description."""
        return identity_of(self, json.dumps(self.about(), sort_keys=True))

    def prepare(self, wave: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The normalisation that the encoder was trained with."""
        raise NotImplementedError

    def targets(self, wave: npt.NDArray[np.float32]) -> Targets:
        """Arousal, dominance and valence of a recording (n,) at 16 kHz, about 0..1 and not clipped.

        Raises
        ------
        EdgeSerError
            Shorter than 25 ms, longer than a minute, or not finite.
        """
        x = torch.from_numpy(self.prepare(checked_wave(wave, _LEAST)))[None]
        with torch.inference_mode():
            answer = self(x)[0]
        return Targets(answer[[self.order.index(name) for name in ADV]].numpy())


def output_order(description: Mapping[str, Any], at: Source) -> tuple[str, ...]:
    """Names of a published model's outputs in their order, as ``id2label`` in its ``config.json`` has them.

    Raises
    ------
    EdgeSerError
        They are not arousal, dominance and valence.
    """
    given = description.get("id2label")
    names = given if isinstance(given, dict) else {}
    order = tuple(str(names.get(str(i), "")).lower() for i in range(len(names)))
    if sorted(order) != sorted(ADV):
        raise EdgeSerError(
            f"{at}/config.json names the outputs {given}; they should be {', '.join(ADV)} in id2label"
        )
    return order
