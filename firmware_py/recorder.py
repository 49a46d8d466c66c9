"""Recording what is heard, and what was said to it."""

from __future__ import annotations

import itertools
import json
import os
import struct
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from edge_ser.audio import SAMPLE_RATE, float_to_pcm16, pcm16_to_float
from edge_ser.errors import EdgeSerError
from edge_ser.files import fsync_folder, is_special, lock, permissions_from_umask, sha256

from .prediction import Prediction

__all__ = ["CHUNK", "AnswerDigest", "Recorder", "open_recorder"]

#: Name of the chunk that holds what is not sound.
CHUNK = b"esER"
_LARGEST = (1 << 32) - (1 << 20)  # bytes of samples that a WAV header can tell of: 37 hours
_PART = ".part"


class Recorder:
    """A 16-bit WAV file, written aside and put in place when it is whole.

    One that was never finished, as power was lost, is put beside by the next recording to the same place.

    Behind the samples, in a chunk that players leave alone, it holds where samples were lost, what listened, and a
    digest of all that was answered; `edge-ser replay` gives the same answers again, or says that it cannot.

    Parameters
    ----------
    path : path
        The file; one that is there is replaced at the end.
    settings : mapping, optional
        What listens: whatever JSON holds.

    Attributes
    ----------
    rescued : list of Path
        Former recordings to this place that were cut off: ``NAME.cut-off-1.wav`` and so on.

    Raises
    ------
    EdgeSerError
        It cannot be written there.
    """

    def __init__(self, path: str | os.PathLike[str], settings: Mapping[str, Any] | None = None) -> None:
        self.path = Path(os.path.realpath(path))  # a link stays a link
        self._settings = dict(settings or {})
        self._gaps: list[tuple[int, dict[str, int]]] = []
        self._digest = AnswerDigest()
        self._bytes = 0
        if self.path.is_dir():
            raise EdgeSerError(f"{self.path} is a folder; name a file to record to")
        if is_special(self.path):
            raise EdgeSerError(f"{path} is no file that a recording could be; name one to record to")
        try:
            self.rescued = _rescue(self.path)
            handle, aside = tempfile.mkstemp(prefix=_prefix(self.path), suffix=_PART, dir=self.path.parent)
            lock(handle)  # before anything is in it: what is locked is being recorded
            self._aside = Path(aside)
            # Unbuffered: on a full disk what was written before stays whole, and the header below needs no new room.
            self._file = os.fdopen(handle, "wb", buffering=0)
            self._file.write(_header(0))
        except OSError as error:
            raise self._failed(error) from error

    def write(self, samples: np.ndarray, lost: Mapping[str, int] | None = None) -> np.ndarray:
        """Append samples.

        Parameters
        ----------
        samples : (n,) float32
            In -1..1; beyond full scale they are clipped.
        lost : mapping of str to int, optional
            Samples lost just before them, by place.

        Returns
        -------
        (n,) float32
            What was recorded of them: the same where they came as 16-bit integers.

        Raises
        ------
        EdgeSerError
            The disk refuses, or the file is full; what was written before stays.
        """
        if lost:
            self._note_gap(lost)
        pcm = float_to_pcm16(samples)
        data = memoryview(pcm)
        if self._bytes + len(data) > _LARGEST:
            raise EdgeSerError(f"{self.path} has reached the 4 GB of a WAV file; record in parts")
        while data:
            try:
                written = self._file.write(data)
            except OSError as error:
                raise self._failed(error) from error
            self._bytes += written
            data = data[written:]
        return pcm16_to_float(pcm)

    def _note_gap(self, lost: Mapping[str, int]) -> None:
        at = self._bytes // 2
        if not self._gaps or self._gaps[-1][0] != at:
            self._gaps.append((at, {}))
        here = self._gaps[-1][1]  # one entry, however often a microphone that is away is looked for
        for place, samples in lost.items():
            here[place] = here.get(place, 0) + samples

    def answer(self, prediction: Prediction) -> None:
        """Take note of an answer."""
        self._digest.add(prediction)

    def close(self) -> None:
        """Put the file in place; a recording of nothing leaves nothing."""
        whole = self._bytes - self._bytes % 2
        try:
            with self._file:
                self._file.truncate(len(_header(0)) + whole)
                notes = self._notes()
                try:
                    self._file.seek(0, os.SEEK_END)
                    whole_notes = self._file.write(notes) == len(notes)
                except OSError:
                    whole_notes = False
                if not whole_notes:  # a full disk, which may take a part: the samples are worth more
                    notes = b""
                    self._file.truncate(len(_header(0)) + whole)
                self._file.seek(0)
                self._file.write(_header(whole, len(notes)))
                os.fsync(self._file.fileno())
                if whole:  # while it is locked: nobody takes it for cut off
                    self._aside.chmod(permissions_from_umask(0o666))
                    self._aside.replace(self.path)
                    fsync_folder(self.path.parent)
        except OSError as error:
            raise self._failed(error) from error
        finally:
            self._aside.unlink(missing_ok=True)  # gone already when it was put in place

    def _notes(self) -> bytes:
        """The chunk behind the samples."""
        text = json.dumps(
            {"settings": self._settings, "gaps": self._gaps, "answers": self._digest.to_json()}
        ).encode()
        text += b" " * (len(text) % 2)
        return struct.pack("<4sI", CHUNK, len(text)) + text

    def _failed(self, error: OSError) -> EdgeSerError:
        return EdgeSerError(
            f"cannot record to {self.path}: {error.strerror or error}; choose a place that can be written"
        )


