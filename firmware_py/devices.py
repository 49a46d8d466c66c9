"""The microphones that PortAudio lists: which one a name means, and how to open it."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from edge_ser.audio import SAMPLE_RATE
from edge_ser.errors import EdgeSerError, MissingExtraError, require

__all__ = [
    "InputDevice",
    "find_again",
    "find_device",
    "input_devices",
    "load_sounddevice",
    "portaudio_words",
    "rates_to_try",
]

# Sound servers bring any rate to any other with good filters, and to theirs 16 kHz is one more client.
_SERVERS = ("pulse", "pipewire", "jack")
_CARD = re.compile(r"\(hw:\d+,\d+\)")


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


def load_sounddevice() -> Any:
    """The package sounddevice, which loads and starts PortAudio.

    Raises
    ------
    EdgeSerError
        It or PortAudio is not installed.
    """
    try:
        return require("sounddevice", extra="mic", purpose="hearing a microphone")
    except MissingExtraError as error:
        if "PortAudio" in str(error):
            raise EdgeSerError(
                "the library PortAudio is not installed; on Debian and Raspberry Pi OS: apt install libportaudio2"
            ) from error
        raise


def input_devices(backend: Any = None) -> list[InputDevice]:
    """All microphones that PortAudio finds, in its order; an empty list where there is none.

    Parameters
    ----------
    backend : module, optional
        What stands for ``sounddevice`` in tests.

    Raises
    ------
    MissingExtraError
        The package sounddevice is not installed.
    EdgeSerError
        PortAudio is not installed or fails.
    """
    sounddevice = backend if backend is not None else load_sounddevice()
    try:
        devices, hosts = sounddevice.query_devices(), sounddevice.query_hostapis()
        default = sounddevice.default.device[0]
    except sounddevice.PortAudioError as error:
        raise EdgeSerError(f"PortAudio cannot list the microphones: {portaudio_words(error)}") from error
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


def find_again(devices: list[InputDevice], first: InputDevice, beside: Collection[str]) -> InputDevice:
    """The microphone that was opened before, also where ALSA has given its card another number since.

    Parameters
    ----------
    devices : list of InputDevice
        Those there are.
    first : InputDevice
        It, as it was listed when it was opened first.
    beside : collection of str
        Names of all that were listed then: of two of one make, the other is not taken in its place.

    Raises
    ------
    EdgeSerError
        It is not there, or several may be it.
    """
    same = [device for device in devices if device.host == first.host and _make(device) == _make(first)]
    exact = [device for device in same if device.name == first.name]
    found = exact or [device for device in same if device.name not in beside]
    if len(found) != 1:
        raise EdgeSerError(f"{len(found)} microphones may be {first.name!r}; see `edge-ser devices`")
    return found[0]


def _make(device: InputDevice) -> str:
    """Its name without ALSA's number of the card, which depends on what was plugged in before it."""
    return _CARD.sub("", device.name)


def rates_to_try(device: InputDevice, devices: list[InputDevice]) -> list[int]:
    """The rates to open a microphone with, the best first.

    A sound server is asked for 16 kHz. Hardware (``hw:``) is too, since what it accepts it does itself, and else for
    its own rate. Whatever else ALSA lists would convert by drawing straight lines between samples, so it is asked
    for its own rate and we resample.
    """
    served = any(server in other.name.casefold() for other in devices for server in _SERVERS)
    name = device.name.casefold()
    server = any(word in name for word in _SERVERS) or (name == "default" and served)
    if device.host != "ALSA" or server or "hw:" in name:
        rates = [SAMPLE_RATE, device.sample_rate, 48_000, 44_100]
    else:
        rates = [device.sample_rate, 48_000, 44_100, SAMPLE_RATE]
    return list(dict.fromkeys(rates))


def portaudio_words(error: Exception) -> str:
    """PortAudio's words without its codes."""
    return str(error.args[0]) if error.args else str(error)
