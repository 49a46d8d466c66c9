"""Tables in the form that is asked for: ``-o md|csv|json|jsonl``."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

__all__ = ["add_output_argument", "flatten", "markdown_table", "write_table"]

FORMS = ("md", "csv", "json", "jsonl")


def add_output_argument(
    parser: argparse.ArgumentParser, *, default: str = "md", forms: Sequence[str] = FORMS
) -> None:
    """Give a command the option ``-o/--output``; its value lands in ``args.output``."""
    parser.add_argument(
        "-o",
        "--output",
        choices=tuple(forms),
        default=default,
        help=f"form of the output (default {default})",
    )


def flatten(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level: ``{"step_ms": {"p50": 1}}`` becomes ``{"step_ms.p50": 1}``."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def _cell(value: Any) -> str:
    """A value as a person reads it: four significant digits, a dash for nothing, words for truth."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_cell(item) for item in value)
    return str(value).replace("|", "\\|").replace("\n", " ")


def _columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every key that occurs, in the order of its first occurrence."""
    return list(dict.fromkeys(key for row in rows for key in row))


def markdown_table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str] | None = None) -> str:
    """Rows as an aligned Markdown table.

    Parameters
    ----------
    rows : sequence of mapping
        Nested mappings are flattened with dots.
    columns : mapping of str to str, optional
        Flattened keys to show, in order, and their headings; all keys under their own names when left out.

    Returns
    -------
    str
        The table, without a newline at its end.
    """
    flat = [flatten(row) for row in rows]
    headings = dict(columns) if columns is not None else {key: key for key in _columns(flat)}
    cells = [list(headings.values())] + [[_cell(row.get(key)) for key in headings] for row in flat]
    widths = [max(3, *(len(line[i]) for line in cells)) for i in range(len(headings))]
    # A column of numbers is set to the right, so that their points can be compared.
    right = [
        bool(flat)
        and all(type(row.get(key)) in (int, float, type(None)) for row in flat)  # not bool, which is an int
        and any(row.get(key) is not None for row in flat)
        for key in headings
    ]

    def line(texts: Sequence[str]) -> str:
        padded = [t.rjust(w) if r else t.ljust(w) for t, w, r in zip(texts, widths, right, strict=True)]
        return "| " + " | ".join(padded) + " |"

    rule = (
        "|" + "|".join("-" * (w + 1) + (":" if r else "-") for w, r in zip(widths, right, strict=True)) + "|"
    )
    return "\n".join([line(cells[0]), rule, *(line(texts) for texts in cells[1:])])


def write_table(
    rows: Sequence[Mapping[str, Any]],
    form: str,
    *,
    columns: Mapping[str, str] | None = None,
    document: Mapping[str, Any] | None = None,
    file: TextIO | None = None,
) -> None:
    """Write rows in one of the four forms.

    Parameters
    ----------
    rows : sequence of mapping
        One mapping a row; values are JSON's.
    form : {"md", "csv", "json", "jsonl"}
        Markdown table; comma-separated values with a head line; one JSON document; one JSON object a line.
    columns : mapping of str to str, optional
        What a Markdown table shows, see `markdown_table`. The other forms hold everything.
    document : mapping, optional
        What ``json`` writes in place of the bare list of rows.
    file : text file, optional
        Standard output when left out.
    """
    out = sys.stdout if file is None else file
    if form == "md":
        print(markdown_table(rows, columns), file=out)
    elif form == "csv":
        flat = [flatten(row) for row in rows]
        names = _columns(flat) or list(columns or ())  # a table of nothing has its head, as in Markdown
        writer = csv.DictWriter(out, fieldnames=names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat)
    elif form == "json":
        print(json.dumps(rows if document is None else document, indent=2, allow_nan=False), file=out)
    elif form == "jsonl":
        for row in rows:
            print(json.dumps(row, allow_nan=False), file=out)
    else:
        raise ValueError(f"form must be one of {', '.join(FORMS)}, not {form!r}")