class AnswerDigest:
    """Tells whether two runs gave the same answers, bit for bit; latencies do not count."""

    def __init__(self) -> None:
        self._hash, self.count = sha256(), 0

    def add(self, prediction: Prediction) -> None:
        """Take the next answer."""
        answer = prediction.to_json()
        del answer["latency_ms"]
        self._hash.update(json.dumps(answer).encode())
        self.count += 1

    def to_json(self) -> dict[str, Any]:
        """``{"count", "sha256"}``."""
        return {"count": self.count, "sha256": self._hash.hexdigest()}


def open_recorder(path: str | os.PathLike[str], settings: Mapping[str, Any] | None = None) -> Recorder:
    """A `Recorder`; what it put beside of former recordings is told on standard error."""
    recorder = Recorder(path, settings)
    for one in recorder.rescued:
        print(f"edge-ser: a recording that was cut off is kept as {one}", file=sys.stderr)
    return recorder


def _prefix(path: Path) -> str:
    return f".{path.name}."


def _rescue(path: Path) -> list[Path]:
    """Put recordings that nobody records any longer beside `path`, as far as their samples reached the disk."""
    rescued: list[Path] = []
    try:
        parts = sorted(
            p for p in path.parent.iterdir() if p.name.startswith(_prefix(path)) and p.suffix == _PART
        )
    except PermissionError:  # a folder that takes files and does not list them
        return rescued
    for part in parts:
        try:
            with part.open("r+b") as file:
                # locked: it is being recorded; where there are no locks nobody knows
                if lock(file.fileno()) is not True or not _completed(file):
                    continue
        except PermissionError:  # somebody else's
            continue
        number = itertools.count(1)
        free = next(one for n in number if not (one := path.with_stem(f"{path.stem}.cut-off-{n}")).exists())
        part.chmod(permissions_from_umask(0o666))
        part.replace(free)
        rescued.append(free)
    return rescued


def _completed(file: BinaryIO) -> bool:
    """Whether a recording that was cut off holds samples; its header says so now."""
    empty = _header(0)
    whole = file.seek(0, os.SEEK_END) - len(empty)
    whole -= whole % 2
    file.seek(0)
    if whole > 0 and file.read(len(empty)) == empty:
        file.truncate(len(empty) + whole)
        file.seek(0)
        file.write(_header(whole))
    return whole > 0


def _header(data_bytes: int, notes_bytes: int = 0) -> bytes:
    """The header of a 16-bit mono WAV file."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, SAMPLE_RATE, 2 * SAMPLE_RATE, 2, 16)
    return (
        struct.pack("<4sI4s", b"RIFF", 36 + data_bytes + notes_bytes, b"WAVE")
        + form
        + struct.pack("<4sI", b"data", data_bytes)
    )
