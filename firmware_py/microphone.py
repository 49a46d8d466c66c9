"""Microphones, through PortAudio."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_ser.audio import SAMPLE_RATE
from edge_ser.errors import EdgeSerError, MissingExtraError, require

from .blocks import Block
from .capture import Capture
from .stop import Stop

__all__ = ["InputDevice", "MicrophoneSource", "find_device", "input_devices"]

# 62.5 ms; a quarter of a step, so a step's last sample is also a block's. Waking up is what capture costs: 1.1 % of a
# core with blocks of 25 ms, 0.45 % with these (PulseAudio, x86-64).
_BLOCK = 1000
_RING_S = 8.0
_WAIT_S = 0.25
_DEAD_AFTER_S = 5.0  # a running stream that gives nothing for so long is dead
_SCALE = np.float32(1 / 32768)


@dataclass(frozen=True, slots=True)
class InputDevice:
    """A microphone as PortAudio lists it.

    Attributes
    ----------
    index : int
        PortAudio's number; it may change when devices come and go.
    name : str
        What ``mic:NAME`` is compared with.
    host : str
        The host interface, for instance ``ALSA``.
    channels : int
        Input channels at most.
    sample_rate : int
        The device's own rate in Hz.
    default : bool
        It is what ``mic`` opens.
    """

    index: int
    name: str
    host: str
    channels: int
    sample_rate: int
    default: bool


def _sounddevice() -> Any:
    try:
        return require("sounddevice", extra="mic", purpose="hearing a microphone")
    except MissingExtraError as error:
        if "PortAudio" in str(error):
            raise EdgeSerError(
                "the library PortAudio is not installed; on Debian and Raspberry Pi OS: apt install libportaudio2"
            ) from error
        raise


def input_devices() -> list[InputDevice]:
    """All microphones that PortAudio finds, in its order; an empty list where there is none.

    Raises
    ------
    MissingExtraError
        The package sounddevice is not installed.
    EdgeSerError
        PortAudio is not installed or fails.
    """
    sounddevice = _sounddevice()
    try:
        devices, hosts = sounddevice.query_devices(), sounddevice.query_hostapis()
        default = sounddevice.default.device[0]
    except sounddevice.PortAudioError as error:
        raise EdgeSerError(f"PortAudio cannot list the microphones: {_reason(error)}") from error
    return [
        InputDevice(
            index=index,
            name=device["name"],
            host=hosts[device["hostapi"]]["name"],
            channels=device["max_input_channels"],
            sample_rate=round(device["default_samplerate"]),
            default=index == default,
        )
        for index, device in enumerate(devices)
        if device["max_input_channels"] > 0
    ]


def find_device(devices: list[InputDevice], name: str) -> InputDevice:
    """The one microphone that a name means.

    Parameters
    ----------
    devices : list of InputDevice
        Those there are.
    name : str
        A name or a part of one, in any case, or PortAudio's number; empty for the default.

    Raises
    ------
    EdgeSerError
        None or several fit; the sentence lists them.
    """
    if not devices:
        raise EdgeSerError(
            "no microphone was found; plug one in and see `edge-ser devices`, or name a sound file instead"
        )
    if not name:
        return next((device for device in devices if device.default), devices[0])
    wanted = name.casefold()
    exact = [device for device in devices if device.name.casefold() == wanted or str(device.index) == name]
    found = exact or [device for device in devices if wanted in device.name.casefold()]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{device.name!r} ({device.index})" for device in found or devices)
    if found:
        raise EdgeSerError(
            f"several microphones fit {name!r}: {listed}; give more of the name, or the number"
        )
    raise EdgeSerError(f"there is no microphone {name!r}; there are: {listed}")


def _reason(error: Exception) -> str:
    """PortAudio's words without its codes."""
    return str(error.args[0]) if error.args else str(error)


class MicrophoneSource:
    """A microphone, captured by a callback that only copies.

    Parameters
    ----------
    name : str
        See `find_device`.
    backend : module, optional
        What stands for ``sounddevice`` in tests; its default device is opened.
    capture : Capture, optional
        The ring; one of 8 s when left out.

    Raises
    ------
    MissingExtraError
        The package sounddevice is not installed.
    EdgeSerError
        PortAudio or the microphone is not there.
    """

    live = True

    def __init__(self, name: str = "", *, backend: Any = None, capture: Capture | None = None) -> None:
        self._sounddevice = backend if backend is not None else _sounddevice()
        self._capture = capture if capture is not None else Capture(round(_RING_S * SAMPLE_RATE))
        device = None
        if backend is None:
            device = find_device(input_devices(), name)
        self.name = f"mic:{device.name}" if device is not None else "mic"
        self._next_adc = 0.0
        self._stream: Any = None
        try:
            self._stream = self._sounddevice.RawInputStream(
                samplerate=SAMPLE_RATE,
                blocksize=_BLOCK,
                device=None if device is None else device.index,
                channels=1,
                dtype="int16",
                latency="high",  # the driver's buffer, not ours: more room when the system stalls
                callback=self._callback,
                finished_callback=self._finished,
            )
        except self._sounddevice.PortAudioError as error:
            raise EdgeSerError(
                f"{self.name} cannot be opened at {SAMPLE_RATE} Hz ({_reason(error)}); is it in use, "
                "or its audio server down? `edge-ser devices` lists others"
            ) from error

    def _callback(self, data: Any, frames: int, when: Any, status: Any) -> None:
        # On the driver's thread: copy, book, return.
        lost = 0
        adc = when.inputBufferAdcTime
        if status.input_overflow:
            # The flag says that samples were dropped, the time stamps how many; without stamps, a block is assumed.
            lost = max(0, round((adc - self._next_adc) * SAMPLE_RATE)) if adc and self._next_adc else frames
        self._next_adc = adc + frames / SAMPLE_RATE if adc else 0.0
        self._capture.write(data, time.monotonic(), lost)

    def _finished(self) -> None:
        self._capture.end(time.monotonic())

    def blocks(self, stop: Stop) -> Iterator[Block]:
        """See `Source.blocks`; what is in the ring when the end is asked for is still given."""
        try:
            self._stream.start()
        except self._sounddevice.PortAudioError as error:
            raise EdgeSerError(
                f"{self.name} does not start ({_reason(error)}); see `edge-ser devices`"
            ) from error
        heard_at = time.monotonic()
        stopping = False
        while True:
            if stop.requested and not stopping:
                stopping = True
                self._stream.stop()  # returns after the last callback; then _finished ends the capture
            chunk = self._capture.read(_WAIT_S)
            if chunk is None:
                if stopping:
                    return
                if time.monotonic() - heard_at > _DEAD_AFTER_S:
                    raise EdgeSerError(
                        f"{self.name} has given nothing for {_DEAD_AFTER_S:g} s; "
                        "is it muted, unplugged, or its audio server stopped?"
                    )
                continue
            heard_at = time.monotonic()
            if len(chunk.samples) or chunk.lost:
                yield Block(chunk.samples.astype(np.float32) * _SCALE, chunk.arrival, chunk.lost)
            if chunk.end:
                if stopping:
                    return
                raise EdgeSerError(
                    f"{self.name} stopped giving audio; was it unplugged, or its audio server stopped?"
                )

    def close(self) -> None:
        """Stop and close the stream."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
