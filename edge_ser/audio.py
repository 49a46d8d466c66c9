"""Sound files as 16 kHz mono float32, whole or a block at a time.

PCM WAV files at 16 kHz are read with the standard library, so that a device needs NumPy alone for them; other
formats and rates need the extra ``audio`` (soundfile, soxr). Both readers scale alike.
"""

from __future__ import annotations

import io
import os
import wave
from collections.abc import Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edge_ser.errors import EdgeSerError, require
from edge_ser.files import write_atomic

__all__ = [
    "SAMPLE_RATE",
    "AudioBlocks",
    "float_to_pcm16",
    "load_audio",
    "pcm16_to_float",
    "wav_bytes",
    "write_wav",
]

Floats = npt.NDArray[np.float32]

#: Hz of every signal inside the toolkit.
SAMPLE_RATE = 16000

#: Beyond this a sample is no sound but damage, and its power would leave the range of float32.
_LARGEST = np.float32(2.0**31)
_RATES = range(1000, 768001)


class _Reader(Protocol):
    """A file at its own rate; ``read`` gives (frames, channels) float32, no frames at the end."""

    rate: int
    frames: int

    def read(self, frames: int) -> Floats: ...
    def close(self) -> None: ...


class _PcmWav:
    """Integer PCM in a WAV file, by the standard library. Raises `wave.Error` or `EOFError` if it is not that."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        try:
            self._wave = wave.open(self._file)  # noqa: SIM115 (closed in close)
            self.rate, self._width = self._wave.getframerate(), self._wave.getsampwidth()
            self._channels = self._wave.getnchannels()
            if self._width > 4:
                raise wave.Error(f"{8 * self._width} bits a sample")
        except BaseException:
            self._file.close()
            raise
        # A writer into a pipe leaves a length in the header that it could not know; the file's size is the truth.
        at_most = path.stat().st_size // (self._width * self._channels)
        self.frames = min(self._wave.getnframes(), at_most)

    def read(self, frames: int) -> Floats:
        data = self._wave.readframes(frames)
        data = data[: len(data) - len(data) % (self._width * self._channels)]  # a file may end inside a frame
        return _decode_pcm(data, self._width).reshape(-1, self._channels)

    def close(self) -> None:
        self._wave.close()
        self._file.close()


class _SoundFile:
    """Whatever libsndfile reads: FLAC, Ogg, MP3, AIFF, and WAV of the other kinds."""

    def __init__(self, path: Path) -> None:
        soundfile = require(
            "soundfile", extra="audio", purpose=f"reading {path.suffix or 'this kind of'} files"
        )
        self._path, self._error = path, soundfile.LibsndfileError
        try:
            self._file = soundfile.SoundFile(path)
        except self._error as error:
            raise EdgeSerError(
                f"{path} is not a sound file that can be read ({error.error_string.rstrip('.')}); "
                "convert it to WAV or FLAC"
            ) from error
        self.rate, self.frames, self._done = self._file.samplerate, self._file.frames, 0

    def read(self, frames: int) -> Floats:
        try:
            block: Floats = self._file.read(frames, dtype="float32", always_2d=True)
        except self._error as error:
            at = self._done / self.rate
            raise EdgeSerError(
                f"{self._path} is damaged after {at:.2f} s ({error.error_string.rstrip('.')}); get a fresh copy"
            ) from error
        self._done += len(block)
        return block

    def close(self) -> None:
        self._file.close()


class AudioBlocks:
    """A sound file as 16 kHz mono blocks, read as they are asked for and never held whole.

    Channels are averaged, other rates resampled (soxr, HQ). The concatenated blocks are the same for every
    `block_samples`, and are what `load_audio` gives.

    Parameters
    ----------
    path : path
        The file.
    block_samples : int
        Samples of each block; the last may be shorter.

    Attributes
    ----------
    duration_s : float
        Length in seconds as the file's header says it.
    native_rate : int
        The file's own sample rate in Hz.

    Yields
    ------
    ndarray of shape (block_samples,), float32
        Full scale is -1..1; a float file may go beyond.

    Raises
    ------
    EdgeSerError
        There is no such file, it is a folder, not a sound file, holds no samples, or, when its turn comes, a
        sample that is not finite.
    MissingExtraError
        The file needs soundfile or soxr, and that is not installed.

    Examples
    --------
    >>> with AudioBlocks("speech.flac") as blocks:  # doctest: +SKIP
    ...     for block in blocks:
    ...         pipeline.push(block)
    """

    def __init__(self, path: str | os.PathLike[str], block_samples: int = 4000) -> None:
        if block_samples < 1:
            raise ValueError(f"block_samples must be at least 1, not {block_samples}")
        self._path = Path(path)
        self._block = block_samples
        self._reader = _open(self._path)
        try:
            self.native_rate = self._reader.rate
            if self.native_rate not in _RATES:
                raise EdgeSerError(
                    f"{path} says it has {self.native_rate} samples a second; "
                    f"{_RATES[0]} to {_RATES[-1]} can be read"
                )
            if self._reader.frames == 0:
                raise EdgeSerError(f"{path} holds no samples; record it again")
            self._stream = None
            if self.native_rate != SAMPLE_RATE:
                purpose = f"bringing {self.native_rate} Hz to {SAMPLE_RATE} Hz"
                soxr = require("soxr", extra="audio", purpose=purpose)
                self._stream = soxr.ResampleStream(
                    self.native_rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ"
                )
        except BaseException:
            self._reader.close()
            raise
        self.duration_s = self._reader.frames / self.native_rate
        self._blocks = self._cut()

    def __iter__(self) -> Iterator[Floats]:
        return self

    def __next__(self) -> Floats:
        return next(self._blocks)

    def __enter__(self) -> AudioBlocks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; asking for another block afterwards ends the iteration."""
        self._blocks.close()
        self._reader.close()

    def _cut(self) -> Generator[Floats, None, None]:
        pending, given = np.empty(0, np.float32), 0
        for part in self._resampled():
            pending = np.concatenate((pending, part)) if pending.size else part
            while pending.size >= self._block:
                yield pending[: self._block]
                pending, given = pending[self._block :], given + self._block
        if pending.size:
            yield pending
        elif not given:
            raise EdgeSerError(
                f"{self._path} holds less than one sample at {SAMPLE_RATE} Hz; record it again"
            )

    def _resampled(self) -> Iterator[Floats]:
        size = -(-self._block * self.native_rate // SAMPLE_RATE)
        done = 0
        while len(frames := self._reader.read(size)):
            mono = _mean_of_channels(frames)
            if not np.abs(mono).max() <= _LARGEST:  # so written because a comparison with NaN is false
                at = (done + int(np.argmin(np.abs(mono) <= _LARGEST))) / self.native_rate
                raise EdgeSerError(
                    f"{self._path} holds a sample at {at:.3f} s that is no number a microphone gives "
                    "(NaN, infinite or huge); export it again"
                )
            done += len(mono)
            yield mono if self._stream is None else self._stream.resample_chunk(mono)
        if self._stream is not None:
            yield self._stream.resample_chunk(np.empty(0, np.float32), last=True)


def load_audio(path: str | os.PathLike[str]) -> Floats:
    """Read a sound file whole.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    ndarray of shape (samples,), float32
        16 kHz mono, full scale -1..1; a float file may go beyond.

    Raises
    ------
    EdgeSerError
        As `AudioBlocks`.
    """
    with AudioBlocks(path, 10 * SAMPLE_RATE) as blocks:
        return np.concatenate(list(blocks))


def pcm16_to_float(data: bytes | bytearray | memoryview) -> Floats:
    """Little-endian 16-bit samples as float32 in -1..1 (divided by 32768).

    Raises
    ------
    EdgeSerError
        The number of bytes is odd.
    """
    if len(data) % 2:
        raise EdgeSerError(f"{len(data)} bytes are no whole number of 16-bit samples; is it 16-bit PCM?")
    return _decode_pcm(data, 2)


def float_to_pcm16(x: npt.ArrayLike) -> bytes:
    """Samples in -1..1 as little-endian 16-bit PCM; what is beyond full scale is clipped.

    The inverse of `pcm16_to_float`, exactly.

    Raises
    ------
    EdgeSerError
        A sample is not finite.
    """
    samples = np.asarray(x, np.float32)
    if not np.isfinite(samples).all():
        raise EdgeSerError("a sample that is not finite cannot be written as PCM")
    return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2").tobytes()


def write_wav(path: str | os.PathLike[str], samples: npt.ArrayLike, rate: int = SAMPLE_RATE) -> None:
    """Write a 16-bit mono WAV file, all of it or nothing.

    Parameters
    ----------
    path : path
        The target; an existing file is replaced.
    samples : array_like of shape (n,)
        Full scale is -1..1; what is beyond is clipped.
    rate : int
        Samples a second.

    Raises
    ------
    EdgeSerError
        A sample is not finite, or the file cannot be written.
    """
    write_atomic(path, wav_bytes(samples, rate))


def wav_bytes(samples: npt.ArrayLike, rate: int = SAMPLE_RATE) -> bytes:
    """What `write_wav` writes."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(float_to_pcm16(samples))
    return buffer.getvalue()


def _open(path: Path) -> _Reader:
    if str(path) == "-":  # a source of `listen` alone, which does not come here with it
        raise EdgeSerError("standard input is no file; save it as one, or let `edge-ser listen -` hear it")
    try:
        # Raises where a folder on the way is closed to this user, or a name is too long.
        if not path.exists():
            raise EdgeSerError(f"there is no file {path}; check its name")
        if path.is_dir():
            raise EdgeSerError(f"{path} is a folder; name a sound file")
        if not path.is_file():
            raise EdgeSerError(
                f"{path} is not a file; save it as one, or let `edge-ser listen -` hear 16-bit 16 kHz mono PCM"
            )
        if path.suffix.lower() == ".raw":
            raise EdgeSerError(
                f"{path} does not say its own format; make it a WAV file, or let `edge-ser listen -` hear it as 16-bit "
                "16 kHz mono PCM"
            )
        if path.stat().st_size == 0:
            raise EdgeSerError(f"{path} is empty (0 bytes); record it again")
        return _PcmWav(path)
    except (wave.Error, EOFError):
        return _SoundFile(path)  # another format, or WAV that the standard library does not read
    except OSError as error:
        raise EdgeSerError(f"cannot read {path}: {error.strerror or error}") from error


def _decode_pcm(data: bytes | bytearray | memoryview, width: int) -> Floats:
    """Little-endian integer PCM of 1 (unsigned), 2, 3 or 4 bytes a sample as float32 in -1..1."""
    if width == 1:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128.0) / np.float32(128.0)
    if width == 3:
        # Into the upper three bytes of 32 bits, where the sign falls into place.
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        data, width = wide.tobytes(), 4
    scale = np.float32(2.0 ** (1 - 8 * width))
    return np.frombuffer(data, f"<i{width}").astype(np.float32) * scale


def _mean_of_channels(frames: Floats) -> Floats:
    if frames.shape[1] == 1:
        return frames[:, 0]
    # Channel by channel, so that a sample's value never depends on how many stand beside it in the block.
    total = frames[:, 0].copy()
    for channel in range(1, frames.shape[1]):
        total += frames[:, channel]
    return total / np.float32(frames.shape[1])
