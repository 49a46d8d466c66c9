"""The networks: one table that names, builds and describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from edge_ser.errors import EdgeSerError
from edge_ser.models.stream72k import Stream72k, Stream72kConfig

__all__ = ["ARCHITECTURES", "Architecture", "build_model"]


class Architecture(NamedTuple):
    """A row of the table of networks."""

    model: type[Stream72k]
    config: type[Stream72kConfig]
    about: str


ARCHITECTURES = {
    "stream72k": Architecture(Stream72k, Stream72kConfig, "the streaming student, at most 72 000 parameters"),
}


def build_model(architecture: str, config: Mapping[str, Any], *, folded: bool = False) -> Stream72k:
    """A network with fresh weights.

    Parameters
    ----------
    architecture : str
        A name of `ARCHITECTURES`.
    config : mapping
        Its configuration's `to_dict` form.
    folded : bool
        The inference form without batch normalisation.

    Raises
    ------
    EdgeSerError
        Unknown architecture, or a configuration that is not its own.
    """
    if architecture not in ARCHITECTURES:
        raise EdgeSerError(f"unknown network {architecture!r}; there are: {', '.join(ARCHITECTURES)}")
    row = ARCHITECTURES[architecture]
    return row.model(row.config.from_dict(config), folded=folded)
