"""Sinks: where predictions go."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from edge_ser.errors import EdgeSerError

from .base import Sink
from .lines import CsvSink, JsonlSink
from .terminal import text_sink

__all__ = ["FORMS", "Sink", "open_sink"]

_TABLE: dict[str, Callable[[TextIO], Sink]] = {"text": text_sink, "jsonl": JsonlSink, "csv": CsvSink}
FORMS = tuple(_TABLE)


def open_sink(form: str, out: TextIO) -> Sink:
    """Open a sink of a form.

    Parameters
    ----------
    form : str
        One of `FORMS`.
    out : text file
        Where it writes.

    Raises
    ------
    EdgeSerError
        There is no such form.
    """
    if form not in _TABLE:
        raise EdgeSerError(f"unknown output {form!r}; choose one of {', '.join(FORMS)}")
    return _TABLE[form](out)
