"""Weights of a CTranslate2 model file, the form in which faster-whisper keeps Whisper.

The layout (little endian): version, name of the specification, its revision and the number of variables; then for
each variable its name, rank, dimensions, type, size in bytes and values. Strings carry their length with the closing
zero. https://github.com/OpenNMT/CTranslate2 describes it as the serialisation of its model specifications.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_ser.errors import EdgeSerError

__all__ = ["read_ct2"]

_TYPES = ("<f4", "i1", "<i2", "<i4", "<f2")
_VERSION = 6
_MAX_RANK = 8


class _Cursor:
    """Values read one after another from bytes; running past the end is an EdgeSerError."""

    def __init__(self, data: bytes, where: Path) -> None:
        self._data, self._at, self._where = memoryview(data), 0, where

    def take(self, size: int) -> memoryview:
        if self._at + size > len(self._data):
            raise EdgeSerError(f"{self._where} ends in the middle of a variable; get a fresh copy")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, code: str) -> int:
        return int(struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0])

    def string(self) -> str:
        return bytes(self.take(self.number("H"))).rstrip(b"\0").decode("utf-8", "replace")


def read_ct2(path: str | Path, prefix: str = "") -> dict[str, npt.NDArray[Any]]:
    """Read the variables of a CTranslate2 ``model.bin``.

    Parameters
    ----------
    path : str or Path
    prefix : str
        Only variables whose name begins so (``"encoder/"``).

    Returns
    -------
    dict of str to ndarray
        In the file's types: float32, int8, int16, int32 or float16.

    Raises
    ------
    EdgeSerError
        Not readable, not such a file, of another version, or cut short.
    """
    path = Path(path)
    try:
        cursor = _Cursor(path.read_bytes(), path)
    except OSError as error:
        raise EdgeSerError(
            f"cannot read {path}: {error.strerror}; give faster-whisper's model.bin"
        ) from error
    if (version := cursor.number("I")) != _VERSION:
        raise EdgeSerError(
            f"{path} is no CTranslate2 model of version {_VERSION} (its first number is {version}); convert it again"
        )
    cursor.string()
    cursor.number("I")
    variables = {}
    for _ in range(cursor.number("I")):
        name = cursor.string()
        if (rank := cursor.number("B")) > _MAX_RANK:
            raise EdgeSerError(f"{path} is damaged ({name!r} would have {rank} dimensions); get a fresh copy")
        shape = tuple(cursor.number("I") for _ in range(rank))
        kind = cursor.number("B")
        values = cursor.take(cursor.number("I"))
        if not name.startswith(prefix):
            continue
        if kind >= len(_TYPES) or len(values) != np.dtype(_TYPES[kind]).itemsize * math.prod(shape):
            raise EdgeSerError(
                f"{path} is damaged ({name!r} of type {kind} and shape {shape} has {len(values)} bytes); "
                "get a fresh copy"
            )
        variables[name] = np.frombuffer(values, _TYPES[kind]).reshape(shape)
    return variables
