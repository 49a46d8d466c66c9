"""Networks that answer with something else than emotion or arousal, dominance and valence: sound, or letters."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from edge_ser.models.counting import counted
from edge_ser.models.separator import LstmSeparator, SeparatorConfig
from edge_ser.models.two_task import TwoTask, TwoTaskConfig

__all__ = ["OTHERS", "Other", "describe_others"]

_SECONDS = 3.0


class Other(NamedTuple):
    """A row of the table.

    Attributes
    ----------
    build : callable
        A network of the default shape.
    inputs : tuple of Tensor
        Of one inference of three seconds.
    about : str
    """

    build: Callable[[], nn.Module]
    inputs: tuple[Tensor, ...]
    about: str


_LETTERS = TwoTaskConfig(tuple(map(str, range(8))), " abcdefghijklmnopqrstuvwxyz")

OTHERS: dict[str, Other] = {
    "lstm-separator": Other(
        lambda: LstmSeparator(SeparatorConfig()),
        (torch.zeros(1, 24000),),
        "masks for two sources, LSTM of 8 units",
    ),
    "ctc-two-task": Other(
        lambda: TwoTask(_LETTERS),
        (torch.zeros(1, 300, _LETTERS.n_mels), torch.tensor([300])),
        "letters (CTC, 26 and space) and 8 emotions from one encoder",
    ),
}
"""By name."""


def describe_others() -> list[dict[str, Any]]:
    """Rows of `OTHERS`, as `edge_ser.models.describe` has them."""
    rows = []
    for name, row in OTHERS.items():
        model = row.build().eval()
        with torch.no_grad():
            rows.append(counted(name, row.about, model, functools.partial(model, *row.inputs), _SECONDS))
    return rows
