"""Named arrays in the safetensors layout, read and written with NumPy alone.

A file is eight bytes with the header's length (little endian), the header (a JSON object that maps each
name to its dtype, shape and place), then the values. The reader trusts nothing: the values must lie back to
back and fill the file exactly, so that two tensors cannot share bytes and nothing can hide between them.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge_ser.errors import EdgeSerError
from edge_ser.files import parse_json_object, write_atomic

__all__ = [
    "DTYPES",
    "pack_tensors",
    "read_metadata",
    "read_safetensors",
    "unpack_tensors",
    "write_safetensors",
]

#: Names in the file and their NumPy types, little endian as the layout demands.
DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_CODES = {dtype: code for code, dtype in DTYPES.items()}

_METADATA = "__metadata__"
_MAX_HEADER = 16 << 20  # ours are a few KB; a length beyond this is damage, not a model
_MAX_DIMENSIONS = 32


def read_safetensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read every tensor of a file.

    Parameters
    ----------
    path : path
        A ``.safetensors`` file.

    Returns
    -------
    dict of str to ndarray
        The arrays in the order of their places in the file, writable, each a view of one buffer.

    Raises
    ------
    EdgeSerError
        There is no such file, or it is truncated, damaged or of a type this reader does not know.
    """
    return unpack_tensors(_read_bytes(path), str(path))[0]


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read the text metadata of a file; the whole file is checked as `read_safetensors` does.

    Returns
    -------
    dict of str to str
        Empty when the file carries none.
    """
    return unpack_tensors(_read_bytes(path), str(path))[1]


def write_safetensors(
    path: str | os.PathLike[str], tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors to a file, all or nothing; the same tensors always give the same bytes.

    Parameters
    ----------
    path : path
        The target; it is replaced when it exists.
    tensors : mapping of str to ndarray
        Arrays of a type in `DTYPES`, of any shape.
    metadata : mapping of str to str, optional
        Free text kept beside them.

    Raises
    ------
    EdgeSerError
        An array's type has no name in the layout, or the disk refuses.
    """
    write_atomic(path, pack_tensors(tensors, metadata))


def pack_tensors(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> bytes:
    """Lay tensors out as the bytes of a file; see `write_safetensors`."""
    header: dict[str, Any] = {}
    if metadata:
        for key, text in metadata.items():
            if not isinstance(key, str) or not isinstance(text, str):
                raise EdgeSerError(f"metadata must be text; {key!r} is not")
        header[_METADATA] = dict(sorted(metadata.items()))
    arrays: dict[str, np.ndarray] = {}
    for name, value in tensors.items():
        array = np.asarray(value)
        if not isinstance(name, str) or name == _METADATA:
            raise EdgeSerError(f"{name!r} cannot be a tensor's name; choose another")
        little = array.dtype.newbyteorder("<")
        if little not in _CODES:
            raise EdgeSerError(
                f"tensor {name!r} has type {array.dtype}; convert it to one of {', '.join(DTYPES)}"
            )
        # asarray, not ascontiguousarray: the latter turns a scalar into a vector
        arrays[name] = np.asarray(array, dtype=little, order="C")
    # Widest values first keeps every array aligned to its own size; then by name, so that bytes do not
    # depend on the order of the mapping.
    order = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    begin = 0
    for name in order:
        array = arrays[name]
        header[name] = {
            "dtype": _CODES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [begin, begin + array.nbytes],
        }
        begin += array.nbytes
    head = json.dumps(header, separators=(",", ":")).encode("utf-8")
    head += b" " * (-len(head) % 8)
    return len(head).to_bytes(8, "little") + head + b"".join(arrays[name].tobytes() for name in order)


def unpack_tensors(data: bytes | bytearray, what: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Check and open the bytes of a file.

    Parameters
    ----------
    data : bytes
        The whole file; the arrays are views of it, writable when it is a `bytearray`.
    what : str
        What it is, as the start of an error sentence.

    Returns
    -------
    tensors : dict of str to ndarray
    metadata : dict of str to str

    Raises
    ------
    EdgeSerError
        Anything in it is not as the layout says.
    """
    start = _header_end(data, what)
    header = parse_json_object(bytes(data[8:start]), what)
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise _damaged(what, "its metadata is not text")
    places = sorted((_place(entry, name, what), name) for name, entry in header.items())
    tensors: dict[str, np.ndarray] = {}
    expected = 0
    for (begin, end, code, shape), name in places:
        if begin != expected:
            raise _damaged(what, f"tensor {name[:60]!r} begins at byte {begin}, not at {expected}")
        if end > len(data) - start:
            raise _damaged(what, f"tensor {name[:60]!r} ends beyond the file")
        flat = np.frombuffer(data, DTYPES[code], count=math.prod(shape), offset=start + begin)
        if code == "BOOL" and flat.view("u1").max(initial=0) > 1:
            raise _damaged(what, f"tensor {name[:60]!r} holds values that are neither true nor false")
        tensors[name] = flat.reshape(shape)
        expected = end
    if start + expected != len(data):
        raise _damaged(what, f"{len(data) - start - expected} bytes follow the last tensor")
    return tensors, metadata


def _read_bytes(path: str | os.PathLike[str]) -> bytearray:
    source = Path(path)
    if not source.is_file():
        raise EdgeSerError(f"{source} is not a file; name a .safetensors file")
    try:
        with source.open("rb") as file:
            data = bytearray(os.fstat(file.fileno()).st_size)
            del data[file.readinto(data) :]
    except OSError as error:
        raise EdgeSerError(f"cannot read {source}: {error.strerror}; check its permissions") from error
    return data


def _damaged(what: str, detail: str) -> EdgeSerError:
    return EdgeSerError(f"{what} is not a whole safetensors file ({detail}); get a fresh copy of it")


def _header_end(data: bytes | bytearray, what: str) -> int:
    if len(data) < 10:
        raise _damaged(what, f"only {len(data)} bytes")
    length = int.from_bytes(data[:8], "little")
    if length > min(_MAX_HEADER, len(data) - 8):
        raise _damaged(what, f"its header claims {length} bytes")
    return 8 + length


def _place(entry: Any, name: str, what: str) -> tuple[int, int, str, tuple[int, ...]]:
    """Begin, end, dtype's name and shape of one tensor, consistent with each other."""
    label = f"tensor {name[:60]!r}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _damaged(what, f"{label} lacks its dtype, shape or place")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in DTYPES:
        raise EdgeSerError(
            f"{what}: {label} has dtype {str(code)[:20]!r}; this reader knows {', '.join(DTYPES)}"
        )
    if not _counts(shape) or len(shape) > _MAX_DIMENSIONS:
        raise _damaged(what, f"{label} has no usable shape")
    if not _counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _damaged(what, f"{label} has no usable place")
    begin, end = offsets
    if math.prod(shape) * DTYPES[code].itemsize != end - begin:
        raise _damaged(what, f"{label} has a shape that does not fit its {end - begin} bytes")
    return begin, end, code, tuple(shape)


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 1 << 48 for item in value)
