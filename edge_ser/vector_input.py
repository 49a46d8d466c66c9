"""What a model of feature vectors hears: which numbers of a whole recording, in a bundle's own words."""

from __future__ import annotations

import dataclasses
from typing import Any

from edge_ser.entries import MAX_ELEMENTS, Entries

__all__ = ["VectorInput"]


@dataclasses.dataclass(frozen=True)
class VectorInput:
    """A recording as one row of numbers.

    Attributes
    ----------
    name : str
        What the description was called: a ready-made set's name, or a file's.
    description : dict
        Of `edge_ser.features.VectorSpec`, all of it: no later default may slip in.
    size : int
        Numbers in the row.
    """

    name: str
    description: dict[str, Any]
    size: int

    @classmethod
    def parse(cls, entry: Entries) -> VectorInput:
        """From bundle.json's entry; an `EdgeSerError` names what is wrong in it."""
        return cls(entry.text("name"), entry.mapping("description"), entry.count("size", 1, MAX_ELEMENTS))

    def to_dict(self) -> dict[str, Any]:
        """The entry of bundle.json."""
        return dataclasses.asdict(self)
