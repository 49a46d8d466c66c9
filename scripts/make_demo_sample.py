#!/usr/bin/env python3
"""Make the sample that `make demo` listens to: edge_ser/samples/demo.flac, spoken by espeak-ng.

Several voices, calm and agitated, with pauses between them. FLAC and not WAV because half a minute of it stays
below 500 kB in the package; whoever listens to it has the extra ``audio`` anyway. Synthetic speech shows that
the pipeline works; it says nothing of how well a model hears feelings.

    apt-get install espeak-ng
    python scripts/make_demo_sample.py [TARGET]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from edge_ser.audio import SAMPLE_RATE, load_audio

TARGET = Path(__file__).resolve().parents[1] / "edge_ser" / "samples" / "demo.flac"
NOISE_DBFS = -78.0  # a quiet room: no real pause is digital zero


class Line(NamedTuple):
    """What one voice says: pitch 0-99, pitch range in percent, speed in words a minute, level in dBFS (RMS)."""

    voice: str
    pitch: int
    range: int
    speed: int
    level: float
    pause_s: float
    text: str


LINES = (
    Line("en-us+f3", 42, 60, 150, -29, 1.1, "Good evening. The tea is ready, and there is no hurry."),
    Line("en-us+f2", 78, 200, 230, -22, 0.5, "Stop! The door was open all night! How could you forget that?"),
    Line("en-gb+m7", 70, 190, 235, -20, 1.5, "I did not forget! I told you twice, and you never listen!"),
    Line("en-us+f5", 82, 220, 210, -24, 1.1, "Oh, look! They have come! All of them, after so many years!"),
    Line("en-gb+m1", 15, 25, 115, -33, 1.3, "It does not matter any more. I am just tired."),
    Line("en-gb+m3", 28, 40, 140, -30, 0.8, "Then rest a little. I will wake you at nine."),
)


def say(line: Line) -> np.ndarray:
    """One line as (n,) float32 at 16 kHz, without the silence that espeak-ng puts around it."""
    ssml = f'<speak><prosody range="{line.range}%">{line.text}</prosody></speak>'
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "line.wav"
        options = [
            "-v",
            line.voice,
            "-p",
            str(line.pitch),
            "-s",
            str(line.speed),
            "-w",
            str(path),
            "-m",
            ssml,
        ]
        subprocess.run(["espeak-ng", *options], check=True)
        wave = load_audio(path)
    loud = np.flatnonzero(np.abs(wave) > 1e-3)
    wave = wave[loud[0] : loud[-1] + 1]
    return wave * (10 ** (line.level / 20) / np.sqrt(np.mean(wave**2)))


def main() -> None:
    """Write the sample and say how long it is."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    parts = [np.zeros(SAMPLE_RATE, np.float32)]
    for line in LINES:
        parts += [say(line), np.zeros(round(line.pause_s * SAMPLE_RATE), np.float32)]
    wave = np.concatenate(parts)
    wave += np.random.default_rng(0).standard_normal(len(wave)).astype(np.float32) * 10 ** (NOISE_DBFS / 20)
    peak = float(np.abs(wave).max())
    if peak >= 1.0:
        raise SystemExit(f"the sample would clip (peak {peak:.2f}); lower a level")
    target.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(target, wave, SAMPLE_RATE, subtype="PCM_16")
    print(
        f"{target}: {len(wave) / SAMPLE_RATE:.1f} s, {target.stat().st_size / 1000:.0f} kB, peak {peak:.2f}"
    )


if __name__ == "__main__":
    main()
