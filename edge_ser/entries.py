"""Entries of bundle.json by key and type: what is wrong, missing or foreign is refused by name."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from edge_ser.errors import EdgeSerError

__all__ = ["MAX_ELEMENTS", "Entries"]

#: 64 MB of float32: no state of a model for small boards comes near.
MAX_ELEMENTS = 1 << 24
# What terminals obey or cannot show: control characters but for tab and newline, those that turn the direction of
# writing, halves of characters.
_UNSHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

T = TypeVar("T")


class Entries:
    """A JSON object whose entries are asked for by key and type.

    Parameters
    ----------
    entries : object
        What JSON gave; anything but an object is refused.
    what : str
        The file, for errors.
    path : str
        Where in it the object lies, for errors.

    Raises
    ------
    EdgeSerError
        From every method: the entry is missing or another than was asked for.
    """

    def __init__(self, entries: Any, what: str, path: str = "") -> None:
        self._what = what
        self._path = path
        if not isinstance(entries, Mapping):
            raise self.wrong("", "an object")
        self.raw = entries

    def wrong(self, key: str, wanted: str) -> EdgeSerError:
        """The error that says what an entry must be; no key is the object itself."""
        place = f"{self._path}.{key}".strip(".") or "the whole"
        return EdgeSerError(
            f"{self._what} is damaged ({place} must be {wanted}); get a fresh copy of the bundle"
        )

    def require_shown(self) -> None:
        """Refuse control characters in any text and key, however deep: what is kept as it is gets printed, too."""
        wanted = "text without control characters"
        left: list[tuple[str, Any]] = [("", self.raw)]
        while left:
            place, value = left.pop()
            named = isinstance(value, Mapping)
            if named and any(_UNSHOWN.search(key) for key in value):
                raise self.wrong(place, wanted)
            for key, item in value.items() if named else enumerate(value):
                if isinstance(item, str | list | Mapping):
                    where = f"{place}.{key}".strip(".") if named else f"{place}[{key}]"
                    if not isinstance(item, str):
                        left.append((where, item))
                    elif _UNSHOWN.search(item):
                        raise self.wrong(where, wanted)

    def get(self, key: str, kind: type[T], wanted: str) -> T:
        """An entry that is exactly of a type."""
        if key not in self.raw:
            raise self.wrong(key, f"{wanted}, and is missing")
        value = self.raw[key]
        if type(value) is not kind:  # exact: True is an int to isinstance
            raise self.wrong(key, wanted)
        return value

    def text(self, key: str) -> str:
        """Text that a terminal can show, not empty."""
        value = self.get(key, str, "text")
        if not value.strip() or not value.isprintable():  # control characters would reach terminals
            raise self.wrong(key, "printable text")
        return value

    def matching(self, key: str, pattern: re.Pattern[str]) -> str:
        """Text of a pattern."""
        value = self.get(key, str, "text")
        if not pattern.fullmatch(value):
            raise self.wrong(key, "a plain name of letters, digits, '.', '_' and '-'")
        return value

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        """One of some texts."""
        value = self.get(key, str, "text")
        if value not in choices:
            raise self.wrong(key, f"one of {', '.join(choices)}")
        return value

    def count(self, key: str, least: int = 0, most: int = 1 << 53) -> int:
        """A whole number of a range."""
        value = self.get(key, int, "a whole number")
        if not least <= value <= most:
            raise self.wrong(key, f"from {least} to {most}")
        return value

    def counts(self, key: str, least: int, most: int) -> tuple[int, ...]:
        """A list of whole numbers of a range."""
        wanted = f"a list of whole numbers from {least} to {most}"
        value = self.get(key, list, wanted)
        if not all(type(item) is int and least <= item <= most for item in value):
            raise self.wrong(key, wanted)
        return tuple(value)

    def number(self, key: str, least: float, most: float) -> float:
        """A finite number of a range."""
        value = self.raw.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
            raise self.wrong(key, f"a number from {least:g} to {most:g}")
        return float(value)

    def mapping(self, key: str) -> dict[str, Any]:
        """An object as it is."""
        return self.get(key, dict, "an object")

    def child(self, key: str) -> Entries:
        """An object, to be asked in turn."""
        return Entries(self.mapping(key), self._what, f"{self._path}.{key}".strip("."))

    def items(self, key: str) -> list[Entries]:
        """A list of objects, each to be asked in turn."""
        value = self.get(key, list, "a list")
        place = f"{self._path}.{key}".strip(".")
        return [Entries(item, self._what, f"{place}[{index}]") for index, item in enumerate(value)]

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of distinct texts, not empty."""
        value = self.get(key, list, "a list of texts")
        if not value or not all(type(item) is str and item and item.isprintable() for item in value):
            raise self.wrong(key, "a list of texts")
        if len(set(value)) != len(value):
            raise self.wrong(key, "free of repetitions")
        return tuple(value)

    def numbers(self, key: str, count: int | None = None) -> np.ndarray:
        """A list of finite numbers (n,) float64, of a length where one is given."""
        value = self.get(key, list, "a list of numbers")
        wanted = "a list of " + (f"{count} numbers" if count is not None else "1 to 4096 numbers")
        if not 1 <= len(value) <= 4096 or count not in (None, len(value)):
            raise self.wrong(key, wanted)
        if not all(type(item) in (int, float) and math.isfinite(item) and abs(item) < 1e6 for item in value):
            raise self.wrong(key, wanted)
        return np.array(value, dtype=np.float64)

    def rows(self, key: str, count: int, width: int) -> np.ndarray:
        """A list of rows of numbers, (count, width) float64."""
        value = self.get(key, list, "a list of rows")
        if len(value) != count:
            raise self.wrong(key, f"a list of {count} rows")
        inner = Entries({str(i): row for i, row in enumerate(value)}, self._what, f"{self._path}.{key}")
        return np.stack([inner.numbers(str(i), width) for i in range(count)])

    def square(self, key: str, size: int) -> tuple[tuple[float, ...], ...]:
        """A list of as many rows of numbers as each has; numbers alone are a row that stands for all."""
        if any(isinstance(row, list) for row in self.get(key, list, "a list of rows")):
            return tuple(map(tuple, self.rows(key, size, size).tolist()))
        return (tuple(self.numbers(key, size).tolist()),) * size

    def shape(self, key: str) -> tuple[int, ...]:
        """Sizes of a tensor of at most `MAX_ELEMENTS` elements."""
        value = self.get(key, list, "a list of sizes")
        elements = 1
        for size in value:
            if type(size) is not int or not 1 <= size <= MAX_ELEMENTS:
                raise self.wrong(key, "a list of sizes of at least 1")
            elements *= size
            if elements > MAX_ELEMENTS:
                raise self.wrong(key, f"of at most {MAX_ELEMENTS} values")
        return tuple(value)
