"""How the kernels are compiled, and where what was compiled is kept."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from edge_ser.errors import EdgeSerError
from edge_ser.files import user_cache

__all__ = ["forceinline", "kernel"]

if numba.config.DISABLE_JIT:
    raise EdgeSerError(
        "NUMBA_DISABLE_JIT is set, and the kernels exist compiled only: set EDGE_SER_FEATURES=numpy"
    )

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


def _cache_dir() -> str:
    """Folder of compiled code of exactly this source, or '' where none can be written.

    Numba's own choice, beside the source and renewed when *that file* changes, would keep stale code here:
    the kernels inline each other across files. So the folder is named by the source of all of them, and it is
    the user's, since an installation may be read-only.
    """
    source = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        source.update(path.read_bytes())
    root = os.environ.get("NUMBA_CACHE_DIR") or user_cache()
    if root is None:
        return ""
    folder = Path(root) / "edge-ser" / "kernels" / source.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return ""
    return str(folder) if os.access(folder, os.W_OK) else ""


CACHE_DIR = _cache_dir()


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile at the first call and keep the result on disk; it runs without the interpreter's lock."""
    if not CACHE_DIR:
        return numba.njit(**_OPTIONS)(function)
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = CACHE_DIR  # read while decorating only
    try:
        return numba.njit(cache=True, **_OPTIONS)(function)
    finally:
        numba.config.CACHE_DIR = before


def forceinline(function: Callable[..., Any]) -> Callable[..., Any]:
    """A part of kernels, compiled into each of them."""
    return numba.njit(forceinline=True, **_OPTIONS)(function)
