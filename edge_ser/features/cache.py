"""A cache on disk, keyed by content: what was computed from these bytes, in this way, by this code."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_ser.errors import EdgeSerError
from edge_ser.files import expand_user, user_cache

__all__ = ["Cache", "CacheError", "DamagedEntryError", "cache_root"]

_MAGIC = b"edge-ser features 1\n"
_ASIDE_SECONDS = 3600.0  # a file written aside and never renamed was left by a process that died


class CacheError(EdgeSerError):
    """The cache's folder cannot be read or written."""


class DamagedEntryError(Exception):
    """An entry is not what was written: cut off, overwritten, or a disk's error."""


def cache_root() -> Path:
    """``$XDG_CACHE_HOME/edge-ser/features``, or the same in ``~/.cache``.

    Raises
    ------
    CacheError
        The user has no home folder.
    """
    base = user_cache()
    if base is None:
        raise CacheError(
            "there is no home folder to keep a cache in; name another with --cache or XDG_CACHE_HOME, or do without "
            "(--no-cache)"
        )
    return base / "edge-ser" / "features"


class Cache:
    """Arrays under keys, each in a file of its own; any number of processes may share it.

    An entry is written aside and renamed, so that it is there whole or not at all, and it carries its own SHA-256:
    what a crash or a disk damaged is noticed and never taken for a result. The folder may be deleted at any time.

    Parameters
    ----------
    folder : path, optional
        Made when the first entry is written; `cache_root()` when left out.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.folder = cache_root() if folder is None else expand_user(folder)

    def __repr__(self) -> str:
        return f"Cache({str(self.folder)!r})"

    @staticmethod
    def key(content: str, description: Mapping[str, Any]) -> str:
        """Key of what is computed from the bytes with the SHA-256 `content` in the way that is described."""
        text = json.dumps([content, description], sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def path(self, key: str) -> Path:
        """The entry's file."""
        return self.folder / key[:2] / key[2:]

    def get(self, key: str) -> npt.NDArray[Any] | None:
        """The array that was put under a key, or None.

        Raises
        ------
        DamagedEntryError
            There is an entry that cannot be trusted.
        CacheError
            The folder cannot be read.
        """
        path = self.path(key)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _refused(self.folder, error) from error
        head = len(_MAGIC) + 32
        if len(data) < head or not data.startswith(_MAGIC):
            raise DamagedEntryError(str(path))
        # The key is part of the sum: an entry under another's name is no entry.
        if hashlib.sha256(key.encode() + data[head:]).digest() != data[len(_MAGIC) : head]:
            raise DamagedEntryError(str(path))
        return np.load(io.BytesIO(data[head:]), allow_pickle=False)

    def put(self, key: str, values: npt.NDArray[Any]) -> None:
        """Keep an array (of numbers) under a key; whatever was there is replaced.

        Raises
        ------
        CacheError
            The disk refuses.
        """
        body = io.BytesIO()
        np.save(body, values, allow_pickle=False)
        data = body.getvalue()
        path = self.path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix="aside-", dir=self.folder)
            try:
                # No fsync: what the disk loses at a power cut is found by its sum and computed again.
                with os.fdopen(handle, "wb") as file:
                    file.write(_MAGIC + hashlib.sha256(key.encode() + data).digest() + data)
                os.replace(name, path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise _refused(self.folder, error) from error

    def sweep(self) -> int:
        """Remove what processes that were killed have left written aside; the number of files."""
        if not self.folder.is_dir():
            return 0
        swept = 0
        for path in self.folder.glob("aside-*"):
            try:
                if time.time() - path.stat().st_mtime > _ASIDE_SECONDS:
                    path.unlink()
                    swept += 1
            except FileNotFoundError:  # another process swept it, or renamed it
                continue
        return swept


def _refused(folder: Path, error: OSError) -> CacheError:
    return CacheError(
        f"the cache {folder} cannot be used ({error.strerror or error}); "
        "name another folder with --cache, or do without (--no-cache)"
    )
