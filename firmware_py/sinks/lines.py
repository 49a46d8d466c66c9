"""Sinks for programs: JSON lines and comma-separated values."""

from __future__ import annotations

import csv
import json
import sys
from typing import Any, TextIO

from ..prediction import Prediction
from ..summary import Run, Summary

__all__ = ["CsvSink", "JsonlSink"]


class JsonlSink:
    """One JSON object a line; the last is the summary.

    Parameters
    ----------
    out : text file
        Written and flushed line by line; not closed.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def start(self, run: Run) -> None:
        """Nothing to write yet."""

    def prediction(self, prediction: Prediction) -> None:
        """Write a line of type ``prediction``."""
        self._write(prediction.to_json())

    def summary(self, summary: Summary) -> None:
        """Write the line of type ``summary``."""
        self._write(summary.to_json())

    def _write(self, entry: dict[str, Any]) -> None:
        self._out.write(json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n")
        self._out.flush()

    def close(self) -> None:
        """Nothing to let go of."""


class CsvSink:
    """A head line and a row for each prediction; probabilities in columns ``emotion.LABEL``.

    Parameters
    ----------
    out : text file
        Written and flushed row by row; not closed.
    words : text file, optional
        Gets the summary, in words; standard error when left out.
    """

    def __init__(self, out: TextIO, words: TextIO | None = None) -> None:
        self._out, self._words = out, words
        self._writer = csv.writer(out, lineterminator="\n")
        self._headed = False

    def start(self, run: Run) -> None:
        """Nothing to write yet."""

    def prediction(self, prediction: Prediction) -> None:
        """Write a row, and the head before the first."""
        row: dict[str, Any] = {}
        for key, value in prediction.to_json().items():
            if key == "emotion":
                row |= {f"emotion.{label}": share for label, share in value.items()}
            elif key != "type":
                row[key] = value
        if not self._headed:
            self._writer.writerow(row)
            self._headed = True
        self._writer.writerow(row.values())
        self._out.flush()

    def summary(self, summary: Summary) -> None:
        """Write the summary in words, beside the table."""
        print(summary.to_text(), file=self._words or sys.stderr)

    def close(self) -> None:
        """Nothing to let go of."""
