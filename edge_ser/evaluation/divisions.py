"""Clips by their place dealt out to training, validation and test, for whatever is trained on arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ser.errors import EdgeSerError

__all__ = ["Division", "apart", "stratified"]

Places = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Division:
    """Places of clips, each in one part at most.

    Attributes
    ----------
    fold : int
        Which is tested.
    train, valid, test : (n,) int64
        Sorted; `valid` is empty where nothing is chosen.
    """

    fold: int
    train: Places
    valid: Places
    test: Places


def stratified(classes: ArrayLike, *, valid: float = 0.0, test: float = 0.3, seed: int = 42) -> Division:
    """A random split with each class in the same shares: speakers stand on both sides, it LEAKS.

    Parameters
    ----------
    classes : (n,) int
        Each clip's.
    valid, test : float
        Shares of the clips; together under 1. Each part of a share above 0 has at least one clip of each class.
    seed : int

    Raises
    ------
    EdgeSerError
        Shares out of range, or a class with too few clips for them.
    """
    values = np.asarray(classes)
    if not (0 <= valid < 1 and 0 < test < 1 and valid + test < 1):
        raise EdgeSerError(f"shares for validation and test lie between 0 and 1, not {valid:g} and {test:g}")
    rng = np.random.default_rng(seed)
    parts: dict[str, list[Places]] = {"train": [], "valid": [], "test": []}
    for one in np.unique(values):
        places = rng.permutation(np.flatnonzero(values == one))
        tested = max(1, round(test * len(places)))
        checked = max(1, round(valid * len(places))) if valid else 0
        if tested + checked >= len(places):
            raise EdgeSerError(f"a class of {len(places)} clips cannot be split in training and test")
        parts["test"].append(places[:tested])
        parts["valid"].append(places[tested : tested + checked])
        parts["train"].append(places[tested + checked :])
    joined = {name: np.sort(np.concatenate(places)) for name, places in parts.items()}
    return Division(0, joined["train"], joined["valid"], joined["test"])


def apart(
    folds: Sequence[int], groups: Sequence[str], *, valid: float = 0.0, seed: int = 0
) -> list[Division]:
    """Each fold held out in turn, and some whole groups of the rest for validation.

    Parameters
    ----------
    folds : (n,) int
        Test fold of each clip.
    groups : (n,) str
        Speaker of each clip, or what else must not stand on two sides.
    valid : float
        Share of the training groups that choices are made on, at least one group where it is above 0.
    seed : int
        Which groups those are.

    Returns
    -------
    list of Division
        By fold. No group is in two parts of a division.

    Raises
    ------
    EdgeSerError
        One fold only, a group in two folds, a share out of range, or no group left to train on.
    """
    fold, group = np.asarray(folds), np.asarray(groups, dtype=str)
    if not 0 <= valid < 1:
        raise EdgeSerError(f"the share for validation lies between 0 and 1, not at {valid:g}")
    names = np.unique(fold)
    if len(names) < 2:
        raise EdgeSerError("one fold cannot be tested and trained on; give clips of two or more")
    for one in np.unique(group):
        if len(np.unique(fold[group == one])) > 1:
            raise EdgeSerError(f"{one} stands in several folds; give it one")
    made = []
    for held_out in names:
        others = np.unique(group[fold != held_out])
        n = max(1, round(valid * len(others))) if valid else 0
        if n >= len(others):
            raise EdgeSerError(
                f"with fold {held_out} held out, {len(others)} group is left; validation needs two at least"
            )
        checked = np.random.default_rng([seed, int(held_out)]).permutation(others)[:n]
        outside, inside = fold != held_out, np.isin(group, checked)
        made.append(
            Division(
                int(held_out),
                np.flatnonzero(outside & ~inside),
                np.flatnonzero(outside & inside),
                np.flatnonzero(~outside),
            )
        )
    return made
