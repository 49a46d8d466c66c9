"""How softly emotions are expected while a listener gets used to a speaker: what each choice is worth.

    python -m benchmarks.softening --known results/ravdess-live --strangers emodb=runs/pretrain-live-but-emodb ... \\
        --out results/softening.json

The choice is made by the first, new speakers of RAVDESS, where they are mostly neutral; the corpora that a model was
trained without are looked at.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from benchmarks.running import place, run_main
from edge_ser.commands._output import write_table
from edge_ser.corpora import load_corpus
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.answers import Answers
from edge_ser.evaluation.evaluate import evaluate_checkpoints
from edge_ser.evaluation.score import Scored
from edge_ser.evaluation.session import session_figures
from edge_ser.evaluation.unheard import evaluate_unheard, typical_of_training
from edge_ser.files import write_json

SOFTENINGS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, math.inf)
LABELS = ("angry", "happy", "neutral", "sad")
CHECKPOINT = "all-seed0.safetensors"
KEPT = ("uar_alone", "uar", "by_mood", "together", "everyday_alone", "everyday")


def known(folder: Path) -> list[dict[str, Any]]:
    """New speakers of RAVDESS, each by the models of its fold."""
    scored: list[Scored] = []
    result = evaluate_checkpoints(folder, load_corpus("ravdess"), onto=scored)
    return _rows("ravdess", Answers.of(result, scored, result["labels"]), None)


def strangers(name: str, folder: Path) -> list[dict[str, Any]]:
    """Speakers of a corpus that the model was trained without."""
    corpus = load_corpus(name)
    corpus = corpus.restrict([label for label in LABELS if label in corpus.labels])
    path = folder / CHECKPOINT
    scored: list[Scored] = []
    result = evaluate_unheard(path, corpus, onto=scored)
    answers = Answers.of(result, scored, result["labels"])
    typical, _ = typical_of_training(path, answers.labels)
    return _rows(f"{name}, left out", answers, typical)


def _rows(clips: str, answers: Answers, typical: Any) -> list[dict[str, Any]]:
    rows = []
    for softening in SOFTENINGS:
        figures = session_figures(answers, 5, typical_of_training=typical, softening=softening)
        told = "plain mean" if math.isinf(softening) else f"{softening:g}"
        rows.append({"clips": clips, "softening": told, **{k: figures[k] for k in KEPT if k in figures}})
    return rows


def _pair(text: str) -> tuple[str, Path]:
    """A corpus and the folder of a model without it, both there: what comes first takes minutes."""
    name, equals, folder = text.partition("=")
    if not equals:
        raise EdgeSerError(f"--strangers takes CORPUS=DIR, not {text!r}")
    load_corpus(name)
    if not (path := Path(folder) / CHECKPOINT).is_file():
        raise EdgeSerError(
            f"{path} is not there; name the folder of a model that was trained on all speakers"
        )
    return name, Path(folder)


def main(argv: list[str] | None = None) -> int:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--known", type=Path, required=True, metavar="DIR", help="RAVDESS's checkpoints of folds"
    )
    parser.add_argument(
        "--strangers", nargs="+", default=[], metavar="CORPUS=DIR", help="a model without that corpus"
    )
    parser.add_argument("--out", type=place, required=True, metavar="FILE")
    args = parser.parse_args(argv)
    pairs = [_pair(text) for text in args.strangers]
    rows = known(args.known)
    for name, folder in pairs:
        rows += strangers(name, folder)
    write_json(args.out, {"rows": rows})
    write_table(rows, "md")
    return 0


if __name__ == "__main__":
    run_main(main)
