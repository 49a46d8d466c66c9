"""The last step of every export: files that passed, a manifest and a card become a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_ser.bundle import Bundle, write_bundle
from edge_ser.manifest import DEFAULT_PRECISION
from export.card import with_card
from export.formats import Format
from export.gate import Exported

__all__ = ["write_files"]


def write_files(
    folder: Path,
    rows: Sequence[Exported],
    description: Mapping[str, Any],
    form: str,
    *,
    overwrite: bool = False,
) -> Bundle:
    """A bundle of the rows' files and its card; what is over its limit is marked so."""
    files = {row.format.file: row.data for row in rows if row.data is not None}
    entries = [
        {
            "path": row.format.file,
            "engine": row.format.engine,
            "precision": row.format.precision,
            "form": form,
            **({"over_limit": row.error._asdict()} if row.error is not None and not row.ok else {}),
        }
        for row in rows
        if row.data is not None
    ]
    manifest = {**description, "files": entries}
    if preferred := _preferred([row.format for row in rows if row.data is not None], form):
        manifest["preferred"] = preferred
    if kept := {row.format.key: list(row.kept) for row in rows if row.kept}:
        manifest["quantisation"] = {**manifest["quantisation"], "mixed": kept}
    return write_bundle(folder, *with_card(manifest, files), overwrite=overwrite)


def _preferred(formats: Sequence[Format], form: str) -> dict[str, str]:
    """fp32 for engines on which a step of a file of fewer bits takes longer, where fp32 is there."""
    whole = {row.engine for row in formats if row.precision == DEFAULT_PRECISION}
    slower = {row.engine for row in formats if row.slower} if form == "step" else set()
    return dict.fromkeys(sorted(slower & whole), DEFAULT_PRECISION)
