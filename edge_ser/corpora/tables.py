"""Corpora as tables: one CSV row a recording, so that a user's own recordings need no code."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from edge_ser.audio import AudioBlocks
from edge_ser.corpora.base import ADV, Clip, Corpus, LeftOut, label_order
from edge_ser.corpora.copies import without_copies
from edge_ser.corpora.cuts import SLACK_S, Span, cut_out
from edge_ser.corpora.segments import seconds_of
from edge_ser.corpora.words import project_words
from edge_ser.errors import EdgeSerError

__all__ = ["load_csv", "number", "read_rows", "scaled"]

TEXTS = ("emotion", "intensity", "sex", "language", "sentence")
KNOWN = ("file", "speaker", *TEXTS, *ADV, "fold", "duration")
SPAN = ("start", "end")


def load_csv(
    path: str | Path,
    *,
    name: str | None = None,
    columns: Mapping[str, str] | None = None,
    rating_scale: tuple[float, float] = (0.0, 1.0),
    emotions: Mapping[str, str] | None = None,
    folder: str | Path | None = None,
    labels: tuple[str, ...] | None = None,
    licence: str = "",
    citation: str = "",
) -> Corpus:
    """Read a corpus from a table.

    Needed are the columns ``file`` and ``speaker``; ``emotion``, ``arousal``, ``dominance``, ``valence``,
    ``fold``, ``sex``, ``language``, ``intensity``, ``sentence`` and ``duration`` are read where they are, and
    every other column is kept in `Clip.extra`. ``start`` and ``end`` may stand there as audformat has them (seconds, or
    ``0 days 00:00:01.5``): a row of a part of a file is a clip of that part alone (`edge_ser.corpora.cuts.cut_out`).
    Comma, semicolon and tab all separate; the text is UTF-8.

    Parameters
    ----------
    path : str or Path
        The CSV file.
    name : str, optional
        The corpus's name; the file's stem otherwise.
    columns : mapping, optional
        Our name of a column to the name it has in the file: ``{"file": "filename", "emotion": "label"}``.
    rating_scale : (float, float)
        Lowest and highest rating of the file's scale; ratings become (x - low) / (high - low).
    emotions : mapping, optional
        The file's emotion names to the ones wanted: ``{"W": "angry"}``. Of names that are in neither this nor `labels`,
        the usual other words for the project's emotions (anger, Happiness, NEU) are read as those.
    folder : str or Path, optional
        What relative paths start from; the CSV's folder otherwise.
    labels : tuple of str, optional
        The emotions in their order; those that occur otherwise.
    licence, citation : str
        Passed on to the corpus.

    Returns
    -------
    Corpus
        Where some rows have a fold and others none, those without are left out and listed in `left_out`; so is a
        recording that is a copy of one before it, byte for byte, and parts of a file that cannot be read. `read_as`
        lists the words that were read as others.

    Raises
    ------
    EdgeSerError
        The file is missing, empty or no text; a column is missing; a row names a file that is not there, or what stands
        in a row before, a part that is not inside its file, a rating outside the scale or a fold that is no whole
        number (with the number of the line).
    """
    path = Path(path)
    low, high = rating_scale
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise EdgeSerError(f"a rating scale goes from a lower to a higher number, not from {low} to {high}")
    title = name or path.stem
    base = path.parent if folder is None else Path(folder)
    rows = _Rows(path, dict(columns or {}))
    words = [word for _, row in rows if (word := rows.text(row, "emotion"))]
    wanted = dict(emotions or {})
    read_as = project_words(word for word in words if word not in wanted and word not in (labels or ()))
    meaning = read_as | wanted
    folded = rows.has("fold") and any(rows.text(row, "fold") for _, row in rows)
    clips: list[Clip] = []
    left_out: list[LeftOut] = []
    spans: list[Span | None] = []
    first: dict[tuple[str, Span | None], int] = {}
    for line, row in rows:
        file, speaker = rows.text(row, "file"), rows.text(row, "speaker")
        if not file or not speaker:
            raise EdgeSerError(f"{path}, line {line}: the {'file' if not file else 'speaker'} is empty")
        sound = base / file
        if not sound.is_file():
            raise EdgeSerError(f"{path}, line {line}: there is no file {sound}")
        start, end = _times(row, f"{path}, line {line}")
        part = start > 0 or (end is not None and end < _seconds(sound, end) - SLACK_S)
        span = Span(start, end, f"{path}, line {line}") if part else None
        key = os.path.normpath(sound), span and span._replace(where="")
        if (before := first.setdefault(key, line)) != line:
            raise EdgeSerError(
                f"{path}, line {line}: {sound} stands in line {before} already; a recording has one row, with its "
                "speaker and its emotion"
            )
        fold = rows.whole(row, "fold", line)
        if folded and fold is None:
            original = row.get("duplicate_of")
            left_out.append(LeftOut(file, f"duplicate of {original}" if original else "no fold given"))
            continue
        duration = rows.number(row, "duration", line)
        if duration is None and end is not None:
            duration = end - start
        emotion = rows.text(row, "emotion")
        ratings = {dimension: rows.rating(row, dimension, line, rating_scale) for dimension in ADV}
        clips.append(
            Clip(
                path=sound,
                corpus=title,
                speaker=speaker,
                emotion=meaning.get(emotion, emotion) if emotion else None,
                intensity=rows.text(row, "intensity"),
                sex=rows.text(row, "sex"),
                language=rows.text(row, "language"),
                sentence=rows.text(row, "sentence"),
                fold=fold,
                duration=duration,
                extra=rows.extra(row),
                **ratings,
            )
        )
        spans.append(span)
    clips, unread = cut_out(clips, spans)
    if not clips:
        raise EdgeSerError(f"{path} has no rows with recordings{f': {unread[0].reason}' if unread else ''}")
    found = label_order(clip.emotion for clip in clips if clip.emotion)
    if labels is not None and set(found) - set(labels):
        raise EdgeSerError(
            f"{path} has emotions that are not among {', '.join(labels)}: {', '.join(sorted(set(found) - set(labels)))}"
        )
    kept, twice = without_copies(clips)
    return Corpus(
        title, kept, labels or found, licence, citation, (*left_out, *unread, *twice), read_as=read_as
    )


def _times(row: Mapping[str, str], where: str) -> tuple[float, float | None]:
    """Where in its file a row's clip starts and ends, in seconds; None is the file's end."""
    start = seconds_of(row.get("start") or "", f"{where}: start")
    return start or 0.0, seconds_of(row.get("end") or "", f"{where}: end")


def _seconds(sound: Path, otherwise: float) -> float:
    """A recording's length by its own header; `otherwise` where none can be read, as nobody will hear it either."""
    try:
        with AudioBlocks(sound) as blocks:
            return blocks.duration_s
    except EdgeSerError:
        return otherwise


