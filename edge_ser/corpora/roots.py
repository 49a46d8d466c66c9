"""Where the corpora lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from edge_ser.errors import EdgeSerError
from edge_ser.files import expand_user

__all__ = ["data_root", "find_folder"]

VARIABLE = "EDGE_SER_DATA"


def data_root() -> Path:
    """The folder that holds one folder per corpus.

    It is what the environment variable ``EDGE_SER_DATA`` names, else ``../shared/data`` beside the working
    directory, else the same beside the checkout that this package runs from.

    Raises
    ------
    EdgeSerError
        None of them is a folder.
    """
    named = os.environ.get(VARIABLE)
    if named:
        root = expand_user(named)
        if not root.is_dir():
            raise EdgeSerError(
                f"{VARIABLE} is {named!r}, which is not a folder; it should hold one folder per corpus"
            )
        return root
    checkout = Path(__file__).resolve().parents[2]
    for base in (Path.cwd(), checkout):
        root = base.parent / "shared" / "data"
        if root.is_dir():
            return root
    raise EdgeSerError(
        f"no speech corpora found: set {VARIABLE} to a folder that holds one folder per corpus "
        "(for instance ravdess/ with Actor_01/03-01-05-01-02-01-12.wav ... as it is published), "
        "or give the corpus's own folder or a CSV table"
    )


def find_folder(root: Path, name: str) -> Path | None:
    """The folder called `name` in `root`, in any case of letters, or None."""
    exact = root / name
    if exact.is_dir():
        return exact
    if not root.is_dir():
        return None
    return next((p for p in sorted(root.iterdir()) if p.is_dir() and p.name.lower() == name.lower()), None)
