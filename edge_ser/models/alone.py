"""Networks and classifiers of the studies that become no bundle as they are: they count in the table, and say why.

They are modules from inputs to logits (`edge_ser.models.classifiers`), or answer with something else than emotion.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from edge_ser.models.classifiers import CLASSICAL, ImageAndVector, Mlp
from edge_ser.models.counting import counted
from edge_ser.models.picture_cnn import PictureResNet50
from edge_ser.models.separator import LstmSeparator, SeparatorConfig
from edge_ser.models.two_task import TwoTask, TwoTaskConfig

__all__ = ["ALONE", "Alone"]

_CLASSES, _FEATURES, _SECONDS = 8, 798, 3.0
_LETTERS = TwoTaskConfig(tuple(map(str, range(_CLASSES))), " abcdefghijklmnopqrstuvwxyz")
_PIPELINE = "edge-ser export fits and writes it as a pipeline (a TOML file), as onnx-fp32"


class Alone(NamedTuple):
    """A row of the table.

    Attributes
    ----------
    about : str
    why_not : str
        Why a checkpoint of it cannot be exported, or how else it is, as a sentence without its full stop.
    exports : bool
        It is exported in that other way.
    build : callable or None
        A network of the default shape, which is counted; None where a size depends on what it is fitted to.
    inputs : callable
        Of one inference of three seconds.
    """

    about: str
    why_not: str
    exports: bool = False
    build: Callable[[], nn.Module] | None = None
    inputs: Callable[[], tuple[Tensor, ...]] = tuple

    def describe(self, name: str) -> dict[str, Any]:
        """As `edge_ser.models.describe`; what depends on data is None."""
        said = {"exports": self.exports, "why_not": self.why_not}
        if self.build is None:
            return {"name": name, "about": self.about, "parameters": None, "streams": False, **said}
        with torch.no_grad():
            model = self.build().eval()
            row = counted(name, self.about, model, functools.partial(model, *self.inputs()), _SECONDS)
        return row | said


def _on_meta(build: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """Shapes alone, no weight is made."""

    def built() -> nn.Module:
        with torch.device("meta"):
            return build()

    return built


def _zeros(*shapes: tuple[int, ...]) -> Callable[[], tuple[Tensor, ...]]:
    return lambda: tuple(torch.zeros(1, *shape, device="meta") for shape in shapes)


#: By name.
ALONE: dict[str, Alone] = {
    "resnet50-picture": Alone(
        "ResNet-50 on pictures of 224 x 224 of linear frequencies",
        "the device's front ends make mel bands and no linear spectra; resnet50 is the same network on log-mel",
        False,
        _on_meta(lambda: PictureResNet50(_CLASSES)),
        _zeros((1, 224, 224)),
    ),
    "mlp": Alone(
        "MLP 256-128-64 with batch normalisation on the feature set `classic`",
        f"it hears a row of features and no window; of scikit-learn's (step `mlp`), {_PIPELINE}",
        False,
        _on_meta(lambda: Mlp(_FEATURES, _CLASSES)),
        _zeros((_FEATURES,)),
    ),
    "cnn+mlp": Alone(
        "2-D CNN on a mel image and MLP on features, joined",
        "it takes an image and a row of features, and a bundle's files have one input",
        False,
        _on_meta(lambda: ImageAndVector(_FEATURES, _CLASSES)),
        _zeros((1, 128, 128), (_FEATURES,)),
    ),
    **{name: Alone(f"{one.about}; counted once fitted", _PIPELINE, True) for name, one in CLASSICAL.items()},
    "lstm-separator": Alone(
        "masks for two sources, LSTM of 8 units",
        "it answers with sound, and a bundle answers with emotion",
        False,
        lambda: LstmSeparator(SeparatorConfig()),
        lambda: (torch.zeros(1, 24000),),
    ),
    "ctc-two-task": Alone(
        "letters (CTC, 26 and space) and 8 emotions from one encoder",
        "it answers with letters beside emotion, and no sink of the device writes them",
        False,
        lambda: TwoTask(_LETTERS),
        lambda: (torch.zeros(1, 300, _LETTERS.n_mels), torch.tensor([300])),
    ),
}  # fmt: skip
