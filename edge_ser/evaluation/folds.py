"""Checkpoints of folds: which there are, and that none is tested on whom it heard."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ser.corpora import Clip, Corpus
from edge_ser.errors import EdgeSerError

if TYPE_CHECKING:
    from edge_ser.models.base import Network

__all__ = ["check_unheard", "checkpoint_of", "fold_checkpoints", "load_fold", "lowest_seed", "named_folds"]


def named_folds(folds: Sequence[int]) -> str:
    """Folds as a sentence names them: ``fold 1``, or ``folds 1, 2 and 3``."""
    *before, last = map(str, folds)
    return f"folds {', '.join(before)} and {last}" if before else f"fold {last}"


def fold_checkpoints(folder: Path) -> dict[tuple[int, int], Path]:
    """Checkpoints of a folder by seed and fold; an `EdgeSerError` where it has none."""
    found = {}
    for path in sorted(folder.glob("fold*-seed*.safetensors")):
        if match := re.fullmatch(r"fold(\d+)-seed(\d+)", path.stem):
            found[int(match[2]), int(match[1])] = path
    if not found:
        raise EdgeSerError(f"{folder} has no foldF-seedS.safetensors; train some with edge-ser train")
    return found


def lowest_seed(folder: str | Path, folds: Iterable[int]) -> dict[int, Path]:
    """Checkpoints of some folds, all of the lowest seed; an `EdgeSerError` where one is not there."""
    found = fold_checkpoints(Path(folder))
    seed = min(seed for seed, _ in found)
    return {fold: checkpoint_of(found, folder, seed, fold) for fold in folds}


def checkpoint_of(found: Mapping[tuple[int, int], Path], folder: str | Path, seed: int, fold: int) -> Path:
    """That of a seed and fold, of what `fold_checkpoints` found; an `EdgeSerError` where it is not there."""
    if (seed, fold) not in found:
        raise EdgeSerError(f"{folder} lacks fold {fold} of seed {seed}: train it first")
    return found[seed, fold]


def load_fold(path: Path, held_out: int, corpus: Corpus) -> tuple[Network, dict[str, Any]]:
    """A fold's model and its description.

    Parameters
    ----------
    path : Path
    held_out : int
        The fold, by the checkpoint's name.
    corpus : Corpus
        Whose clips of that fold it is to be tested on.

    Raises
    ------
    EdgeSerError
        It held out another fold than its name says, or heard a speaker whom the corpus has in that fold now.
    """
    from edge_ser.models.checkpoint import load_checkpoint  # here, as a bundle needs no torch

    model, meta = load_checkpoint(path)
    if meta["training"]["held_out_fold"] != held_out:
        raise EdgeSerError(
            f"{path} held out fold {meta['training']['held_out_fold']}, not {held_out}: its name is wrong"
        )
    check_unheard(path, meta["training"], [clip for clip in corpus.clips if clip.fold == held_out])
    return model, meta


def check_unheard(path: Path | str, training: Mapping[str, Any], clips: Iterable[Clip]) -> None:
    """Refuse to test a checkpoint on a speaker whom it heard.

    Parameters
    ----------
    path : Path or str
        The checkpoint, as an error names it.
    training : mapping
        What it says of its training; one from before ``heard`` was kept is taken at its word.
    clips : iterable of Clip
        To test it on.

    Raises
    ------
    EdgeSerError
        One of them is of a speaker whom it heard.
    """
    if both := sorted({clip.speaker for clip in clips}.intersection(training.get("heard", ()))):
        raise EdgeSerError(
            f"{path} heard {both[0]} in training, and is to be tested on that speaker: the folds have changed since, "
            "or it began as a network of other folds; train it again, or name the corpus as it did (NAME@speaker?)"
        )
