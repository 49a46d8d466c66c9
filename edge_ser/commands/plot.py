"""``edge-ser plot``: a recording as features see it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge_ser.audio import load_audio
from edge_ser.dsp.spec import WINDOWS
from edge_ser.errors import EdgeSerError

__all__ = ["add_arguments", "run"]

WHAT = "waveform,spectrogram,mel,mfcc,chroma,centroid"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Pictures of a sound file over time in seconds: waveform, spectrogram, the same under a Hann, a Hamming and a "
        "rectangular window, mel spectrogram, MFCC, chroma, spectral centroid and bandwidth. Files are drawn as the "
        "models hear them, at 16 kHz. What a model says over time is drawn by edge-ser predict --plot."
    )
    parser.epilog = """\
examples:
  edge-ser plot speech.wav --out speech.png
  edge-ser plot speech.wav --out windows.png --what waveform,windows --n-fft 1024
  edge-ser plot speech.wav --out paper.pdf --what mel,mfcc
  edge-ser plot noisy.wav --out quiet.png --denoise 1
"""
    parser.add_argument("file", metavar="FILE", help="a sound file")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="PNG", help="the picture (also .svg, .pdf)"
    )
    parser.add_argument(
        "--what",
        default=WHAT,
        metavar="NAME,...",
        help=f"panels, from top to bottom (default {WHAT}; also windows)",
    )
    parser.add_argument(
        "--n-fft", type=int, default=512, metavar="N", help="samples of a frame (default 512: 32 ms)"
    )
    parser.add_argument(
        "--hop", type=int, metavar="N", help="samples from frame to frame (default an eighth of it)"
    )
    parser.add_argument(
        "--window", choices=WINDOWS, default="hann", help="of all panels but windows (default hann)"
    )
    parser.add_argument(
        "--denoise",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of the steady background that is taken away first, 0 to 1 (default 0)",
    )


def run(args: argparse.Namespace) -> int:
    """Draw it."""
    from edge_ser.dsp.denoise import spectral_gate
    from edge_ser.evaluation.canvas import check_picture
    from edge_ser.evaluation.portrait import plot_recording

    check_picture(args.out)
    if not args.out.parent.is_dir():
        raise EdgeSerError(f"there is no folder {args.out.parent} for the picture")
    plot_recording(
        args.out,
        spectral_gate(load_audio(args.file), reduction=args.denoise),
        what=[name.strip() for name in args.what.split(",") if name.strip()],
        n_fft=args.n_fft,
        hop_length=args.hop,
        window=args.window,
        title=Path(args.file).name,
    )
    print(f"picture: {args.out}", file=sys.stderr)
    return 0
