#!/usr/bin/env python3
"""Draw docs/augmentation.png: the same second of speech as each perturbation leaves them.

    python scripts/plot_augmentation.py [SPEECH] [--out FILE.png] [--wav FOLDER]

The sample of `make demo` is drawn where no other sound file is named; of each, 0.9 to 2.3 s. ``--wav`` writes what is
drawn as sound.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edge_ser import perturb
from edge_ser.audio import SAMPLE_RATE, load_audio, write_wav
from edge_ser.dsp import MelSpec, log_mel
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.canvas import figure_at
from edge_ser.files import write_atomic

ROOT = Path(__file__).resolve().parents[1]
SPEC = MelSpec(mean=0.0, scale=1.0)
SPAN_S = (0.9, 2.3)  # of the sample: its first sentence
RANGE_DB = 60.0
COLUMNS = 4


def pictured(wave: np.ndarray) -> Mapping[str, np.ndarray]:
    """What is drawn, by title."""
    rng = np.random.default_rng(0)
    return {
        "the clip": wave,
        "speed(1.25)": perturb.speed(wave, 1.25),
        "tempo(1.25)": perturb.tempo(wave, 1.25),
        "tempo(0.8)": perturb.tempo(wave, 0.8),
        "pitch(+4)": perturb.pitch(wave, 4.0),
        "pitch(-4)": perturb.pitch(wave, -4.0),
        "formants(1.2)": perturb.formants(wave, 1.2),
        "reverberate(room of 0.8 s)": perturb.reverberate(wave, perturb.room_response(0.8, -3.0, rng)),
        "add_noise(pink, 10 dB)": perturb.add_noise(wave, perturb.pink_noise(len(wave), rng), 10.0, rng),
        "tilt(-4 dB per octave)": perturb.tilt(wave, -4.0),
        "microphone(5 dB)": perturb.microphone(wave, 5.0, rng),
        "mix(speech, brown noise, 0.6)": perturb.mix(wave, perturb.coloured_noise(len(wave), rng, -6.0), 0.6),
        "lowpass(3 kHz)": perturb.lowpass(wave, 3000.0),
        "clip(0.2)": perturb.clip(wave, 0.2),
        "telephone": perturb.telephone(wave),
        "codec(adpcm)": perturb.codec(wave, "adpcm"),
        "codec(vorbis, smallest)": perturb.codec(wave, "vorbis", 1.0),
        "codec(gsm)": perturb.codec(wave, "gsm"),
        "codec(opus, smallest)": perturb.codec(wave, "opus", 1.0),
        "lose_packets(0.15)": perturb.lose_packets(wave, 0.15, rng),
    }


def draw(waves: Mapping[str, np.ndarray], path: Path) -> None:
    """A log-mel picture of each as a PNG file, all on one scale of time and level."""
    spectra = {name: log_mel(wave, SPEC) for name, wave in waves.items()}
    loudest = max(float(spectrum.max()) for spectrum in spectra.values())
    longest = max(len(wave) for wave in waves.values()) / SAMPLE_RATE
    rows = -(-len(spectra) // COLUMNS)
    with figure_at(path, (12, 1.75 * rows), 75) as figure:
        axes = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False)
        for axis, (name, spectrum) in zip(axes.flat, spectra.items(), strict=False):
            axis.imshow(
                spectrum.T,
                origin="lower",
                interpolation="nearest",
                aspect="auto",
                cmap="magma",
                vmin=loudest - RANGE_DB,
                vmax=loudest,
                extent=(0, len(waves[name]) / SAMPLE_RATE, 0, SPEC.n_mels),
            )
            axis.set_title(name, fontsize=9)
            axis.set_xlim(0, longest)
        for axis in axes[-1]:
            axis.set_xlabel("s")
        for axis in axes[:, 0]:
            axis.set_ylabel("band")
    _fewer_colours(path)


def _fewer_colours(path: Path) -> None:
    """64 colours are enough for the eye, and a third of the bytes."""
    from PIL import Image

    small = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").quantize(64).save(small, format="png", optimize=True)
    write_atomic(path, small.getvalue())


def main() -> int:
    """Draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("speech", nargs="?", type=Path, default=ROOT / "edge_ser" / "samples" / "demo.flac")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "augmentation.png")
    parser.add_argument("--wav", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    try:
        speech = load_audio(args.speech)[slice(*(round(s * SAMPLE_RATE) for s in SPAN_S))]
        if not np.any(speech):
            raise EdgeSerError(
                f"{args.speech} has no sound from {SPAN_S[0]} to {SPAN_S[1]} s, which is drawn; name another"
            )
        waves = pictured(speech)
        draw(waves, args.out)
        if args.wav is not None:
            args.wav.mkdir(parents=True, exist_ok=True)
            for number, (name, wave) in enumerate(waves.items()):
                write_wav(args.wav / f"{number:02d} {name}.wav", wave)
    except EdgeSerError as error:
        print(f"plot_augmentation: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
