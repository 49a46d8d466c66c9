"""Sources: where audio comes from, as timed blocks of 16 kHz mono."""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from edge_ser.audio import SAMPLE_RATE, AudioBlocks, pcm16_to_float
from edge_ser.errors import EdgeSerError

from .blocks import Block, Source
from .stop import Stop

__all__ = ["FileSource", "PcmSource", "open_source"]

_LOOK_S = 0.2  # how often a source that waits for audio looks whether it shall end
_REALTIME_BLOCK = 1000  # 62.5 ms, as a microphone gives them
_FAST_BLOCK = 4000
_READ_BYTES = 1 << 15
# What a file that was piped by mistake begins with.
_CONTAINERS = {b"RIFF": "WAV", b"fLaC": "FLAC", b"OggS": "Ogg", b"ID3\x03": "MP3", b"ID3\x04": "MP3"}


class FileSource:
    """A sound file, as fast as it is asked for or at its own pace.

    Parameters
    ----------
    path : path
        Anything that `AudioBlocks` reads.
    realtime : bool
        Give each block at the moment when a microphone would have.

    Raises
    ------
    EdgeSerError
        As `AudioBlocks`.
    """

    def __init__(self, path: str | os.PathLike[str], *, realtime: bool = False) -> None:
        self.name = str(path)
        self.live = realtime
        self._audio = AudioBlocks(path, _REALTIME_BLOCK if realtime else _FAST_BLOCK)

    def blocks(self, stop: Stop) -> Iterator[Block]:
        """See `Source.blocks`."""
        start, position = time.monotonic(), 0
        for samples in self._audio:
            if self.live:
                position += len(samples)
                # The moment itself, not that of waking up: what the system wakes us late is latency too.
                arrival = start + position / SAMPLE_RATE
                stop.sleep_until(arrival)
            else:
                arrival = time.monotonic()
            if stop.requested:
                return
            yield Block(samples, arrival)

    def close(self) -> None:
        """Close the file."""
        self._audio.close()


class PcmSource:
    """Raw PCM from a pipe: 16-bit little-endian, 16 kHz, mono.

    Parameters
    ----------
    descriptor : int
        Open file descriptor to read.
    name : str
        What it is, for people.
    own : bool
        Close it in the end.
    """

    live = False

    def __init__(self, descriptor: int, name: str = "standard input", *, own: bool = False) -> None:
        if os.isatty(descriptor):
            raise EdgeSerError(
                f"{name} is a terminal; pipe audio in: arecord -t raw -f S16_LE -r 16000 -c 1 | edge-ser listen -"
            )
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise EdgeSerError(f"{name} is a folder; give 16-bit 16 kHz mono PCM")
        self.name, self._own = name, own
        self._descriptor = descriptor

    def blocks(self, stop: Stop) -> Iterator[Block]:
        """See `Source.blocks`."""
        odd = b""  # the first byte of a sample whose second has not come yet
        total = 0
        if self._own:
            self._await_writer(stop)
        while not stop.requested:
            if not select.select([self._descriptor], [], [], _LOOK_S)[0]:
                continue
            data = os.read(self._descriptor, _READ_BYTES)
            arrival = time.monotonic()
            if not data:
                self._check_end(total, odd)
                return
            if total == 0 and (kind := _CONTAINERS.get(data[:4])):
                raise EdgeSerError(
                    f"{self.name} is a {kind} file, not raw PCM; name the file itself, "
                    "or convert: ffmpeg -i FILE -f s16le -ar 16000 -ac 1 - | edge-ser listen -"
                )
            total += len(data)
            data = odd + data
            even = len(data) - len(data) % 2
            odd = data[even:]
            if even:
                yield Block(pcm16_to_float(data[:even]), arrival)

    def _await_writer(self, stop: Stop) -> None:
        """A named pipe that nobody writes to reads as ended; wait until somebody opens it."""
        pipe = select.poll()
        pipe.register(self._descriptor, select.POLLIN)
        while not stop.requested and not any(events & select.POLLIN for _, events in pipe.poll(200)):
            # Hung up, as after the last writer has closed, or never opened: poll returns at once then.
            stop.sleep_until(time.monotonic() + 0.05)

    def _check_end(self, total: int, odd: bytes) -> None:
        if total == 0:
            raise EdgeSerError(f"{self.name} is empty; pipe 16-bit 16 kHz mono PCM into it")
        if odd:
            raise EdgeSerError(
                f"{self.name} ended within a sample (an odd number of bytes, {total}); is it 16-bit PCM, and whole?"
            )

    def close(self) -> None:
        """Close the descriptor where it is ours."""
        if self._own:
            self._own = False
            os.close(self._descriptor)


def open_source(
    text: str, *, realtime: bool = False, rate: int | None = None, channel: int | str | None = None
) -> Source:
    """Open a source as the command line names it.

    Parameters
    ----------
    text : str
        ``mic``, ``mic:NAME``, ``arecord``, ``arecord:DEVICE``, ``-`` for PCM on standard input, a named pipe with the
        same, or a sound file.
    realtime : bool
        Play a file at its own pace.
    rate : int, optional
        Samples a second to open a microphone with.
    channel : int or "mix", optional
        Which of a microphone's channels is heard, the first when left out. Those of a file are mixed.

    Returns
    -------
    Source
        Checked: a file is readable audio, a microphone is there. A microphone starts with `blocks`.

    Raises
    ------
    MissingExtraError
        A package is needed for it and not installed.
    EdgeSerError
        It cannot be heard.
    """
    kind, _, name = text.partition(":")
    microphone = kind in ("mic", "arecord") and (text == kind or not Path(text).exists())
    if realtime and (microphone or text == "-" or Path(text).is_fifo()):
        raise EdgeSerError(f"--realtime is for sound files; {text} has a pace of its own: leave it out")
    if microphone:
        channel = 1 if channel is None else channel
        if kind == "mic":
            from .microphone import open_microphone

            return open_microphone(name, rate=rate, channel=channel)
        from .arecord import open_arecord

        return open_arecord(name, rate=rate, channel=channel)
    if rate is not None or channel is not None:
        raise EdgeSerError(
            f"--rate and --channel are for microphones; {text} says itself what it holds, "
            "and a file's channels are mixed"
        )
    if text == "-":
        if sys.stdin is None:
            raise EdgeSerError("standard input is closed; pipe 16-bit 16 kHz mono PCM into it")
        return PcmSource(sys.stdin.fileno())
    if Path(text).is_fifo():
        return PcmSource(os.open(text, os.O_RDONLY | os.O_NONBLOCK), text, own=True)
    return FileSource(text, realtime=realtime)
