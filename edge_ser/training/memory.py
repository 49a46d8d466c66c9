"""Memory of a training, which asks for the same again with every batch."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["give_back_freed_memory", "keep_freed_memory"]

# mallopt(3) of glibc
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_MOST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Have the process keep what it frees, so that the next batch need not ask the system for it page by page.

    A sixth of a batch's time goes into that otherwise. It holds until the process ends, for all of it.

    Returns
    -------
    bool
        Whether it was done: by glibc alone, so on Linux; elsewhere nothing changes.
    """
    library = _glibc()
    return (
        library is not None
        and bool(library.mallopt(_M_MMAP_MAX, 0))
        and bool(library.mallopt(_M_TRIM_THRESHOLD, _MOST))
    )


def give_back_freed_memory() -> bool:
    """Have the system get back, once, what is free: after something large that no batch will ask for again.

    Returns
    -------
    bool
        Whether there was any; elsewhere than with glibc nothing changes.
    """
    library = _glibc()
    return library is not None and bool(library.malloc_trim(0))


def _glibc() -> ctypes.CDLL | None:
    """The C library, where it is that one; musl has another malloc."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None
