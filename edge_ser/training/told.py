"""What is told of a training: what tables say of its clips, as another label makes another network, and its start."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from edge_ser.corpora import Clip
from edge_ser.errors import EdgeSerError

__all__ = ["check_told", "learnt_before", "told_of"]


def told_of(clips: Iterable[Clip]) -> str:
    """A digest of which clips there are and what raters say of them, whatever folder they lie in."""
    rows = sorted(repr((clip.corpus, clip.speaker, clip.path.name, clip.emotion, clip.adv)) for clip in clips)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def learnt_before(start: Mapping[str, Any]) -> dict[str, Any]:
    """What a network learnt that begins from another one: the corpora of that, and of what that began from.

    Parameters
    ----------
    start : mapping
        What a checkpoint says of its training; nothing where there was no start.

    Returns
    -------
    dict
        ``began``: ``clips`` by corpus, ``licence``, ``citation``; empty without a start.
    """
    if not start:
        return {}
    parts = [start.get("began", {}), start]
    texts = {
        name: "; ".join(dict.fromkeys(one for part in parts if (one := part.get(name))))
        for name in ("licence", "citation")
    }
    return {"began": {"clips": {k: n for part in parts for k, n in part.get("clips", {}).items()}, **texts}}


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
