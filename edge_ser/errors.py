"""Errors that are the user's to mend, and the one way to ask for an optional package or a whole description."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

__all__ = ["EdgeSerError", "MissingExtraError", "require", "require_fields"]


class EdgeSerError(Exception):
    """Bad use or bad input: one sentence that says what is wrong and what to do.

    The command line prints it as ``edge-ser: ...`` on standard error and ends with exit status 2.
    """


class MissingExtraError(EdgeSerError):
    """An optional package is needed and not installed."""


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional package, or say which extra brings it.

    Parameters
    ----------
    module : str
        Name to import, for instance ``"soundfile"``.
    extra : str
        The extra of this distribution that installs it.
    purpose : str
        What it is needed for, as the object of "needed for", for instance ``"reading FLAC files"``.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    MissingExtraError
        The package, or the system library it loads, is not there.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        detail = "is not installed" if isinstance(error, ModuleNotFoundError) else f"does not load ({error})"
    except OSError as error:  # sounddevice and soundfile raise OSError when their C library is absent
        detail = f"does not load ({error})"
    raise MissingExtraError(f"{module} {detail}; it is needed for {purpose}: pip install 'edge-ser[{extra}]'")


def require_fields(kind: type[Any], fields: Mapping[str, Any], what: str) -> None:
    """Check that a description names each field of a dataclass and no other, so that no default slips in.

    Parameters
    ----------
    kind : type
        The dataclass that `fields` are to build.
    fields : mapping
        As read from a file.
    what : str
        Start of the sentence, for instance ``"the front end's description"``.

    Raises
    ------
    EdgeSerError
        A field is missing or unknown.
    """
    known = {field.name for field in dataclasses.fields(kind)}
    if missing := sorted(known - set(fields)):
        raise EdgeSerError(f"{what} lacks {', '.join(missing)}")
    if unknown := sorted(set(fields) - known):
        raise EdgeSerError(f"{what} has unknown fields: {', '.join(unknown)}")
