"""A microphone without sound hardware: PulseAudio's null sink, recorded through ALSA and PortAudio."""

import importlib
import shutil

import pytest

from benchmarks.virtual_microphone import VirtualMicrophone


@pytest.fixture
def virtual_microphone(tmp_path_factory):
    missing = [name for name in ("pulseaudio", "pactl", "paplay") if shutil.which(name) is None]
    if missing:
        pytest.skip(
            f"{', '.join(missing)} not installed (apt install pulseaudio pulseaudio-utils libasound2-plugins)"
        )
    try:
        importlib.import_module("sounddevice")
    except (ImportError, OSError) as error:
        pytest.skip(f"no PortAudio: {error} (pip install sounddevice, apt install libportaudio2)")
    microphone = VirtualMicrophone(tmp_path_factory.mktemp("sound"))
    yield microphone
    microphone.kill()
