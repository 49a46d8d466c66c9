"""Sinks for programs: JSON lines and comma-separated values."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from edge_ser.audio import SAMPLE_RATE

from ..events import Event
from ..prediction import Prediction
from ..summary import Run, Summary
from .output import LineOutput, as_output

__all__ = ["CsvSink", "JsonlSink"]


class JsonlSink:
    """One JSON object a line; the last is the summary.

    Parameters
    ----------
    out : text file
        Written and flushed line by line; not closed.
    """

    def __init__(self, out: TextIO | LineOutput) -> None:
        self._out = as_output(out)

    def start(self, run: Run) -> None:
        """Nothing to write yet."""

    def prediction(self, prediction: Prediction) -> None:
        """Write a line of type ``prediction``."""
        self._write(prediction.to_json())

    def event(self, event: Event) -> None:
        """Write a line of type ``event``."""
        self._write(event.to_json(SAMPLE_RATE))

    def summary(self, summary: Summary) -> None:
        """Write the line of type ``summary``."""
        self._write(summary.to_json())

    def _write(self, entry: dict[str, Any]) -> None:
        self._out.put(json.dumps(entry, allow_nan=False) + "\n")

    def close(self) -> None:
        """Close the output where it is ours."""
        self._out.close()


class CsvSink:
    """A head line and a row for each prediction; probabilities in columns ``emotion.LABEL``.

    Parameters
    ----------
    out : text file
        Written and flushed row by row; not closed.
    words : text file, optional
        Gets the summary, in words; standard error when left out.
    """

    def __init__(self, out: TextIO | LineOutput, words: TextIO | None = None) -> None:
        self._out, self._words = as_output(out), words

    def start(self, run: Run) -> None:
        """Nothing to write yet."""

    def prediction(self, prediction: Prediction) -> None:
        """Write a row, and the head before the first of a file."""
        row: dict[str, Any] = {}
        for key, value in prediction.to_json().items():
            if key == "emotion":
                row |= {f"emotion.{label}": share for label, share in value.items()}
            elif key != "type":
                row[key] = value
        self._out.put(_row(row.values()), head=_row(row))

    def event(self, event: Event) -> None:
        """Write it in words, beside the table."""
        print(f"edge-ser: {event.text}", file=self._words or sys.stderr, flush=True)

    def summary(self, summary: Summary) -> None:
        """Write the summary in words, beside the table."""
        print(summary.to_text(), file=self._words or sys.stderr)

    def close(self) -> None:
        """Close the output where it is ours."""
        self._out.close()


def _row(values: Iterable[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()
