"""Files as this toolkit writes and reads them: all of one or none of it, and JSON and TOML taken strictly."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import os
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn, Protocol

from edge_ser.errors import EdgeSerError

__all__ = [
    "check_place",
    "expand_user",
    "fsync_folder",
    "is_special",
    "lock",
    "parse_json_object",
    "parse_toml",
    "permissions_from_umask",
    "read_part",
    "sha256",
    "user_cache",
    "valid_text",
    "write_atomic",
    "write_json",
    "write_synced",
]


class Digest(Protocol):
    """What `hashlib` makes."""

    def update(self, data: bytes, /) -> None:
        """Take the next bytes."""

    def hexdigest(self) -> str:
        """The digest of all bytes so far, in hexadecimal digits."""


def sha256(data: bytes = b"") -> Digest:
    """SHA-256 by Python's own code where this Python has it: `hashlib` loads OpenSSL, 4 MB that a small board lacks."""
    for name in ("_sha2", "_sha256"):  # from Python 3.12 on, and before
        try:
            made: Digest = importlib.import_module(name).sha256(data)
        except ImportError:  # built without
            continue
        return made
    import hashlib

    return hashlib.sha256(data)


def expand_user(path: str | os.PathLike[str]) -> Path:
    """A path whose ``~`` is replaced, and as it is where that is nobody's home: as shells do, where pathlib raises."""
    return Path(os.path.expanduser(path))


def user_cache() -> Path | None:
    """``$XDG_CACHE_HOME`` or ``~/.cache``; None for a user without a home folder, as a container's bare number is."""
    root = os.environ.get("XDG_CACHE_HOME")
    # A relative path is to be ignored, says the specification of XDG's folders.
    if root and Path(root).is_absolute():
        return Path(root)
    home = expand_user("~")
    return None if home == Path("~") else home / ".cache"


def write_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that `path` holds either what it held before or all of `data`.

    Parameters
    ----------
    path : path
        The target; its folder must exist. What a link leads to is written and the link stays; a device or a pipe
        is written to, as it holds nothing.
    data : bytes
        The whole content.

    Raises
    ------
    EdgeSerError
        The folder is missing, the target is a folder, or the disk refuses.
    """
    target = Path(path)
    if target.is_dir():
        raise EdgeSerError(f"{target} is a folder; name a file to write")
    try:
        if is_special(target):
            with target.open("wb") as file:
                file.write(data)
            return
        target = Path(os.path.realpath(target))
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        os.close(handle)
        aside = Path(name)
        try:
            write_synced(aside, data)
            aside.chmod(permissions_from_umask(0o666))
            aside.replace(target)
        except BaseException:
            aside.unlink()
            raise
        fsync_folder(target.parent)
    except OSError as error:
        raise _refused(path, error) from error


def _refused(path: str | os.PathLike[str], error: OSError) -> EdgeSerError:
    return EdgeSerError(
        f"cannot write {path}: {error.strerror or error}; choose a folder that can be written"
    )


def check_place(path: str | os.PathLike[str]) -> None:
    """Refuse early what `write_json` would refuse as a target, before work is put into its content.

    Raises
    ------
    EdgeSerError
        It is a folder, or lies where no file or folder can be made.
    """
    target = Path(path)
    try:
        if target.is_dir():
            raise EdgeSerError(f"{target} is a folder; name a file to write")
        if is_special(target):
            return
        there = next(one for one in Path(os.path.realpath(target)).parents if one.exists())
    except OSError as error:
        raise EdgeSerError(f"cannot write {path}: {error.strerror or error}; choose another place") from error
    if not there.is_dir():
        raise EdgeSerError(f"cannot write {path}: {there} is no folder; choose another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise EdgeSerError(f"cannot write {path}: {there} cannot be written to; choose another place")


def is_special(path: Path) -> bool:
    """Whether something stands there that is neither a file nor a folder, such as ``/dev/stdout`` or a pipe."""
    return path.exists() and not path.is_file() and not path.is_dir()


def write_json(path: str | os.PathLike[str], document: Mapping[str, Any]) -> None:
    """Write a document as JSON, whole or not at all; folders on the way are made. Errors as in `write_atomic`."""
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(path, error) from error
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomic(target, (valid_text(text) + "\n").encode("utf-8"))


def valid_text(text: str) -> str:
    r"""Text that UTF-8 can hold: a byte of a file's name that was none is escaped, ``\udcXX``, as JSON itself does."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def write_synced(path: Path, data: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def fsync_folder(folder: Path) -> None:
    """Wait until the disk has the folder's list of names (a rename is not durable before)."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def lock(descriptor: int) -> bool | None:
    """Have an open file to oneself until it is closed, or the process is gone.

    Parameters
    ----------
    descriptor : int
        Of a file that is open for writing.

    Returns
    -------
    bool or None
        False where somebody else has it; None where the system or the disk knows no locks.
    """
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def permissions_from_umask(mode: int) -> int:
    """What `mode` is under the process's umask; `tempfile` makes private files, ours are to be read."""
    mask = os.umask(0)
    os.umask(mask)
    return mode & ~mask


