"""A recording heard again, gaps and all."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from edge_ser.audio import pcm16_to_float
from edge_ser.bundle import SHIPPED, Bundle
from edge_ser.errors import EdgeSerError
from edge_ser.files import parse_json_object, sha256

from .blocks import Block
from .engines import Engine
from .recorder import CHUNK
from .stop import Stop

__all__ = ["Recording", "RecordingSource", "recording_settings"]

_BLOCK = 4000


def recording_settings(
    bundle: Bundle,
    engine: Engine,
    *,
    every: int,
    gate: str,
    doze: bool,
    adapt: bool,
    turns: bool,
    source: str,
) -> dict[str, Any]:
    """What a recording says of the run that made it: enough to answer again in the same way.

    Of a model that came with the package its name is enough; of any other its folder is told.
    """
    shipped = bundle.path.parent == SHIPPED
    digest = sha256(bundle.file(engine.name, engine.precision).read_bytes()).hexdigest()
    return {
        "model": bundle.name, "folder": None if shipped else str(bundle.path.resolve()), "model_sha256": digest,
        "engine": engine.name, "precision": engine.precision,
        "every": every, "gate": gate, "doze": doze, "adapt": adapt, "turns": turns,
        "source": source,
    }  # fmt: skip


@dataclass(frozen=True)
class Recording:
    """What a recording of `Recorder` holds beside the samples.

    Attributes
    ----------
    path : Path
        The file.
    start, samples : int
        Where the samples begin, in bytes, and how many there are.
    settings : dict
        What listened.
    gaps : list of (int, dict of str to int)
        Before which sample how many were lost, and where.
    answers : dict
        See `AnswerDigest.to_json`.
    """

    path: Path
    start: int
    samples: int
    settings: dict[str, Any]
    gaps: list[tuple[int, dict[str, int]]]
    answers: dict[str, Any]

    @property
    def model(self) -> str:
        """The name or folder of the model that listened.

        Raises
        ------
        EdgeSerError
            Its folder is not there.
        """
        folder = self.settings.get("folder")  # recordings of before know names alone
        if folder is None:
            return str(self.settings["model"])
        if not Path(folder).is_dir():
            raise EdgeSerError(
                f"the model that listened to {self.path} was in {folder}, which is not there; say with --model where "
                "it is now"
            )
        return str(folder)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Recording:
        """Read the notes of a recording.

        Raises
        ------
        EdgeSerError
            It is not there, or no recording that `edge-ser listen --record` made.
        """
        path = Path(path)
        try:
            with path.open("rb") as file:
                chunks = _chunks(file)
                if chunks is None or CHUNK not in chunks or b"data" not in chunks:
                    raise EdgeSerError(
                        f"{path} holds no notes of what listened; only what `edge-ser listen --record` keeps can be "
                        "replayed; any sound file can be heard with `edge-ser listen`"
                    )
                at, size = chunks[CHUNK]
                file.seek(at)
                notes = parse_json_object(file.read(size), str(path))
        except OSError as error:
            raise EdgeSerError(f"cannot read {path}: {error.strerror or error}") from error
        start, length = chunks[b"data"]
        try:
            gaps = [(int(at), {str(k): int(v) for k, v in lost.items()}) for at, lost in notes["gaps"]]
            return cls(path, start, length // 2, dict(notes["settings"]), gaps, dict(notes["answers"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EdgeSerError(f"the notes of {path} are damaged ({error}); record it again") from error


def _chunks(file: BinaryIO) -> dict[bytes, tuple[int, int]] | None:
    """Where each chunk of a RIFF file lies, and its size; None for another file."""
    head = file.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return None
    found = {}
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        found[name] = (file.tell(), size)
        file.seek(size + size % 2, os.SEEK_CUR)
    return found


class RecordingSource:
    """Gives a recording's samples with its gaps where they were.

    Parameters
    ----------
    recording : Recording
        What to give.
    """

    live = False

    def __init__(self, recording: Recording) -> None:
        self.name = str(recording.path)
        self._recording = recording
        self._file = recording.path.open("rb")

    def blocks(self, stop: Stop) -> Iterator[Block]:
        """See `Source.blocks`."""
        recording = self._recording
        self._file.seek(recording.start)
        position = 0
        gaps = list(recording.gaps)
        while not stop.requested:
            lost: dict[str, int] = {}
            while gaps and gaps[0][0] <= position:
                for place, samples in gaps.pop(0)[1].items():
                    lost[place] = lost.get(place, 0) + samples
            until = min([recording.samples, position + _BLOCK] + [at for at, _ in gaps[:1]])
            data = self._file.read(2 * (until - position))
            if not data and not lost:
                return
            position = until
            yield Block(pcm16_to_float(data), time.monotonic(), lost)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
