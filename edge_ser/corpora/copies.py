"""Recordings that are there twice under two names: a copy in another fold, or by another speaker, would be a leak."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path

from edge_ser.corpora.base import Clip, LeftOut

__all__ = ["copies", "without_copies"]

_PIECE = 4096


def copies(paths: Sequence[Path]) -> dict[int, int]:
    """Files with the same bytes as one before them.

    Parameters
    ----------
    paths : sequence of Path
        One that is empty, or not there, is a copy of none.

    Returns
    -------
    dict
        From the place of each such file to that of the first of its kind.
    """
    groups = [list(range(len(paths)))]
    # files are seldom as long as others, and seldom the same in the middle: few are read as a whole
    for same in (_size, _middle, _digest):
        groups = [part for group in groups for part in _parts(group, paths, same)]
    return {later: first for first, *others in groups for later in others}


def without_copies(clips: Iterable[Clip]) -> tuple[tuple[Clip, ...], tuple[LeftOut, ...]]:
    """Clips whose recordings no clip before them has, and why the others are not among them."""
    clips = tuple(clips)
    twice = copies([clip.path for clip in clips])
    kept = tuple(clip for i, clip in enumerate(clips) if i not in twice)
    return kept, tuple(
        LeftOut(clips[i].path.name, _reason(clips[i], clips[first])) for i, first in sorted(twice.items())
    )


def _reason(copy: Clip, first: Clip) -> str:
    told = [
        f"{name} {there}"
        for name in ("corpus", "speaker", "emotion")
        if (there := getattr(first, name)) != getattr(copy, name) and there
    ]
    return f"the same recording as {first.path.name}" + (f", there of {' and '.join(told)}" if told else "")


def _parts(group: list[int], paths: Sequence[Path], same: Callable[[Path], Hashable]) -> list[list[int]]:
    """The places of a group whose files are the same, two at least."""
    parts: dict[Hashable, list[int]] = {}
    for place in group:
        if key := same(paths[place]):  # what is empty or gone will not be heard
            parts.setdefault(key, []).append(place)
    return [part for part in parts.values() if len(part) > 1]


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _middle(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size // 2 - _PIECE // 2))
        return file.read(_PIECE)


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()
