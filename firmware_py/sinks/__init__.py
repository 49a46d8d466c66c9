"""Sinks: where predictions go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TextIO

from edge_ser.errors import EdgeSerError

from .base import Sink
from .hook import ExecSink
from .lines import CsvSink, JsonlSink
from .output import Descriptor, RotatingFile
from .queued import QueuedSink, SinkAccount
from .terminal import text_sink

__all__ = [
    "FORMS",
    "Descriptor",
    "ExecSink",
    "QueuedSink",
    "RotatingFile",
    "Sink",
    "SinkAccount",
    "open_log",
    "open_sink",
]

_TABLE: dict[str, Callable[[Any], Sink]] = {"text": text_sink, "jsonl": JsonlSink, "csv": CsvSink}
FORMS = tuple(_TABLE)


def open_sink(form: str, out: TextIO | Descriptor) -> Sink:
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


def open_log(path: str, *, limit: int = 10_000_000, keep: int = 5) -> Sink:
    """Open a file that is rotated, as CSV or as JSON lines by its suffix.

    Parameters
    ----------
    path : str
        ``*.csv``, ``*.jsonl`` or ``*.json``.
    limit, keep : int
        See `RotatingFile`.

    Raises
    ------
    EdgeSerError
        Another suffix, or it cannot be written.
    """
    if not path.endswith((".csv", ".jsonl", ".json")):
        raise EdgeSerError(f"the log {path} is neither *.csv nor *.jsonl; name it so, that its form is known")
    out = RotatingFile(path, limit=limit, keep=keep)
    return CsvSink(out) if path.endswith(".csv") else JsonlSink(out)
