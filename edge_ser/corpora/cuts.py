"""Stretches of longer recordings, each as a file of its own, which is what a clip is everywhere else."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from edge_ser.audio import SAMPLE_RATE, load_audio, write_wav
from edge_ser.corpora.base import Clip, LeftOut
from edge_ser.errors import EdgeSerError
from edge_ser.files import user_cache
from edge_ser.progress import progress_bar

__all__ = ["SLACK_S", "Span", "cut_out"]

SLACK_S = 0.05  # annotation tools and headers round differently
_STEM = 80


class Span(NamedTuple):
    """A stretch of a recording."""

    start: float  # seconds
    end: float | None  # None is the recording's end
    where: str  # begins an error's sentence


def cut_out(clips: Sequence[Clip], spans: Sequence[Span | None]) -> tuple[list[Clip], list[LeftOut]]:
    """Clips whose files are the stretches alone.

    They are kept as 16-bit WAV files at 16 kHz in the user's cache, ``edge-ser/cuts``, which may be deleted at any
    time; a recording that has changed is cut again.

    Parameters
    ----------
    clips : sequence of Clip
        By recordings.
    spans : sequence of Span or None
        One a clip; None is the whole recording.

    Returns
    -------
    clips : list of Clip
        With paths of what was cut.
    left_out : list of LeftOut
        Stretches of recordings that cannot be read.

    Raises
    ------
    EdgeSerError
        A stretch that is empty or not inside its recording, no home folder for the cache, or it cannot be written.
    """
    result: list[Clip | None] = list(clips)
    left_out: list[LeftOut] = []
    groups: dict[Path, list[int]] = {}
    for i, span in enumerate(spans):
        if span is not None:
            groups.setdefault(clips[i].path, []).append(i)
    with progress_bar("cutting", sum(map(len, groups.values())), "clip", quiet=None, delay=1.0) as bar:
        for sound, numbers in groups.items():
            cuts = [span for i in numbers if (span := spans[i]) is not None]
            try:
                paths = _cut(sound, cuts, bar.update)
            except _UnreadableError as error:
                left_out += [LeftOut(f"{sound} from {_text(span.start)} s", str(error)) for span in cuts]
                paths = [None] * len(cuts)
            for i, path in zip(numbers, paths, strict=True):
                result[i] = None if path is None else dataclasses.replace(clips[i], path=path)
    return [clip for clip in result if clip is not None], left_out


class _UnreadableError(Exception):
    """A recording that `load_audio` refuses."""


def _cut(sound: Path, spans: Sequence[Span], done: Callable[[], object]) -> list[Path | None]:
    """Files of some stretches of a recording, `done` told of each; those that are there already are not cut again."""
    folder = _folder(sound)
    wave = None
    paths: list[Path | None] = []
    for span in spans:
        until = "end" if span.end is None else _text(span.end)
        if span.end is not None and round(span.end * SAMPLE_RATE) <= round(span.start * SAMPLE_RATE):
            raise EdgeSerError(f"{span.where}: nothing is from {_text(span.start)} to {until} s")
        path = folder / f"{sound.stem[:_STEM]}-{_text(span.start)}-{until}.wav"
        if not path.exists():
            if wave is None:
                try:
                    wave = load_audio(sound)
                except EdgeSerError as error:
                    raise _UnreadableError(str(error)) from error
            seconds = len(wave) / SAMPLE_RATE
            if max(span.start, (span.end or 0.0) - SLACK_S) >= seconds:
                raise EdgeSerError(
                    f"{span.where}: {_text(span.start)} to {until} s is not inside {sound}, "
                    f"which has {_text(seconds)} s"
                )
            stop = len(wave) if span.end is None else round(span.end * SAMPLE_RATE)
            write_wav(path, wave[round(span.start * SAMPLE_RATE) : stop])
        paths.append(path)
        done()
    return paths


def _folder(sound: Path) -> Path:
    """Where a recording's cuts are, made if need be; another one when it has changed."""
    base = user_cache()
    if base is None:
        raise EdgeSerError(f"there is no home folder to keep stretches of {sound} in; set XDG_CACHE_HOME")
    state = sound.stat()
    key = f"{sound.resolve()}\0{state.st_size}\0{state.st_mtime_ns}"
    folder = (
        base / "edge-ser" / "cuts" / hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgeSerError(f"cannot make {folder}: {error.strerror or error}; set XDG_CACHE_HOME") from error
    return folder


def _text(seconds: float) -> str:
    """Seconds to the microsecond, without zeros at the end."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".")
