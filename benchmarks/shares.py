"""What taking the classes' shares out of the answers is worth: the same checkpoints with the shares put back.

Training with `[fit] logit_adjustment` takes them out at its end and keeps nothing else, so that a file holds them no
longer; they follow from the clips that it learnt from.

    python -m benchmarks.shares results/ravdess-session --out results/ravdess-session-plain.json
"""

from __future__ import annotations

import benchmarks.one_thread  # noqa: F401  isort: skip
import argparse
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.running import place, run_main
from edge_ser.commands._output import write_table
from edge_ser.corpora import Corpus, load_corpus
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.evaluate import evaluate_checkpoints
from edge_ser.evaluation.folds import fold_checkpoints, load_fold
from edge_ser.files import write_json
from edge_ser.models.base import Network
from edge_ser.models.checkpoint import save_checkpoint
from edge_ser.progress import progress_bar
from edge_ser.training.data import LabelledClips, Taught, pool_corpora, with_answers
from edge_ser.training.prior import adjust_logits
from edge_ser.training.run import trains


def put_back(path: Path, fold: int, corpus: Corpus) -> tuple[Network, dict[str, Any]]:
    """A fold's network as it was before the shares were taken out, and its description.

    Raises
    ------
    EdgeSerError
        None were taken out, it had a live teacher, or the corpora that it learnt from are not to be had.
    """
    model, meta = load_fold(path, fold, corpus)
    recipe = meta["training"]["recipe"]
    strength = recipe["fit"].get("logit_adjustment", 0.0)
    if not strength:
        raise EdgeSerError(f"no shares were taken out of {path}: its recipe has no logit_adjustment")
    if recipe.get("live"):
        raise EdgeSerError(f"{path} learnt beside other corpora, whose part in the shares is not known here")
    labels = model.config.labels
    pooled, known = pool_corpora(recipe["data"]["corpora"], labels)
    clips = [clip for clip in with_answers(pooled) if trains(clip, fold)]
    learnt = LabelledClips(clips, labels, known, Taught.nothing(1, len(clips), len(labels)))
    adjust_logits(model, learnt, recipe["fit"].get("balance", 0.0), -strength)
    return model, meta


def main() -> None:
    """Put them back, ask and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoints", type=Path, help="folder with foldF-seedS.safetensors")
    parser.add_argument("--corpus", default="ravdess", help="whose folds they hold out (default ravdess)")
    parser.add_argument("--out", type=place, help="where the JSON goes (default: a table alone)")
    args = parser.parse_args()
    corpus = load_corpus(args.corpus)
    with tempfile.TemporaryDirectory() as aside:
        found = fold_checkpoints(args.checkpoints)
        for (_, fold), path in found.items():
            save_checkpoint(Path(aside) / path.name, *put_back(path, fold, corpus))
        in_fold = Counter(clip.fold for clip in with_answers(corpus))
        with progress_bar("clips", sum(in_fold[fold] for _, fold in found)) as bar:
            result = evaluate_checkpoints(aside, corpus, progress=bar.wrap)
    if args.out:
        write_json(args.out, result)
    write_table(result["folds"], "md")


if __name__ == "__main__":
    run_main(main)
