"""Classifiers that hear no log-mel clip as `Network` does: of feature vectors, images with them, and classical ones.

Networks are modules from inputs to logits, for `edge_ser.training.classify`; classical ones are scikit-learn's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_ser.errors import EdgeSerError, require
from edge_ser.models.counting import counted
from edge_ser.models.mel_cnn import ConvStack
from edge_ser.models.picture_cnn import PictureCnn
from edge_ser.models.waveform_cnn import WaveformCnn

__all__ = [
    "CLASSICAL",
    "CLASSIFIERS",
    "Classical",
    "Classifier",
    "ImageAndVector",
    "Mlp",
    "classical",
    "count_classical",
    "describe_classifiers",
]


class Mlp(nn.Sequential):
    """Fully connected layers with batch normalisation, ReLU and dropout: (B, inputs) to (B, classes).

    Parameters
    ----------
    inputs, classes : int
    widths : tuple of int
        Of the hidden layers.
    dropout : tuple of float
        After each of them, in training.
    """

    def __init__(
        self,
        inputs: int,
        classes: int,
        widths: tuple[int, ...] = (256, 128, 64),
        dropout: tuple[float, ...] = (0.4, 0.4, 0.3),
    ) -> None:
        layers: list[nn.Module] = []
        for i, o, share in zip((inputs, *widths[:-1]), widths, dropout, strict=True):
            layers += [nn.Linear(i, o), nn.BatchNorm1d(o), nn.ReLU(), nn.Dropout(share)]
        super().__init__(*layers, nn.Linear(widths[-1], classes))


class ImageAndVector(nn.Module):
    """Two convolutions on an image, two layers on a vector, joined: images (B, 1, h, w) and vectors to logits.

    Parameters
    ----------
    inputs, classes : int
        Numbers of a vector, and classes.
    """

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.stack = ConvStack((64, 128))
        self.vector = nn.Sequential(nn.Linear(inputs, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU())
        self.joined = nn.Sequential(nn.Linear(128 + 64, 128), nn.ReLU(), nn.Linear(128, classes))

    def forward(self, images: Tensor, vectors: Tensor) -> Tensor:
        """Logits (B, classes)."""
        seen = F.adaptive_avg_pool2d(self.stack(images), 1).flatten(1)
        return self.joined(torch.cat([seen, self.vector(vectors)], 1))


class Classifier(NamedTuple):
    """A row of the table of other networks.

    Attributes
    ----------
    build : callable
        Of a number of classes, to a network for inputs of the shapes in `inputs`.
    inputs : tuple of tuple of int
        Shapes of one example's inputs, by which it is counted.
    about : str
    seconds : float
        Of audio that one example stands for.
    """

    build: Callable[[int], nn.Module]
    inputs: tuple[tuple[int, ...], ...]
    about: str
    seconds: float = 3.0


#: Networks that are counted for inputs of the shapes named, with 8 classes.
CLASSIFIERS: dict[str, Classifier] = {
    "mlp": Classifier(lambda n: Mlp(798, n), ((798,),), "MLP 256-128-64 on the feature set `classic`"),
    "cnn-1d": Classifier(
        WaveformCnn, ((1, 48240),), "1-D CNN on the waveform, M5-like (arXiv 1610.00087)", 48240 / 16000
    ),
    "cnn-2d": Classifier(PictureCnn, ((1, 50, 150),), "2-D CNN on mel pictures of 50 x 150"),
    "cnn+mlp": Classifier(
        lambda n: ImageAndVector(798, n), ((1, 128, 128), (798,)), "2-D CNN on a mel image and MLP on features, joined"
    ),
}  # fmt: skip


class Classical(NamedTuple):
    """A row of the table of classical classifiers."""

    module: str
    name: str
    settings: Mapping[str, Any]
    about: str


#: scikit-learn's, with the settings that they start from here.
CLASSICAL: dict[str, Classical] = {
    "random-forest": Classical(
        "sklearn.ensemble", "RandomForestClassifier", {"n_jobs": 1}, "random forest (Breiman 2001) on features"
    ),
    "svm": Classical("sklearn.svm", "SVC", {"kernel": "rbf", "C": 10.0}, "support vector machine, RBF kernel"),
}  # fmt: skip


def classical(name: str, seed: int = 0, **settings: Any) -> Any:
    """A classifier of `CLASSICAL`, not fitted.

    Raises
    ------
    EdgeSerError
        None of that name.
    MissingExtraError
        scikit-learn is not installed.
    """
    if name not in CLASSICAL:
        raise EdgeSerError(f"there is no classical classifier {name!r}; there are {', '.join(CLASSICAL)}")
    row = CLASSICAL[name]
    require("sklearn", extra="train", purpose="classical classifiers")
    module = require(row.module, extra="train", purpose="classical classifiers")
    return getattr(module, row.name)(random_state=seed, **{**row.settings, **settings})


def count_classical(estimator: Any) -> int:
    """Numbers that a fitted classifier of `CLASSICAL` has to keep to answer.

    Of a forest: a feature and a threshold of each inner node, a share of each class in each leaf. Of a support vector
    machine: its vectors, their weights in each pair of classes, and the pairs' offsets.

    Raises
    ------
    EdgeSerError
        It is of another kind.
    """
    if hasattr(estimator, "estimators_"):
        inner = sum(int((tree.tree_.children_left >= 0).sum()) for tree in estimator.estimators_)
        leaves = sum(int(tree.tree_.n_leaves) for tree in estimator.estimators_)
        return 2 * inner + leaves * len(estimator.classes_)
    if hasattr(estimator, "support_vectors_"):
        return int(estimator.support_vectors_.size + estimator.dual_coef_.size + estimator.intercept_.size)
    raise EdgeSerError(f"a {type(estimator).__name__} cannot be counted")


def describe_classifiers() -> list[dict[str, Any]]:
    """Rows of `CLASSIFIERS` (counted with 8 classes) and `CLASSICAL`, as `edge_ser.models.describe` has them.

    What depends on the data it is fitted to is None.
    """
    rows: list[dict[str, Any]] = []
    for name, row in CLASSIFIERS.items():
        with torch.device("meta"), torch.no_grad():
            model = row.build(8).eval()
            inputs = [torch.zeros(1, *shape) for shape in row.inputs]
            run = functools.partial(model, *inputs)
            rows.append(counted(name, row.about, model, run, row.seconds))
    rows += [
        {"name": name, "about": f"{one.about}; counted once fitted", "parameters": None, "streams": False}
        for name, one in CLASSICAL.items()
    ]
    return rows
