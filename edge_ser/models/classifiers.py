"""Classifiers that hear no log-mel clip as `Network` does: of feature vectors, images with them, and classical ones.

Networks are modules from inputs to logits, for `edge_ser.training.classify`; classical ones are scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_ser.errors import EdgeSerError, require
from edge_ser.models.mel_cnn import ConvStack

__all__ = [
    "CLASSICAL",
    "Classical",
    "ImageAndVector",
    "Mlp",
    "classical",
    "count_classical",
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
