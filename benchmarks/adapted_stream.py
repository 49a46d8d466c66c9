"""What ``listen --adapt`` is worth in a stream: clips of one speaker joined, heard as a device hears them.

    python -m benchmarks.adapted_stream results/ravdess-live --out results/adapted-stream.json

Each fold's model in int8, set against the typical answers of the models of the other folds to their own speakers; up to
ten clips of a speaker follow each other, and each such recording begins without knowing who speaks.
"""

from __future__ import annotations

import benchmarks.one_thread  # noqa: F401  isort: skip
import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.running import count, place, run_main
from edge_ser.commands._output import write_table
from edge_ser.commands.evaluate import device_form
from edge_ser.corpora import Corpus, load_corpus
from edge_ser.evaluation.answers import Answers
from edge_ser.evaluation.battery import spread_over
from edge_ser.evaluation.evaluate import evaluate_checkpoints
from edge_ser.evaluation.score import Scored
from edge_ser.evaluation.session import typical_answers
from edge_ser.evaluation.streaming import Joined, joined_by_fold, stream_quality
from edge_ser.files import write_json
from edge_ser.progress import progress_bar
from edge_ser.recognizer import Recognizer

KEPT = ("turns", "right_at_end", "stable_in_time", "flips_per_minute")


def used_to(recognizer: Recognizer, answers: Answers, fold: int) -> Recognizer:
    """The same model with the typical answers to speakers of other folds; of labels that the corpus lacks, none."""
    part = answers.take(answers.folds != fold)
    rows = typical_answers(part.scores, part.truth)
    places = [recognizer.labels.index(label) for label in part.labels]
    typical = np.full((len(recognizer.labels),) * 2, rows.min())
    typical[np.ix_(places, places)] = rows
    bundle = recognizer.bundle
    calibration = dataclasses.replace(bundle.calibration, typical=tuple(map(tuple, typical.tolist())))
    return Recognizer(dataclasses.replace(bundle, calibration=calibration), recognizer.engine)


def recordings(
    folder: Path, corpus: Corpus, answers: Answers, count: int, told: str
) -> Iterator[tuple[Recognizer, Joined]]:
    """Up to `count` clips of each fold."""
    folds = corpus.folds()
    for fold in progress_bar(told, len(folds), "fold").wrap(folds):
        mine = [clip for clip in corpus.clips if clip.emotion is not None and clip.fold == fold]
        device = device_form("litert", "int8")
        assert device is not None
        for recognizer, joined in joined_by_fold(folder, corpus, spread_over(mine, count), device):
            yield used_to(recognizer, answers, fold), joined


def main(argv: list[str] | None = None) -> int:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="RAVDESS's checkpoints of folds")
    parser.add_argument("--clips", type=count, default=300, help="of each fold (default %(default)s)")
    parser.add_argument("--out", type=place, required=True, metavar="FILE")
    args = parser.parse_args(argv)
    corpus = load_corpus("ravdess")
    scored: list[Scored] = []
    result = evaluate_checkpoints(args.folder, corpus, onto=scored)
    answers = Answers.of(result, scored, result["labels"])
    first = answers.take(answers.seeds == answers.seeds.min())
    rows: list[dict[str, Any]] = []
    for adapt in (False, True):
        heard = recordings(args.folder, corpus, first, args.clips, "adapted" if adapt else "as it is")
        quality = stream_quality(heard, corpus.labels, adapt=adapt)
        figures = quality["figures"]
        rows += [
            {"label": name, "adapt": adapt, **{key: (one | {"turns": figures["turns"]})[key] for key in KEPT}}
            for name, one in (("the model's own", figures), ("the label shown", figures["steady"]))
        ]
    write_json(args.out, {"protocol": quality["protocol"], "checkpoints": args.folder.name, "rows": rows})
    write_table(rows, "md")
    return 0


if __name__ == "__main__":
    run_main(main)
