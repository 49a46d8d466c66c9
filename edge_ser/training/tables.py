"""Recipes' tables: TOML with changes from a command line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edge_ser.errors import EdgeSerError
from edge_ser.files import parse_toml

__all__ = ["check_name", "read_toml", "table_of"]

#: Fields of a recipe that are no tables.
_TEXTS = ("model", "name")


def read_toml(path: Path, known: set[str], changes: Iterable[str] = ()) -> dict[str, Any]:
    """A recipe's fields: ``name`` and ``model`` are text, every other one is a table.

    A table may stand in another recipe: ``perturb = "other.toml"`` takes ``[perturb]`` of the file beside this one.

    Parameters
    ----------
    path : Path
    known : set of str
        Names that it may hold.
    changes : iterable of str
        As `Recipe.read` takes them.

    Raises
    ------
    EdgeSerError
        No such file, not TOML, an unknown field, one of another kind, no such table in the file that is to have it, a
        name that is no file's, or no word on what to train on.
    """
    fields = parse_toml(path)
    for name, value in fields.items():
        if name in known and name not in _TEXTS and isinstance(value, str):
            fields[name] = table_of(path, name, value)
    for change in changes:
        _change(fields, change)
    if unknown := sorted(set(fields) - known):
        raise EdgeSerError(
            f"{path}: unknown fields {', '.join(unknown)}; there are {', '.join(sorted(known))}"
        )
    for name, value in fields.items():
        if not isinstance(value, str if name in _TEXTS else dict):
            raise EdgeSerError(
                f"{path}: {name} must be {'text' if name in _TEXTS else 'a table'}, not {value!r}"
            )
    check_name(path, fields.get("name", path.stem))
    if "data" not in fields or "corpora" not in fields["data"]:
        raise EdgeSerError(f"{path} does not say what to train on: give it [data] corpora = [...]")
    return fields


def check_name(path: Path, name: str) -> None:
    """An `EdgeSerError` where a recipe's name would put its run and its figures elsewhere than in their folders."""
    if name in ("", "..") or Path(name).name != name:
        raise EdgeSerError(f"{path}: the name {name!r} is no file's: give one without /, such as {path.stem}")


def table_of(path: Path, name: str, other: str) -> dict[str, Any]:
    """The table of that name in another recipe, beside the one that asks for it; `EdgeSerError` where it has none."""
    source = path.parent / other
    table = parse_toml(source).get(name) if source.is_file() else None
    if not isinstance(table, dict):
        raise EdgeSerError(
            f"{path}: {name} must be a table, or the name of a recipe beside this one that has it, not {other!r}"
        )
    return table


def _change(fields: dict[str, Any], change: str) -> None:
    """Put ``TABLE.FIELD=VALUE`` into a recipe's fields."""
    place, equals, text = change.partition("=")
    *tables, name = (part.strip() for part in place.split("."))
    if not equals or not name or len(tables) > 1:
        raise EdgeSerError(f"{change!r} changes nothing: write TABLE.FIELD=VALUE, such as fit.epochs=20")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    for table in tables:
        fields = fields.setdefault(table, {})
    fields[name] = value