def read_rows(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Header and rows of a CSV file (comma, semicolon or tab), each row with the number of its line.

    Raises
    ------
    EdgeSerError
        No such file, not UTF-8 text, empty, a column twice, or a row with more cells than the header.
    """
    if not path.is_file():
        raise EdgeSerError(f"there is no file {path}" if not path.exists() else f"{path} is not a file")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise EdgeSerError(f"{path} is not UTF-8 text; save it as CSV in UTF-8") from error
    if not text.strip():
        raise EdgeSerError(f"{path} is empty; it needs a header with at least the columns file and speaker")
    table = text.lstrip("\r\n")
    above = len(text[: -len(table)].splitlines())  # blank lines, which no reader takes for a header
    delimiter = max(",;\t", key=table.splitlines()[0].count)
    reader = csv.DictReader(io.StringIO(table, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        header = [cell.strip() for cell in reader.fieldnames or ()]
        if twice := [cell for cell in dict.fromkeys(header) if cell and header.count(cell) > 1]:
            raise EdgeSerError(f"{path} has two columns {twice[0]}: only one can count, take the other out")
        reader.fieldnames = header
        for row in reader:
            line = above + reader.line_num
            if None in row:
                raise EdgeSerError(f"{path}, line {line}: more cells than the header has columns")
            rows.append((line, {key: (value or "").strip() for key, value in row.items()}))
    except csv.Error as error:
        raise EdgeSerError(f"{path}, line {above + reader.line_num}: not a CSV row ({error})") from error
    return header, rows


def number(text: str, what: str) -> float:
    """A cell as a finite number; `what` begins the sentence that says where there is none."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise EdgeSerError(f"{what} is {text!r}, not a number")
    return value


def scaled(value: float, scale: tuple[float, float], what: str) -> float:
    """A rating on `scale` as 0..1; `what` begins the sentence that says that it lies outside."""
    low, high = scale
    if not low <= value <= high:
        raise EdgeSerError(
            f"{what} is {value:g}, outside {low:g}..{high:g}; "
            "write ratings from 0 to 1, or name the table in a TOML file that says their scale: rating_scale = [1, 5]"
        )
    return (value - low) / (high - low)


class _Rows:
    """A table with our names for its columns."""

    def __init__(self, path: Path, columns: dict[str, str]) -> None:
        self.path = path
        self.header, self.rows = read_rows(path)
        unknown = sorted(set(columns) - set(KNOWN))
        if unknown:
            raise EdgeSerError(f"{', '.join(unknown)} is no column that is read; they are {', '.join(KNOWN)}")
        self.theirs = {key: columns.get(key, key) for key in KNOWN}
        needed = {"file", "speaker", *columns}
        missing = sorted(key for key in needed if self.theirs[key] not in self.header)
        if missing:
            raise EdgeSerError(
                f"{path} lacks the column{'s' if len(missing) > 1 else ''} "
                f"{', '.join(sorted(self.theirs[key] for key in missing))}; it has {', '.join(self.header)}. Rename, "
                f'or say in a TOML file what it is called: table = "{path.name}", columns = {{{missing[0]} = "..."}}'
            )

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        return iter(self.rows)

    def has(self, key: str) -> bool:
        return self.theirs[key] in self.header

    def text(self, row: dict[str, str], key: str) -> str | None:
        return row.get(self.theirs[key]) or None

    def extra(self, row: dict[str, str]) -> dict[str, str]:
        read = {*self.theirs.values(), *SPAN}
        return {key: value for key, value in row.items() if key not in read and value}

    def number(self, row: dict[str, str], key: str, line: int) -> float | None:
        text = self.text(row, key)
        return None if text is None else number(text, f"{self.path}, line {line}: {self.theirs[key]}")

    def whole(self, row: dict[str, str], key: str, line: int) -> int | None:
        value = self.number(row, key, line)
        if value is None:
            return None
        if value != int(value) or value < 0:
            raise EdgeSerError(
                f"{self.path}, line {line}: {self.theirs[key]} is {value:g}, not a whole number from 0"
            )
        return int(value)

    def rating(self, row: dict[str, str], key: str, line: int, scale: tuple[float, float]) -> float | None:
        value = self.number(row, key, line)
        if value is None:
            return None
        return scaled(value, scale, f"{self.path}, line {line}: {self.theirs[key]}")
