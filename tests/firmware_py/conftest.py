"""A microphone without sound hardware: PulseAudio's null sink, recorded through ALSA and PortAudio."""

import importlib
import os
import shutil
import subprocess
import time

import pytest


class VirtualMicrophone:
    """A sound server of our own; what is played into its sink is what its microphone hears."""

    def __init__(self, folder):
        self.env = {key: value for key, value in os.environ.items() if key not in ("PULSE_SERVER", "DISPLAY")}
        for name in ("XDG_RUNTIME_DIR", "HOME"):
            self.env[name] = str(folder / name)
            (folder / name).mkdir(mode=0o700)
        (folder / "HOME" / ".asoundrc").write_text("pcm.!default {type pulse}\nctl.!default {type pulse}\n")
        self.start()

    def start(self):
        self.server = subprocess.Popen(
            ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--disallow-exit",
             "-L", "module-native-protocol-unix",
             "-L", "module-null-sink sink_name=vspk rate=16000 channels=1 format=s16le",
             "-L", "module-remap-source master=vspk.monitor source_name=vmic"],
            env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        give_up = time.monotonic() + 15
        while subprocess.run(
            ["pactl", "set-default-source", "vmic"], env=self.env, capture_output=True
        ).returncode:
            assert self.server.poll() is None and time.monotonic() < give_up, (
                "the sound server does not start"
            )
            time.sleep(0.1)

    def play(self, path):
        subprocess.run(["paplay", "-d", "vspk", str(path)], env=self.env, check=True, timeout=60)

    def kill(self):
        self.server.kill()
        self.server.wait()


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