def parse_toml(path: Path) -> dict[str, Any]:
    """What a TOML file says.

    Raises
    ------
    EdgeSerError
        No such file, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EdgeSerError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EdgeSerError(f"{path} is not TOML: {error}") from error


def read_part(kind: type[Any], fields: dict[str, Any], path: Path, where: str) -> Any:
    """A dataclass from a TOML table, each value of the type that its field is declared with.

    Parameters
    ----------
    kind : type
        The dataclass; its fields are numbers, text, or tuples of them, or None where their type says so.
    fields : dict
    path : Path
        The file, for errors.
    where : str
        The table's name, for errors; empty is the file's top level.

    Raises
    ------
    EdgeSerError
        A field is unknown, missing, of another type or out of its range.
    """
    place = f"{path}: [{where}]" if where else f"{path}:"
    defaults = {field.name: field for field in dataclasses.fields(kind)}
    values = {}
    for name, value in fields.items():
        if name not in defaults:
            raise EdgeSerError(f"{place} has no field {name!r}; there are {', '.join(defaults)}")
        expected = str(defaults[name].type)
        if isinstance(value, list):
            value = tuple(value)
        elif type(value) is int and expected.startswith("float"):
            value = float(value)
        if not _is_of(value, expected):
            raise EdgeSerError(f"{place} {name} must be of type {expected}, not {value!r}")
        values[name] = value
    needed = [n for n, field in defaults.items() if n not in values and _needed(field)]
    if needed:
        raise EdgeSerError(f"{place} lacks {', '.join(needed)}")
    try:
        return kind(**values)
    except EdgeSerError as error:  # a value out of its range
        raise EdgeSerError(f"{place} {error}") from error


def _needed(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _is_of(value: Any, expected: str) -> bool:
    """Whether a value is of a type as dataclasses of recipes write theirs; each of a tuple's is looked at."""
    if value is None:
        return expected.endswith(" | None")
    outer, _, inner = expected.removesuffix(" | None").partition("[")
    if type(value).__name__ != outer:
        return False
    kinds = {"int", "float"} if inner.startswith("float") else {inner.split(",")[0]}
    return outer != "tuple" or all(type(one).__name__ in kinds for one in value)


def parse_json_object(data: bytes, what: str) -> dict[str, Any]:
    """Parse one JSON object strictly: UTF-8, no key twice, no NaN or infinity, integers below 10**18.

    Parameters
    ----------
    data : bytes
        The text.
    what : str
        What it is, as the start of the error sentence, for instance ``"x/bundle.json"``.

    Raises
    ------
    EdgeSerError
        It is not such an object.
    """

    def pairs(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in items:
            if key in result:
                raise ValueError(f"the key {key[:60]!r} occurs twice")
            result[key] = value
        return result

    def constant(word: str) -> NoReturn:
        raise ValueError(f"{word} is not a JSON number")

    def integer(digits: str) -> int:
        if len(digits) > 18:  # nothing here counts that far, and later arithmetic may stay simple
            raise ValueError(f"the number {digits[:20]}... is too large")
        return int(digits)

    def real(digits: str) -> float:
        if not math.isfinite(value := float(digits)):
            raise ValueError(f"the number {digits[:20]} is too large")
        return value

    try:
        text = data.decode("utf-8")
        value = json.loads(
            text, object_pairs_hook=pairs, parse_constant=constant, parse_int=integer, parse_float=real
        )
    except RecursionError:
        raise EdgeSerError(f"{what} is damaged (nested too deeply); get a fresh copy of it") from None
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise EdgeSerError(f"{what} is damaged ({error}); get a fresh copy of it") from error
    if not isinstance(value, dict):
        raise EdgeSerError(f"{what} is damaged (not a JSON object); get a fresh copy of it")
    return value
