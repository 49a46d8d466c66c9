"""How far a text that was heard is from what was said: errors of characters and words."""

from __future__ import annotations

from collections.abc import Sequence

from edge_ser.errors import EdgeSerError

__all__ = ["character_error_rate", "edit_distance", "word_error_rate"]


def edit_distance(said: Sequence[object], heard: Sequence[object]) -> int:
    """Fewest insertions, deletions and substitutions that make one sequence the other (Levenshtein 1966)."""
    row = list(range(len(heard) + 1))
    for i, truth in enumerate(said, 1):
        corner, row[0] = row[0], i
        for k, one in enumerate(heard, 1):
            corner, row[k] = row[k], min(row[k] + 1, row[k - 1] + 1, corner + (truth != one))
    return row[-1]


def character_error_rate(said: Sequence[str], heard: Sequence[str]) -> float:
    """Errors of all texts by the characters of what was said, spaces among them.

    Parameters
    ----------
    said, heard : sequence of str
        One each a clip.

    Returns
    -------
    float
        At least 0; above 1 where more was heard than said.

    Raises
    ------
    EdgeSerError
        Not one for each, or nothing was said in any.
    """
    return _rate(said, heard)


def word_error_rate(said: Sequence[str], heard: Sequence[str]) -> float:
    """As `character_error_rate`, of words between spaces."""
    return _rate([text.split() for text in said], [text.split() for text in heard])


def _rate(said: Sequence[Sequence[str]], heard: Sequence[Sequence[str]]) -> float:
    if len(said) != len(heard):
        raise EdgeSerError(f"{len(said)} texts were said and {len(heard)} heard; give one for each clip")
    total = sum(map(len, said))
    if total == 0:
        raise EdgeSerError("nothing was said, so there is nothing to count errors by")
    return sum(edit_distance(a, b) for a, b in zip(said, heard, strict=True)) / total
