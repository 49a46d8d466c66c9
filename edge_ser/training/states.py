"""What a stopped training goes on from, on disk, and what tells its data from others."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge_ser.files import write_atomic

__all__ = ["digest", "write_state"]


def digest(arrays: Iterable[np.ndarray]) -> str:
    """SHA-256, in hexadecimal, of some arrays in their order: of values, types and shapes."""
    whole = hashlib.sha256()
    for array in arrays:
        whole.update(f"{array.dtype} {array.shape}".encode())
        whole.update(np.ascontiguousarray(array).data)
    return whole.hexdigest()


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write a state, as `torch.load` reads it, whole or not at all; its folder is made where there is none.

    Raises
    ------
    EdgeSerError
        The disk refuses.
    """
    content = io.BytesIO()
    torch.save(state, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, content.getvalue())
