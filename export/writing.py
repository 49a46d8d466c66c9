"""The last step of every export: files that passed, a manifest and a card become a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_ser.bundle import Bundle, write_bundle
from export.card import card_text
from export.gate import Exported

__all__ = ["write_files"]

_CARD = {"path": "MODEL_CARD.md", "engine": None, "precision": None}


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
    manifest = {**description, "files": [*entries, _CARD]}
    if kept := {row.format.key: list(row.kept) for row in rows if row.kept}:
        manifest["quantisation"] = {**manifest["quantisation"], "mixed": kept}
    files["MODEL_CARD.md"] = card_text(manifest).encode("utf-8")
    return write_bundle(folder, manifest, files, overwrite=overwrite)
