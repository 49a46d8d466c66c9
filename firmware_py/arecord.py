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

# A wake-up of arecord costs what it costs: with 16 of them a second 0.14 % of a core (x86-64), with eight 0.09 %.
_PERIOD_S = 0.125
_BLOCK_S = 0.0625
# At 16 kHz a step's samples are taken at once, which wakes us four times a second and not sixteen; at another rate the
# resampler is a few samples behind, and a step would wait for the next quarter of a second.
_STEP_S = 0.25
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
        period = _PERIOD_S if rate == SAMPLE_RATE else _BLOCK_S
        self._command = [
            command, "-q", "-t", "raw", "-f", "S16_LE", "-r", str(rate), "-c", str(channels),
            "-B", str(_BUFFER_US), "-F", str(round(period * 1e6)), *(["-D", device] if device else []), "-",
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self._odd = b""
        self._words = b""
        self._overflow = False

    @property
    def pid(self) -> int | None:
        """The program's process, while it runs."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """See `Opening.start`; that the device cannot be opened is told by `read`."""
        # A session of its own: Ctrl-C is for us, and we end it when what it heard has been read.
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            bufsize=0, start_new_session=True, env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
        out, words = self._pipes()
        os.set_blocking(words, False)
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
        wanted = round((_STEP_S if self.rate == SAMPLE_RATE else _BLOCK_S) * self.rate) * size - len(
            self._odd
        )
        give_up, nap = time.monotonic() + timeout, 0.001 + (wanted - _waiting(out)) / (size * self.rate)
        while _waiting(out) < wanted and time.monotonic() < give_up:
            if self._process is None or self._process.poll() is not None:
                break  # it has ended, and no more comes
            time.sleep(min(timeout, nap))
            nap = 0.003  # the last period is a little late
        data = self._odd + os.read(out, wanted)
        now = time.monotonic()
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
        with contextlib.suppress(BlockingIOError):
            if data := os.read(words, 4096):
                self._overflow |= _OVERRUN.search(data) is not None
                self._words = (self._words + data)[-2000:]

    def stop(self) -> None:
        """See `Opening.stop`."""
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
