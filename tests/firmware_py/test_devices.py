"""Microphones that are listed: names, rates, what is missing, what listing leaves in memory."""

import subprocess
import sys
from pathlib import Path

import pytest

from edge_ser.errors import EdgeSerError, MissingExtraError
from firmware_py import devices
from firmware_py.devices import InputDevice, find_again, find_device, input_devices, rates_to_try
from firmware_py.microphone import open_microphone

ROOT = Path(__file__).parents[2]


def device(index, name, default=False):
    return InputDevice(index, name, "ALSA", 1, 48000, default)


DEVICES = [device(0, "USB Microphone: Audio (hw:1,0)"), device(3, "pulse"), device(4, "default", True)]


@pytest.mark.parametrize(
    ("name", "index"), [("", 4), ("usb", 0), ("PULSE", 3), ("default", 4), ("3", 3), ("hw:1,0", 0)]
)
def test_a_name_means_one_device(name, index):
    assert find_device(DEVICES, name).index == index


def test_names_that_mean_none_or_several():
    with pytest.raises(
        EdgeSerError, match=r"no microphone 'webcam'; there are: 'USB .*' \(0\), 'pulse' \(3\)"
    ):
        find_device(DEVICES, "webcam")
    with pytest.raises(
        EdgeSerError, match=r"several microphones fit 'u': 'USB .*' \(0\), 'pulse' \(3\), 'default'"
    ):
        find_device(DEVICES, "u")
    with pytest.raises(EdgeSerError, match="no microphone was found"):
        find_device([], "")
    assert find_device(DEVICES[:2], "").index == 0  # no default: the first
    # an exact name goes before a longer one that holds it
    assert find_device([device(0, "mic two"), device(1, "mic")], "mic").index == 1


def test_one_that_comes_back_under_another_number():
    first, twin = device(0, "USB: Audio (hw:1,0)"), device(1, "USB: Audio (hw:2,0)")
    moved, pulse = device(0, "USB: Audio (hw:3,0)"), device(3, "pulse")
    alone, both = {first.name, pulse.name}, {first.name, twin.name}
    assert find_again([pulse, moved], first, alone) == moved
    assert find_again([moved, first], first, alone) == first  # the same number goes before
    assert find_again([twin, moved], first, both) == moved
    assert find_again([pulse], pulse, alone) == pulse
    other_host = InputDevice(5, "pulse", "OSS", 1, 48000, False)
    assert find_again([other_host, pulse], pulse, alone) == pulse
    for there, beside in (
        ([pulse], alone),
        ([twin], both),
        ([moved, device(1, "USB: Audio (hw:4,0)")], both),
    ):
        with pytest.raises(EdgeSerError, match="may be 'USB: Audio .hw:1,0.'"):
            find_again(there, first, beside)


def test_missing_packages(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtraError, match=r"hearing a microphone: pip install 'edge-ser\[mic\]'"):
        open_microphone()

    def broken(*args, **options):
        raise MissingExtraError("sounddevice does not load (PortAudio library not found); ...")

    monkeypatch.setattr(devices, "require", broken)
    with pytest.raises(EdgeSerError, match="apt install libportaudio2"):
        input_devices()


@pytest.mark.parametrize(
    ("name", "host", "served", "rates"),
    [
        ("USB: Audio (hw:1,0)", "ALSA", False, [16_000, 44_100, 48_000]),
        ("sysdefault", "ALSA", False, [44_100, 48_000, 16_000]),
        ("default", "ALSA", False, [44_100, 48_000, 16_000]),
        ("default", "ALSA", True, [16_000, 44_100, 48_000]),
        ("pulse", "ALSA", True, [16_000, 44_100, 48_000]),
        ("Built-in Microphone", "Core Audio", False, [16_000, 44_100, 48_000]),
    ],
)
def test_rates_to_try(name, host, served, rates):
    one = InputDevice(0, name, host, 1, 44_100, True)
    others = [InputDevice(1, "pulse", "ALSA", 32, 44_100, False)] if served else []
    assert rates_to_try(one, [one, *others]) == rates


@pytest.mark.microphone
def test_what_only_lists_devices_is_let_go(virtual_microphone):
    """ALSA's encoder of AC-3, which PortAudio opens to list it, brings libavcodec."""
    look = "print('libavcodec' in open('/proc/self/maps').read())\n"
    program = (
        f"import sounddevice\n{look}"
        "from firmware_py.microphone import open_microphone\nsource = open_microphone('pulse')\n"
        f"{look}source.close()\nprint(len(sounddevice.query_devices()))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, cwd=ROOT, env=virtual_microphone.env, check=True
    )
    before, after, devices = ran.stdout.split()
    if before == b"False":
        pytest.skip("ALSA lists no encoder of AC-3 here (apt install libasound2-plugins)")
    assert after == b"False" and int(devices) >= 2
