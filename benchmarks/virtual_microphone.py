"""A microphone without sound hardware: PulseAudio's null sink, whose monitor is heard through ALSA or PortAudio."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path


class VirtualMicrophone:
    """A sound server of our own; what is played into its sink is what its microphone hears.

    `env` is what programs that are to hear it need; `folder` keeps their settings and the server's socket.
    """

    def __init__(self, folder: Path) -> None:
        self.env = {key: value for key, value in os.environ.items() if key not in ("PULSE_SERVER", "DISPLAY")}
        for name in ("XDG_RUNTIME_DIR", "HOME"):
            self.env[name] = str(folder / name)
            (folder / name).mkdir(mode=0o700)
        (folder / "HOME" / ".asoundrc").write_text("pcm.!default {type pulse}\nctl.!default {type pulse}\n")
        self.start()

    def start(self) -> None:
        self.server = subprocess.Popen(
            ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--disallow-exit",
             "-L", "module-native-protocol-unix",
             "-L", "module-null-sink sink_name=vspk rate=16000 channels=1 format=s16le norewinds=1",
             "-L", "module-remap-source master=vspk.monitor source_name=vmic"],
            env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            self._wait()
        except BaseException:  # nobody has it yet who could end it
            self.kill()
            raise

    def _wait(self) -> None:
        give_up = time.monotonic() + 20
        while subprocess.run(
            ["pactl", "set-default-source", "vmic"], env=self.env, capture_output=True, check=False
        ).returncode:
            if self.server.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError("the sound server does not start")
            time.sleep(0.1)

    def playing(self, path: Path) -> subprocess.Popen[bytes]:
        """The process that plays a file."""
        return subprocess.Popen(["paplay", "-d", "vspk", str(path)], env=self.env)

    def play(self, path: Path) -> None:
        """Play a file to its end."""
        if self.playing(path).wait(timeout=60):
            raise RuntimeError(f"paplay cannot play {path}")

    def kill(self) -> None:
        self.server.kill()
        self.server.wait()
