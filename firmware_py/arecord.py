"""Microphones through ALSA's ``arecord``: no audio library in our process, the kernel's pipe as the ring."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import shutil
import struct
import subprocess
import termios
import time
from collections.abc import Callable

import numpy as np

from edge_ser.audio import SAMPLE_RATE
from edge_ser.errors import EdgeSerError

from .capture import Chunk
from .live import Clock, LiveSource

__all__ = ["ArecordOpening", "open_arecord"]

# A wake-up costs what it costs, so at 16 kHz arecord gives a step at once, which ends when the step ends. At another
# rate the resampler is a few samples behind, and a step would wait for the next quarter of a second.
_STEP_S = 0.25
_BLOCK_S = 0.0625
_BUFFER_US = 1_000_000  # the driver's own
_PIPE_BYTES = 1 << 20  # what an ordinary user may ask for: half a minute of 16 kHz mono
_OVERRUN = re.compile(rb"overrun!!!")


class ArecordOpening:
    """One run of ``arecord``; see `firmware_py.live.Opening`.

    Nothing is lost while we are busy for as long as the pipe has room; then ``arecord`` waits, the driver's buffer
    runs over, and ``arecord`` says so on its standard error.

    Parameters
    ----------
    device : str
        ALSA's name of it, such as ``default`` or ``plughw:CARD=Device``; empty for the default.
    rate, channels : int
        What to ask for.
    command : str
        The program.

    Raises
    ------
    EdgeSerError
        The program is not installed.
    """

    def __init__(
        self, device: str = "", *, rate: int = SAMPLE_RATE, channels: int = 1, command: str = "arecord"
    ) -> None:
        if shutil.which(command) is None:
            raise EdgeSerError(
                f"{command} is not installed; on Debian and Raspberry Pi OS: apt install alsa-utils"
            )
        self.name = f"arecord:{device}" if device else "arecord"
        self.rate, self.channels = rate, channels
        self._block_s = _STEP_S if rate == SAMPLE_RATE else _BLOCK_S
        self._command = [
            command, "-q", "-t", "raw", "-f", "S16_LE", "-r", str(rate), "-c", str(channels),
            "-B", str(_BUFFER_US), "-F", str(round(self._block_s * 1e6)), *(["-D", device] if device else []), "-",
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self._odd = b""
        self._words = b""
        self._overflow = self._stopping = False

    @property
    def pid(self) -> int | None:
        """The program's process, while it runs."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """See `Opening.start`; that the device cannot be opened is told by `read`."""
        # A session of its own: Ctrl-C is for us, and we end it when what it heard has been read.
        try:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                bufsize=0, start_new_session=True, env={**os.environ, "LC_ALL": "C"},
            )  # fmt: skip
        except OSError as error:
            raise EdgeSerError(
                f"{self._command[0]} cannot be run ({error.strerror or error}); end other programs, or wait"
            ) from error
        out, _ = self._pipes()
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(
                PermissionError
            ):  # the user's pipes are many already; then it stays 64 kB
                fcntl.fcntl(out, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def _pipes(self) -> tuple[int, int]:
        process = self._process
        if process is None or process.stdout is None or process.stderr is None:
            raise EdgeSerError(f"{self.name} was not started")
        return process.stdout.fileno(), process.stderr.fileno()

    def read(self, timeout: float) -> Chunk | None:
        """See `Opening.read`."""
        out, _ = self._pipes()
        if not select.select([out], [], [], timeout)[0]:
            self._listen_to_words()
            return None
        size = 2 * self.channels
        wanted = round(self._block_s * self.rate) * size
        missing = wanted - len(self._odd) - _waiting(out)
        if missing > 0 and not self._stopping:
            # The device's periods are shorter than what was asked for: sleep through those that come between.
            time.sleep(min(timeout, missing / (size * self.rate)))
        data, now = self._odd, time.monotonic()
        give_up = now + timeout
        while len(data) < wanted and select.select([out], [], [], max(0.0, give_up - now))[0]:
            piece = os.read(out, wanted - len(data))
            now = time.monotonic()
            if not piece:
                break  # it has ended
            data += piece
        self._listen_to_words()
        if len(data) == len(self._odd):
            return Chunk(np.empty((0, self.channels), np.int16), now, end=True)
        whole = len(data) - len(data) % size
        self._odd = data[whole:]
        samples = np.frombuffer(data[:whole], "<i2").reshape(-1, self.channels)
        # What waits behind it in the pipe came later, so this came earlier than now.
        overflow, self._overflow = self._overflow, False
        return Chunk(samples, now - _waiting(out) / (size * self.rate), overflow=overflow)

    def _listen_to_words(self) -> None:
        _, words = self._pipes()
        if _waiting(words):
            data = os.read(words, 4096)
            self._overflow |= _OVERRUN.search(data) is not None
            self._words = (self._words + data)[-2000:]

    def stop(self) -> None:
        """See `Opening.stop`."""
        self._stopping = True
        if self._process is not None:
            self._process.terminate()

    def ended(self) -> str:
        """See `Opening.ended`."""
        self._listen_to_words()
        lines = [line for line in self._words.decode(errors="replace").splitlines() if "overrun" not in line]
        said = lines[-1].removeprefix("arecord: ") if lines else "it says nothing of why"
        return f"stopped giving audio ({said})"

    def close(self) -> None:
        """See `Opening.close`."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


def _waiting(descriptor: int) -> int:
    """Bytes that wait in a pipe."""
    return int(struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, b"\0\0\0\0"))[0])


def open_arecord(
    device: str = "",
    *,
    rate: int | None = None,
    channel: int | str = 1,
    channels: int | None = None,
    command: str = "arecord",
    clock: Clock | None = None,
) -> LiveSource:
    """Open a microphone through ``arecord``.

    Parameters
    ----------
    device : str
        ALSA's name of it; empty for the default.
    rate : int, optional
        Samples a second; 16 kHz when left out, to which ALSA itself converts. Another rate needs the package soxr.
    channel : int or "mix"
        See `LiveSource`.
    channels : int, optional
        How many to ask for; as many as `channel` needs when left out.
    command : str
        The program.
    clock : Clock, optional
        See `LiveSource`.

    Raises
    ------
    EdgeSerError
        The program is not installed.
    MissingExtraError
        soxr is needed for that rate, and not installed.
    """
    count = channels if channels is not None else 2 if channel == "mix" else int(channel)

    def open_again() -> ArecordOpening:
        return ArecordOpening(device, rate=rate or SAMPLE_RATE, channels=count, command=command)

    opener: Callable[[], ArecordOpening] = open_again
    return LiveSource(opener, channel=channel, clock=clock)
