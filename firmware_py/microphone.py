"""Microphones, through PortAudio."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from typing import Any

from edge_ser.audio import SAMPLE_RATE
from edge_ser.errors import EdgeSerError

from .capture import Capture, Chunk
from .devices import (
    InputDevice,
    find_again,
    find_device,
    input_devices,
    load_sounddevice,
    portaudio_words,
    rates_to_try,
)
from .live import Clock, LiveSource

__all__ = ["PortAudioOpening", "open_microphone"]

# Waking up is what capture costs (PulseAudio, x86-64: 1.1 % of a core with blocks of 25 ms, 0.45 % with 62.5 ms), so at
# 16 kHz a block is a step, and ends when the step ends. At another rate the resampler is a few samples behind, and a
# step would wait for the next block: there they are shorter.
_BLOCK_S = {SAMPLE_RATE: 0.25}
_SHORT_BLOCK_S = 0.0625
_RING_S = 8.0


def _forget_plugins() -> None:
    """Let ALSA go of what it loaded to list its devices and nobody uses: with Debian's plugins, 11 MB.

    To list them PortAudio opens each, one of which encodes AC-3 and brings libavcodec for it. ALSA keeps the libraries
    of closed devices until its global configuration is dropped, which is read again when it is wanted.
    """
    try:
        alsa = ctypes.CDLL("libasound.so.2", mode=os.RTLD_NOW | os.RTLD_NOLOAD)
    except (OSError, AttributeError):  # PortAudio has loaded no ALSA, or the system knows no such thing
        return
    alsa.snd_config_update_free_global()


class PortAudioOpening:
    """One opening of a microphone through PortAudio; see `firmware_py.live.Opening`.

    Parameters
    ----------
    sounddevice : module
        The package, or what stands for it in tests.
    name : str
        What it is, for people.
    index : int or None
        PortAudio's number; None for its default.
    rate, channels : int
        What to open it with. At 16 kHz samples are 16-bit integers; at any other rate they are floating point, since
        they are resampled.
    capture : callable, optional
        Makes the ring from its capacity, channels and dtype; `Capture` when left out.
    now : callable
        What time it is.

    Raises
    ------
    EdgeSerError
        PortAudio does not open it so.
    """

    def __init__(
        self,
        sounddevice: Any,
        name: str,
        index: int | None,
        *,
        rate: int = SAMPLE_RATE,
        channels: int = 1,
        capture: Callable[[int, int, str], Capture] = Capture,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.rate, self.channels = name, rate, channels
        dtype = "int16" if rate == SAMPLE_RATE else "float32"
        self._sounddevice = sounddevice
        self._now = now
        self._capture = capture(round(_RING_S * rate), channels, dtype)
        self._stream: Any = None
        try:
            self._stream = sounddevice.RawInputStream(
                samplerate=rate,
                blocksize=round(_BLOCK_S.get(rate, _SHORT_BLOCK_S) * rate),
                device=index,
                channels=channels,
                dtype=dtype,
                latency="high",  # the driver's buffer, not ours: more room when the system stalls
                callback=self._callback,
                finished_callback=self._finished,
            )
        except sounddevice.PortAudioError as error:
            raise EdgeSerError(
                f"{name} cannot be opened at {rate} Hz ({portaudio_words(error)}); is it in use, "
                "or its audio server down? `edge-ser devices` lists others"
            ) from error

    def _callback(self, data: Any, frames: int, when: Any, status: Any) -> None:
        # On the driver's thread: copy, note, return.
        self._capture.write(data, self._now(), when.inputBufferAdcTime, bool(status.input_overflow))

    def _finished(self) -> None:
        self._capture.end(self._now())

    def start(self) -> None:
        """See `Opening.start`."""
        try:
            self._stream.start()
        except self._sounddevice.PortAudioError as error:
            raise EdgeSerError(
                f"{self.name} does not start ({portaudio_words(error)}); see `edge-ser devices`"
            ) from error

    def read(self, timeout: float) -> Chunk | None:
        """See `Opening.read`."""
        return self._capture.read(timeout)

    def stop(self) -> None:
        """See `Opening.stop`."""
        try:
            self._stream.stop()  # returns after the last callback; then _finished ends the capture
        except self._sounddevice.PortAudioError:
            self._finished()  # it was gone already

    def ended(self) -> str:
        """See `Opening.ended`."""
        return "stopped giving audio (it was unplugged, or its sound server stopped)"

    def close(self) -> None:
        """See `Opening.close`."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close(ignore_errors=True)


class _PortAudio:
    """The library, which was started when the package was imported."""

    def __init__(self, sounddevice: Any) -> None:
        self._sounddevice = sounddevice
        self._running = True

    def start_anew(self) -> None:
        """It lists devices once, and keeps talking to a server that is dead, until it is started anew.

        Raises
        ------
        EdgeSerError
            It does not start; it can be tried again.
        """
        try:
            if self._running:
                self._running = False  # what did not start must not be ended again
                self._sounddevice._terminate()
            self._sounddevice._initialize()
        except self._sounddevice.PortAudioError as error:
            raise EdgeSerError(
                f"PortAudio does not start anew ({portaudio_words(error)}); see `edge-ser devices`"
            ) from error
        self._running = True


def open_microphone(
    name: str = "",
    *,
    rate: int | None = None,
    channel: int | str = 1,
    backend: Any = None,
    clock: Clock | None = None,
    capture: Callable[[int, int, str], Capture] = Capture,
) -> LiveSource:
    """Open a microphone through PortAudio.

    Parameters
    ----------
    name : str
        See `find_device`.
    rate : int, optional
        Samples a second to open it with; see `rates_to_try` when left out.
    channel : int or "mix"
        See `LiveSource`.
    backend : module, optional
        What stands for ``sounddevice`` in tests.
    clock : Clock, optional
        See `LiveSource`.
    capture : callable
        See `PortAudioOpening`.

    Raises
    ------
    MissingExtraError
        The package sounddevice is not installed, or soxr, which another rate than 16 kHz needs.
    EdgeSerError
        PortAudio or the microphone is not there.
    """
    sounddevice = backend if backend is not None else load_sounddevice()
    clock = clock if clock is not None else Clock()
    ring = {"capture": capture, "now": clock.now}
    first: InputDevice | None = None  # no other is opened in its place, but for the default, which may change
    beside: set[str] = set()
    portaudio = _PortAudio(sounddevice)

    def open_again() -> PortAudioOpening:
        nonlocal first
        if first is not None:
            portaudio.start_anew()
        devices = input_devices(sounddevice)
        device = find_again(devices, first, beside) if first and name else find_device(devices, name)
        rates = [rate] if rate else rates_to_try(device, devices)
        opening = _open(sounddevice, device, rates, channel, ring)
        _forget_plugins()
        if first is None:
            first = device
            beside.update(other.name for other in devices)
        return opening

    return LiveSource(open_again, channel=channel, clock=clock)


def _open(
    sounddevice: Any, device: InputDevice, rates: list[int], channel: int | str, ring: dict[str, Any]
) -> PortAudioOpening:
    """The first rate that it opens with; with all channels where it has no single one."""
    wanted = 1 if channel == 1 else device.channels
    refused: EdgeSerError | None = None
    for rate in rates:
        for channels in dict.fromkeys((wanted, device.channels)):
            try:
                return PortAudioOpening(
                    sounddevice, f"mic:{device.name}", device.index, rate=rate, channels=channels, **ring
                )
            except EdgeSerError as error:
                refused = refused or error
    assert refused is not None  # rates is never empty
    raise refused
