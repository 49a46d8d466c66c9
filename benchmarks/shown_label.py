"""How the one label that listeners are shown (`firmware_py.steady`) should follow the model's answers.

Each rule hears the same joined clips through the fold's own model in int8, as ``edge-ser evaluate --streaming`` does.
What holds off a change costs turns that would have become right, and saves labels that flicker; smoothing does the same
once more after the model, whose pool is a mean over the turn already.

    python -m benchmarks.shown_label --choose results/ravdess-session --look runs/stream72k-mean \\
        --out results/shown-label.json

The rule is chosen by folds 1 to 4 of the first; the second, the twin of the shipped model on fold 0, is only looked at.
"""

from __future__ import annotations

import benchmarks.one_thread  # noqa: F401  isort: skip
import argparse
import dataclasses
import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.running import count, place, run_main
from edge_ser.commands._output import write_table
from edge_ser.commands.evaluate import device_form
from edge_ser.corpora import load_corpus
from edge_ser.evaluation.battery import spread_over
from edge_ser.evaluation.folds import lowest_seed
from edge_ser.evaluation.streaming import joined_by_fold, stream_quality
from edge_ser.files import write_json
from edge_ser.progress import progress_bar
from firmware_py.prediction import Prediction
from firmware_py.steady import Steady


class Smoothed(Steady):
    """Follows probabilities that are smoothed exponentially over the time in which something was heard."""

    def __init__(self, *, smooth_s: float, margin: float, settle_s: float) -> None:
        super().__init__(margin=margin, settle_s=settle_s)
        self._smooth_s = smooth_s
        self._smooth: np.ndarray | None = None

    def label_after(self, prediction: Prediction) -> str | None:
        took = (prediction.end - self._last_end) / prediction.sample_rate
        if prediction.state in ("speech", "unsure"):
            new = np.array(list(prediction.emotion.values()))
            held = new if self._smooth is None or prediction.turn != self._turn else self._smooth
            self._smooth = held + (1 - np.exp(-took / self._smooth_s)) * (new - held)
            emotion = dict(zip(prediction.emotion, self._smooth.tolist(), strict=True))
            prediction = dataclasses.replace(prediction, emotion=emotion)
        return super().label_after(prediction)


@dataclasses.dataclass(frozen=True)
class Kept:
    """A recording's answers, in the place of the recognizer that gave them."""

    answers: Sequence[Prediction]
    step_samples: int

    def stream(self, *, turns: bool, adapt: bool) -> Kept:
        return self

    def push(self, wave: np.ndarray) -> Sequence[Prediction]:
        return self.answers


def rules() -> dict[tuple[float, float, float], Callable[[], Steady]]:
    """By seconds of smoothing, margin and seconds before the first label."""
    made: dict[tuple[float, float, float], Callable[[], Steady]] = {}
    for settle_s in (0.5, 1.0):
        for margin in (0.0, 0.1, 0.2, 0.3, 0.4):
            made[0.0, margin, settle_s] = functools.partial(Steady, margin=margin, settle_s=settle_s)
    for smooth_s in (0.5, 1.5):
        for settle_s in (0.5, 1.0):
            made[smooth_s, 0.1, settle_s] = functools.partial(
                Smoothed, smooth_s=smooth_s, margin=0.1, settle_s=settle_s
            )
    return made


def measure(folder: Path, folds: Sequence[int], count: int) -> dict[str, Any]:
    """Figures of the model's own label and of each rule's, on up to `count` clips of each fold."""
    corpus = load_corpus("ravdess")
    clips = [
        clip
        for fold in folds
        for clip in spread_over([c for c in corpus.clips if c.emotion is not None and c.fold == fold], count)
    ]
    device = device_form("litert", "int8", "mse")
    assert device is not None
    kept = []
    with progress_bar(folder.name, -(-len(clips) // 10)) as bar:
        for recognizer, recording in bar.wrap(joined_by_fold(folder, corpus, clips, device)):
            stream = recognizer.stream(turns=True)
            kept.append((Kept(stream.push(recording.wave), stream.step_samples), recording))
    rows = []
    for (smooth_s, margin, settle_s), rule in rules().items():
        figures = stream_quality(kept, corpus.labels, shown=rule)["figures"]  # type: ignore[arg-type]
        rows.append({"smooth_s": smooth_s, "margin": margin, "settle_s": settle_s} | figures["steady"])
    return {
        "checkpoints": folder.name,
        "folds": list(folds),
        "turns": figures["turns"],
        "raw": {name: figures[name] for name in figures["steady"]},
        "rules": rows,
    }


def main() -> int:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--choose", type=Path, required=True, help="checkpoints of RAVDESS's folds")
    parser.add_argument("--look", type=Path, required=True, help="a checkpoint that held out fold 0")
    parser.add_argument("--clips", type=count, default=300, help="of a fold (default 300)")
    parser.add_argument("--out", type=place, help="JSON file for the figures")
    args = parser.parse_args()
    parts = {"chosen_by": (args.choose, (1, 2, 3, 4)), "looked_at": (args.look, (0,))}
    for folder, folds in parts.values():  # each takes long, so all of them must be there before the first
        lowest_seed(folder, folds)
    result = {told: measure(folder, folds, args.clips) for told, (folder, folds) in parts.items()}
    for part in result.values():
        write_table([part["raw"], *part["rules"]], "md")
    if args.out is not None:
        write_json(args.out, result)
        print(f"figures: {args.out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    run_main(main)
