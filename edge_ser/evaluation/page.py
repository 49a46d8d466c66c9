"""A page that needs no network: its style, headings, tables and pictures, for every report alike."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_ser.errors import EdgeSerError
from edge_ser.files import valid_text, write_atomic, write_json

__all__ = ["cards", "heading", "image", "page", "paragraph", "picture", "table", "warning", "write_pages"]

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#2b2f36;max-width:1080px;margin:24px auto;padding:0 16px}
h1{font-size:26px;margin-bottom:2px}h2{font-size:19px;margin-top:34px;border-bottom:1px solid #d9dce1}
h3{font-size:15px;margin:18px 0 0}
summary{cursor:pointer;color:#3f72b0}
table{border-collapse:collapse;margin:10px 0}td,th{padding:3px 10px;border-bottom:1px solid #e8eaee;text-align:left}
td:first-child{white-space:nowrap}
td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.warn{background:#fff3d6;padding:8px 12px}
.big{font-size:30px;font-weight:700}.cards{display:flex;gap:34px;flex-wrap:wrap;margin:14px 0}
.cards div{min-width:110px}
.soft{color:#666d78}.no{color:#b3261e}.yes{color:#1d7a46}img{max-width:100%}img.confusion{max-width:620px}audio{height:30px;width:260px}
"""


def write_pages(folder: str | Path, text: str, documents: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write ``report.html`` and JSON documents beside it, each whole or not at all.

    Parameters
    ----------
    folder : path
        Made if it is not there; files of those names are replaced.
    text : str
        Of `page`.
    documents : mapping
        By name, without ``.json``.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    EdgeSerError
        It cannot be written.
    """
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgeSerError(f"cannot make the folder {target}: {error.strerror}") from error
    for name, document in documents.items():
        write_json(target / f"{name}.json", document)
    written = target / "report.html"
    write_atomic(written, valid_text(text).encode("utf-8"))  # names of files may be no UTF-8
    return written


def page(title: str, parts: Iterable[str]) -> str:
    """A whole document of parts that are HTML already; `title` is text."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def heading(title: str, text: str = "") -> str:
    """A section's head, with a faint line of text under it where there is one."""
    return f"<h2>{html.escape(title)}</h2>" + (f"<p class=soft>{html.escape(text)}</p>" if text else "")


def paragraph(text: str) -> str:
    """Text as a paragraph."""
    return f"<p>{html.escape(text)}</p>"


def warning(text: str) -> str:
    """Text that must not be overlooked."""
    return f"<p class=warn>{html.escape(text)}</p>"


def image(svg: bytes, alt: str, kind: str = "") -> str:
    """A picture within the page.

    Parameters
    ----------
    svg : bytes
    alt : str
        What it shows, for those who cannot see it.
    kind : str
        Class in the style; ``confusion`` is drawn smaller.
    """
    data = base64.b64encode(svg).decode("ascii")
    return (
        f'<img class="{html.escape(kind)}" alt="{html.escape(alt)}" src="data:image/svg+xml;base64,{data}">'
    )


def picture(svg: bytes, title: str, text: str = "", kind: str = "") -> list[str]:
    """A `heading` and the `image` under it."""
    return [heading(title, text), image(svg, title, kind)]


def cards(shown: Iterable[tuple[str, str, str]]) -> str:
    """Large figures side by side: name, value and a note of each, as text."""
    return "<div class=cards>" + "".join(
        f"<div><div class=soft>{html.escape(name)}</div><div class=big>{html.escape(value)}</div>"
        f"<div class=soft>{html.escape(note)}</div></div>"
        for name, value, note in shown
    ) + "</div>"  # fmt: skip


def _cell(value: Any) -> tuple[str, str]:
    if value is None:
        return "-", ""
    if isinstance(value, bool | np.bool_):
        return f"<span class={'yes' if value else 'no'}>{'yes' if value else 'no'}</span>", ""
    if isinstance(value, float):
        return f"{value:.3f}" if value == 0 or abs(value) >= 0.01 else f"{value:.2g}", " class=n"
    if isinstance(value, int):
        return str(value), " class=n"
    if isinstance(value, Mapping):
        return " / ".join(_cell(item)[0] for item in value.values()), " class=n"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item)[0] for item in value), ""
    return html.escape(str(value)), ""


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a table, a column for each key in the order of their first occurrence; values are JSON's."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    head = "".join(f"<th>{html.escape(key.replace('_', ' '))}</th>" for key in keys)
    body = []
    for row in rows:
        cells = [_cell(row.get(key)) for key in keys]
        body.append("<tr>" + "".join(f"<td{kind}>{text}</td>" for text, kind in cells) + "</tr>")
    return f"<table><tr>{head}</tr>{''.join(body)}</table>"
