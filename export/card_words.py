"""What a model card is written with: tables, numbers, and fields of figures that may come from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["interval", "listed", "nested", "number", "share", "table"]


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    return " ".join(str(value).replace("|", "\\|").split())


def nested(value: Any, *keys: str) -> Any:
    """A field of a field; None where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def listed(value: Any, key: str, *fields: str) -> list[Mapping[str, Any]]:
    """The entries of a list that have these fields: a bundle's figures may come from anywhere."""
    found = nested(value, key)
    rows = found if isinstance(found, Sequence) and not isinstance(found, str) else ()
    return [row for row in rows if isinstance(row, Mapping) and set(fields) <= set(row)]


def number(value: Any) -> str:
    """With three decimals; a dash for what is no number."""
    return f"{value:.3f}" if isinstance(value, int | float) else "-"


def share(value: Any) -> str:
    """In per cent; a dash for what is no number."""
    return f"{value:.0%}" if isinstance(value, int | float) else "-"


def interval(value: Any) -> str:
    """Both ends; a dash for what is no pair of numbers."""
    return (
        f"{number(value[0])} to {number(value[1])}"
        if isinstance(value, Sequence) and len(value) == 2
        else "-"
    )
