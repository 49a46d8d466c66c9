"""Corpora as tables in the manner of audformat: one row a file, with ``file``, ``start`` and ``end`` as its index."""

from __future__ import annotations

import csv
import io
import os
import re
from pathlib import Path

from edge_ser.corpora.base import ADV, Corpus
from edge_ser.errors import EdgeSerError
from edge_ser.files import write_atomic

__all__ = ["seconds_of", "timedelta_text", "write_table"]

_TIME = re.compile(r"(?:(?P<days>\d+) days?,? ?)?(?:(?P<h>\d+):(?P<m>\d{1,2}):(?P<s>\d{1,2}(?:\.\d+)?))?")
_TEXTS = ("speaker", "emotion")
_MORE = ("sex", "language", "intensity", "sentence")


def timedelta_text(seconds: float) -> str:
    """Seconds as pandas writes a timedelta: ``0 days 00:00:01.500000``."""
    whole = round(seconds * 1_000_000)
    days, rest = divmod(whole, 86_400_000_000)
    hours, rest = divmod(rest, 3_600_000_000)
    minutes, rest = divmod(rest, 60_000_000)
    return f"{days} days {hours:02}:{minutes:02}:{rest / 1_000_000:09.6f}"


def seconds_of(text: str, what: str) -> float | None:
    """A timedelta, or a plain number of seconds; None for ``NaT`` or nothing.

    Raises
    ------
    EdgeSerError
        Neither; the sentence begins with `what`.
    """
    if text in ("", "NaT", "nan"):
        return None
    try:
        seconds = float(text)
    except ValueError:
        match = _TIME.fullmatch(text)
        if match is None or not text.strip():
            raise EdgeSerError(
                f"{what} is {text!r}, neither seconds nor a time as 0 days 00:00:01.5"
            ) from None
        part = {key: float(value or 0) for key, value in match.groupdict().items()}
        seconds = 86400 * part["days"] + 3600 * part["h"] + 60 * part["m"] + part["s"]
    if not 0 <= seconds < float("inf"):
        raise EdgeSerError(f"{what} is {text!r}, no time from 0 on")
    return seconds


def write_table(corpus: Corpus, path: str | Path) -> None:
    """Write a corpus as a table that audformat's readers and `load_csv` take.

    Paths are relative to the table where a clip lies beside or beneath it. Columns that no clip fills are left out.
    `Clip.extra` goes along.

    Raises
    ------
    EdgeSerError
        The table cannot be written.
    """
    target = Path(path)
    base = target.resolve().parent
    rows = []
    for clip in corpus.clips:
        place = clip.path.resolve()
        row = {
            "file": os.fspath(place.relative_to(base)) if place.is_relative_to(base) else os.fspath(place),
            "start": timedelta_text(0.0),
            "end": "" if clip.duration is None else timedelta_text(clip.duration),
        }
        for name in (*_TEXTS, *ADV, *_MORE, "fold", "duration"):
            value = getattr(clip, name)
            row[name] = "" if value is None else repr(value) if isinstance(value, float) else str(value)
        rows.append(row | {key: str(value) for key, value in clip.extra.items() if key not in row})
    columns = [
        c for c in dict.fromkeys(key for row in rows for key in row) if any(row.get(c) for row in rows)
    ]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(target, text.getvalue().encode("utf-8"))
