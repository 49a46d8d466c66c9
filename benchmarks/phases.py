"""What hearing both halves of the frames is worth to stream72k: when a recording begins is no part of what it says.

Each fold's checkpoint, made to hear one phase and two (`Stream72kConfig.phases`, the same weights), answers the clips
of the speakers that it never heard: as they are, and begun later by half a frame and by a whole one, which is less than
a fiftieth of a second. What changes between them is chance.

    python -m benchmarks.phases results/ravdess-session --out results/phases.json
"""

from __future__ import annotations

import benchmarks.one_thread  # noqa: F401  isort: skip
import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.running import place, run_main
from edge_ser.audio import load_audio
from edge_ser.commands._output import write_table
from edge_ser.corpora import Clip, Corpus, load_corpus
from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.folds import fold_checkpoints, load_fold
from edge_ser.evaluation.metrics import uar
from edge_ser.evaluation.paper_tests import SAME
from edge_ser.evaluation.score import whole_clip
from edge_ser.files import write_json
from edge_ser.models.stream72k import Stream72k
from edge_ser.progress import progress_bar

#: Frames that a recording begins later by.
LATER = (0.0, 0.5, 1.0)


def answers(
    model: Stream72k, spec: MelSpec, clips: Sequence[Clip], labels: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Labels (len(LATER), clips) and ratings (len(LATER), clips, 3) of clips begun later."""
    columns = [model.config.labels.index(label) for label in labels]
    size = model.config.step_frames
    said, rated = [], []
    for clip in clips:
        wave = load_audio(clip.path)
        heard = [model.heard(wave[round(later * spec.hop_length) :], spec) for later in LATER]
        told = [whole_clip(model, frames[: len(frames) // size * size]) for frames in heard]
        said.append([int(np.argmax(logits[columns])) for _, logits in told])
        rated.append([adv for adv, _ in told])
    return np.array(said).T, np.array(rated).transpose(1, 0, 2)


def with_phases(model: Stream72k, phases: int) -> Stream72k:
    """The same weights, hearing so many phases."""
    other = Stream72k(dataclasses.replace(model.config, phases=phases))
    other.load_state_dict(model.state_dict())
    return other.eval()


def measure(folder: Path, corpus: Corpus) -> dict[str, Any]:
    """Figures of one phase and two over all folds and seeds."""
    found = fold_checkpoints(folder)
    rows: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    macs: dict[int, int] = {}
    with progress_bar("folds", 2 * len(found)) as bar:
        for (seed, fold), phases in bar.wrap([(one, phases) for one in sorted(found) for phases in rows]):
            model, meta = load_fold(found[seed, fold], fold, corpus)
            if not isinstance(model, Stream72k):
                raise EdgeSerError(f"{found[seed, fold]} is no stream72k, and only that hears phases")
            if lacking := [label for label in corpus.labels if label not in model.config.labels]:
                raise EdgeSerError(f"{found[seed, fold]} does not know {', '.join(lacking)} of {corpus.name}")
            model, spec = with_phases(model, phases), MelSpec.from_dict(meta["spec"])
            macs[phases] = model.macs_per_second(spec)
            _, test = corpus.split(fold)
            clips = [clip for clip in test if clip.emotion is not None]
            truth = np.array([corpus.labels.index(clip.emotion or "") for clip in clips])
            said, rated = answers(model, spec, clips, corpus.labels)
            moved = np.abs(rated[1:] - rated[0])
            rows[phases].append(
                {
                    "uar": uar(truth, said[0]),
                    "same_label": float(np.mean(said[1:] == said[0])),
                    "moved": float(moved.mean()),
                    "same_rating": float(np.mean(moved < SAME)),
                }
            )
    return {
        "corpus": corpus.name,
        "checkpoints": folder.name,
        "folds": len({fold for _, fold in found}),
        "seeds": len({seed for seed, _ in found}),
        "later_frames": LATER[1:],
        "phases": [
            {"phases": phases, "macs_per_s": macs[phases]}
            | {name: float(np.mean([row[name] for row in own])) for name in own[0]}
            for phases, own in rows.items()
        ],
    }


def main() -> int:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of foldF-seedS.safetensors")
    parser.add_argument("--corpus", default="ravdess")
    parser.add_argument("--out", type=place, help="JSON file for the figures")
    args = parser.parse_args()
    result = measure(args.folder, load_corpus(args.corpus))
    write_table(result["phases"], "md")
    if args.out is not None:
        write_json(args.out, result)
        print(f"figures: {args.out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    run_main(main)
