"""What listing devices leaves in memory."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


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
