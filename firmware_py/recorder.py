"""Recording what is heard."""

from __future__ import annotations

import os
import struct
import tempfile
from pathlib import Path

import numpy as np

from edge_ser.audio import SAMPLE_RATE, float_to_pcm16
from edge_ser.errors import EdgeSerError
from edge_ser.files import fsync_folder, permissions_from_umask

__all__ = ["Recorder"]

_LARGEST = (1 << 32) - 1024  # bytes of samples that a WAV header can tell of: 37 hours


class Recorder:
    """A 16-bit WAV file, written aside and put in place when it is whole.

    Samples that came as 16-bit integers are kept exactly.

    Parameters
    ----------
    path : path
        The file; one that is there is replaced at the end.

    Raises
    ------
    EdgeSerError
        It cannot be written there.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._bytes = 0
        if self.path.is_dir():
            raise EdgeSerError(f"{self.path} is a folder; name a file to record to")
        try:
            handle, aside = tempfile.mkstemp(
                prefix=f".{self.path.name}.", suffix=".part", dir=self.path.parent
            )
            self._aside = Path(aside)
            # Unbuffered: on a full disk what was written before stays whole, and the header below needs no new room.
            self._file = os.fdopen(handle, "wb", buffering=0)
            self._file.write(_header(0))
        except OSError as error:
            raise self._failed(error) from error

    def write(self, samples: np.ndarray) -> None:
        """Append samples, (n,) float32 in -1..1; beyond full scale they are clipped."""
        data = memoryview(float_to_pcm16(samples))
        if self._bytes + len(data) > _LARGEST:
            raise EdgeSerError(f"{self.path} has reached the 4 GB of a WAV file; record in parts")
        while data:
            try:
                written = self._file.write(data)
            except OSError as error:
                raise self._failed(error) from error
            self._bytes += written
            data = data[written:]

    def close(self) -> None:
        """Put the file in place; a recording of nothing leaves nothing."""
        whole = self._bytes - self._bytes % 2
        try:
            with self._file:
                self._file.truncate(len(_header(0)) + whole)
                self._file.seek(0)
                self._file.write(_header(whole))
                os.fsync(self._file.fileno())
            if whole:
                self._aside.chmod(permissions_from_umask(0o666))
                self._aside.replace(self.path)
                fsync_folder(self.path.parent)
        except OSError as error:
            raise self._failed(error) from error
        finally:
            self._aside.unlink(missing_ok=True)  # gone already when it was put in place

    def _failed(self, error: OSError) -> EdgeSerError:
        return EdgeSerError(
            f"cannot record to {self.path}: {error.strerror or error}; choose a place that can be written"
        )


def _header(data_bytes: int) -> bytes:
    """The header of a 16-bit mono WAV file."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, SAMPLE_RATE, 2 * SAMPLE_RATE, 2, 16)
    return (
        struct.pack("<4sI4s", b"RIFF", 36 + data_bytes, b"WAVE")
        + form
        + struct.pack("<4sI", b"data", data_bytes)
    )
