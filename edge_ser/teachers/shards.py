"""Shards of a target store: NPZ files that are written whole, never changed, and named after their own bytes."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_ser.errors import EdgeSerError
from edge_ser.files import write_atomic

__all__ = ["PATTERN", "read_shard", "shard_keys", "write_shard"]

Array = npt.NDArray[Any]

#: Names of a folder's shards.
PATTERN = "targets-*.npz"
_KEY_BYTES = 32


def write_shard(folder: Path, keys: Sequence[bytes], arrays: Mapping[str, Array]) -> Path:
    """Write rows under their keys.

    Parameters
    ----------
    folder : Path
    keys : sequence of bytes
        A SHA-256 for each row.
    arrays : mapping of str to (rows, size) array

    Returns
    -------
    Path
        The file.

    Raises
    ------
    EdgeSerError
        The disk refuses.
    """
    raw = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, _KEY_BYTES)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, keys=raw, **arrays)
    data = buffer.getvalue()
    path = folder / _name(data)
    write_atomic(path, data)
    return path


def shard_keys(path: Path) -> list[bytes]:
    """Keys of a shard's rows, after its bytes have been checked against its name. Errors as `read_shard`."""
    return [key.tobytes() for key in read_shard(path, {"keys": _KEY_BYTES})["keys"]]


def read_shard(path: Path, sizes: Mapping[str, int]) -> dict[str, Array]:
    """Arrays of a shard.

    Parameters
    ----------
    path : Path
    sizes : mapping of str to int
        From an array's name to the length of its rows.

    Raises
    ------
    EdgeSerError
        Damaged, or of another store.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EdgeSerError(f"cannot read {path}: {error.strerror}; check its permissions") from error
    remedy = "remove it and run edge-ser label again, which computes only what it held"
    if path.name != _name(data):
        raise EdgeSerError(f"{path} is damaged (its bytes are not those that were written); {remedy}")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            arrays = {name: found[name] for name in sizes}
    except (EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise EdgeSerError(f"{path} is no shard of targets ({error}); {remedy}") from error
    if any(array.ndim != 2 or array.shape[1] != sizes[name] for name, array in arrays.items()):
        raise EdgeSerError(f"{path} is of another teacher's store (its arrays have other sizes); move it out")
    return arrays


def _name(data: bytes) -> str:
    return PATTERN.replace("*", hashlib.sha256(data).hexdigest()[:32])
