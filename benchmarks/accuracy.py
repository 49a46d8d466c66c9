"""How far the compiled and the float32 forms are from NumPy's double precision, over real speech."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import BATCH, OURS
from edge_ser.audio import load_audio
from edge_ser.dsp import MelSpec

CORPORA = ("ravdess", "emodb", "emotale", "nemo", "aesdd")
COMPARED = (OURS, "edge-ser, Numba kernel in float32", "scipy, rfft in float32 and matrix product")
SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")


def recordings(root: Path, corpus: str, count: int) -> list[Path]:
    """That many sound files of a corpus, spread evenly over it."""
    found = sorted(path for path in (root / corpus).rglob("*") if path.suffix.lower() in SUFFIXES)
    return found[:: max(1, len(found) // count)][:count]


def accuracy(root: Path, spec: MelSpec, count: int = 40) -> list[dict[str, Any]]:
    """Absolute differences in dB of every band of every frame, for a spec in 'db' without normalisation."""
    rows = []
    for corpus in CORPORA:
        waves = [load_audio(path) for path in recordings(root, corpus, count)]
        if not waves:
            continue
        exact = [BATCH["edge-ser, NumPy"](spec)(x) for x in waves]
        for name in COMPARED:
            run = BATCH[name](spec)
            # The libraries beside ours stop at log10.
            factor = 10.0 if name.startswith("scipy") else 1.0
            errors = np.concatenate(
                [np.abs(factor * run(x) - y).ravel() for x, y in zip(waves, exact, strict=True)]
            )
            rows.append(
                {
                    "corpus": corpus,
                    "files": len(waves),
                    "name": name,
                    "db": {
                        "max": float(f"{errors.max():.3g}"),
                        "p99.9": float(f"{np.quantile(errors, 0.999):.3g}"),
                        "median": float(f"{np.median(errors):.3g}"),
                    },
                }
            )
    return rows
