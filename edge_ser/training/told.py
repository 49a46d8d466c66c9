"""What tables tell of the clips that a network learns from: another label makes another network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from edge_ser.corpora import Clip
from edge_ser.errors import EdgeSerError

__all__ = ["check_told", "told_of"]


def told_of(clips: Iterable[Clip]) -> str:
    """A digest of which clips there are and what raters say of them, whatever folder they lie in."""
    rows = sorted(repr((clip.corpus, clip.speaker, clip.path.name, clip.emotion, clip.adv)) for clip in clips)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def check_told(path: Path, training: Mapping[str, Any], clips: Iterable[Clip]) -> None:
    """Refuse a checkpoint that learnt from other clips, or other labels of them, than are to train it now.

    One from before ``told`` was kept is taken at its word.
    """
    mine = told_of(clips)
    if training.get("told", mine) != mine:
        raise EdgeSerError(
            f"{path} learnt from other recordings or other labels: the corpora have changed since; give the run "
            f"another name or remove {path.parent}"
        )
