"""Where lines go: a descriptor, or a file that is rotated. A line is written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
from pathlib import Path
from typing import Protocol, TextIO, cast

from edge_ser.errors import EdgeSerError
from edge_ser.files import lock, permissions_from_umask

__all__ = ["Descriptor", "LineOutput", "RotatingFile", "as_output"]


class LineOutput(Protocol):
    """Takes whole lines."""

    def put(self, line: str, head: str = "") -> None:
        """Write a line and see that it is out; `head` goes before the first line of each file.

        Raises
        ------
        OSError
            It cannot be written now; nothing of it was.
        """

    def close(self) -> None:
        """Let go."""


class _Text:
    """A text file as Python has them, for instance standard output."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._fresh = out, True

    def put(self, line: str, head: str = "") -> None:
        self._out.write(head + line if self._fresh else line)
        self._fresh = False
        self._out.flush()

    def close(self) -> None:
        """The file is its owner's."""


def as_output(out: TextIO | LineOutput) -> LineOutput:
    """A text file as a `LineOutput`; what is one already stays."""
    return out if isinstance(out, (Descriptor, RotatingFile)) else _Text(cast(TextIO, out))


class Descriptor:
    """An open descriptor, written without Python's buffers: what a full disk took of a line is completed first.

    It has what the sinks for people use of a text file (`write`, `flush`, `isatty`, `fileno`, `encoding`).

    Parameters
    ----------
    descriptor : int
        Not closed here.
    encoding : str
        Characters that it lacks are written as Python escapes them, as on standard output.
    """

    def __init__(self, descriptor: int, encoding: str = "utf-8") -> None:
        self._descriptor, self.encoding = descriptor, encoding
        self._rest = b""  # the end of a line that was begun
        self._buffer = ""
        self._fresh = True

    def put(self, line: str, head: str = "") -> None:
        """See `LineOutput.put`."""
        data = (head + line if self._fresh else line).encode(self.encoding, "backslashreplace")
        self._send()
        self._rest = data
        try:
            self._send()
        except OSError:
            if len(self._rest) == len(data):
                self._rest = b""
                raise
        self._fresh = False

    def _send(self) -> None:
        while self._rest:
            try:
                sent = os.write(self._descriptor, self._rest)
            except BlockingIOError:  # somebody made it non-blocking
                select.select([], [self._descriptor], [], 1.0)
                continue
            self._rest = self._rest[sent:]

    def write(self, text: str) -> int:
        """Keep text for `flush`."""
        self._buffer += text
        return len(text)

    def flush(self) -> None:
        """Complete a line that was begun, and write what was kept."""
        text, self._buffer = self._buffer, ""
        self._send()
        if text:
            self.put(text)

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def close(self) -> None:
        """Complete a line that was begun, where that goes."""
        with contextlib.suppress(OSError):
            self._send()


class RotatingFile:
    """A file that is put aside when it is large, or begins with another head than its lines need: ``FILE.1`` is the
    last one, ``FILE.2`` the one before it.

    Parameters
    ----------
    path : path
        The file; lines are added to one that is there. What a link leads to is rotated where it lies, and the link
        stays; a pipe or a device holds nothing, and is written to without an end.
    limit : int
        Bytes that it does not exceed, but for a single longer line.
    keep : int
        How many are kept beside it; older ones are removed.

    Raises
    ------
    EdgeSerError
        It cannot be opened, or another process writes to it.
    """

    def __init__(self, path: str | os.PathLike[str], *, limit: int = 10_000_000, keep: int = 5) -> None:
        if limit < 1 or keep < 0:
            raise EdgeSerError(
                f"a log of {limit} bytes with {keep} older ones cannot be kept; give 1 and 0 at least"
            )
        self.path, self._limit, self._keep = Path(os.path.realpath(path)), limit, keep
        try:
            self._open()
        except OSError as error:
            raise EdgeSerError(
                f"cannot write the log {path}: {error.strerror or error}; choose another place"
            ) from error

    def _open(self) -> None:
        self._descriptor = os.open(
            self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, permissions_from_umask(0o666)
        )
        status = os.fstat(self._descriptor)
        self._size, self._holds = status.st_size, stat.S_ISREG(status.st_mode)
        if self._holds and lock(self._descriptor) is False:
            self._let_go()
            raise BlockingIOError(errno.EWOULDBLOCK, "another process writes to it, and would rotate it")
        self._head: str | None = None  # what its first line is, once that was looked at
        self._out = Descriptor(self._descriptor)

    def put(self, line: str, head: str = "") -> None:
        """See `LineOutput.put`."""
        if self._descriptor < 0:  # it could not be rotated, or not be opened after that
            self._open()
        full = self._size + len(line.encode()) > self._limit
        if self._size and self._holds and (full or not self._begins_with(head)):
            self._rotate()
        text = line if self._size else head + line
        self._out.put(text)
        self._size += len(text.encode())
        self._head = head

    def _begins_with(self, head: str) -> bool:
        """Whether lines that belong under `head` can be added: a table of another model has other columns."""
        if head and self._head is None:
            try:
                with self.path.open("rb") as file:
                    self._head = file.read(len(head.encode())).decode(errors="replace")
            except FileNotFoundError:  # somebody moved it away: a new one begins
                return False
        return not head or self._head == head

    def _rotate(self) -> None:
        self._out.flush()
        self.close()  # whatever fails from here on, a number that is somebody else's by then is not closed again
        for number in range(self._keep, 0, -1):
            older = self._name(number - 1)
            if older.exists():
                older.replace(self._name(number))
        if self._keep == 0:
            self.path.unlink(missing_ok=True)
        self._open()

    def _name(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}") if number else self.path

    def close(self) -> None:
        """Close the file; further calls do nothing."""
        if self._descriptor >= 0:
            self._out.close()
            self._let_go()

    def _let_go(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)
