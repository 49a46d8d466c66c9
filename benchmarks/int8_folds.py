"""What eight bits cost stream72k on every speaker of a corpus, each heard by the network that never heard them.

One fold's 300 clips cannot tell a drop of .005 from none: two clips of the rarest class are .006. So each fold's
checkpoint becomes every int8 file, calibrated as `edge-ser export` does it, on the speakers it was trained on, and all
clips of the corpus go from their audio through the device's pipeline, beside torch in the streaming form. The interval
of a drop is that of both models' answers to the same clips, over draws of speakers.

    python -m benchmarks.int8_folds results/ravdess-distil --out results/int8-folds.json
    python -m benchmarks.int8_folds runs/stream72k-mean --corpus emotale --out results/int8-folds.json
"""

from __future__ import annotations

import benchmarks.one_thread  # noqa: F401  isort: skip
import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.running import earlier, place, run_main
from edge_ser.audio import load_audio
from edge_ser.commands._output import write_table
from edge_ser.corpora import ADV, load_corpus
from edge_ser.dsp import MelSpec
from edge_ser.evaluation.answers import Answers
from edge_ser.evaluation.evaluate import answer_clip
from edge_ser.evaluation.folds import fold_checkpoints, load_fold
from edge_ser.evaluation.metrics import uar
from edge_ser.evaluation.paired import compare
from edge_ser.evaluation.score import Scored, score
from edge_ser.files import write_json
from edge_ser.progress import progress_bar
from edge_ser.recognizer import Recognizer
from export.calibration import choose_calibration
from export.exporter import unchecked_bundle
from export.formats import FORMATS, Format, choose_formats
from export.validation import CCC_DROP, UAR_DROP

TORCH = "torch"


def answers_of(folder: Path, corpus_name: str, rows: Sequence[Format]) -> dict[str, list[Scored]]:
    """Answers to every clip of the folds that `folder` has checkpoints of, by format and of torch.

    Parameters
    ----------
    folder : Path
        ``foldF-seedS.safetensors`` of ``edge-ser train``; those of the lowest seed are taken.
    corpus_name : str
    rows : sequence of Format
        Each can be made of the model's form.
    """
    corpus = load_corpus(corpus_name)
    found = fold_checkpoints(folder)
    seed = min(one for one, _ in found)
    said: dict[str, list[Scored]] = {TORCH: [], **{row.key: [] for row in rows}}
    for fold in sorted(fold for one, fold in found if one == seed):
        path = found[seed, fold]
        model, meta = load_fold(path, fold, corpus)
        spec = MelSpec.from_dict(meta["spec"])
        _, test = corpus.split(fold)
        labels = tuple(label for label in corpus.labels if label in model.config.labels)
        heard = ((clip, model.heard(load_audio(clip.path), spec)) for clip in test)
        said[TORCH] += score(model, heard, labels, fold=fold, seed=seed)
        with tempfile.TemporaryDirectory() as aside:
            bundle = unchecked_bundle(path, Path(aside) / "bundle", rows, choose_calibration)
            with progress_bar(f"fold {fold}", len(rows) * len(test)) as bar:
                jobs = bar.wrap([(row, clip) for row in rows for clip in test])
                opened: tuple[str, Recognizer] | None = None
                for row, clip in jobs:
                    if opened is None or opened[0] != row.key:
                        opened = row.key, Recognizer.load(bundle.path, row.engine, row.precision)
                    said[row.key].append(answer_clip(opened[1], clip, labels, fold, seed))
    return said


def figures(said: Mapping[str, Sequence[Scored]]) -> dict[str, Any]:
    """What each format loses against torch on the same clips, with an interval over speakers.

    Returns
    -------
    dict
        ``clips``, ``speakers``, ``folds``, ``torch_uar`` and ``torch_ccc`` (over all clips at once), and ``formats``:
        ``format``, ``uar``, ``drop``, ``ci95``, ``p``, ``same_label``, ``by_fold``, ``ccc_drop`` by dimension (None
        without ratings) and ``ok``.
    """
    labels = sorted({one.clip.emotion for one in said[TORCH] if one.clip.emotion is not None})
    answers = {key: Answers.of({}, scored, labels) for key, scored in said.items()}
    plain = answers[TORCH]
    rows = []
    for key, mine in answers.items():
        if key == TORCH:
            continue
        both = compare(plain, mine)
        low, high = both["uar"]["ci95"]
        by_fold = []
        for fold in sorted({*plain.folds.tolist()}):
            part = plain.folds == fold
            was, now = (uar(one.truth[part], one.said[part]) for one in (plain, mine))
            by_fold.append({"fold": fold, "torch_uar": was, "uar": now, "drop": was - now})
        rated = [name for name in ADV if f"ccc.{name}" in both]
        ccc_drop = {name: -both[f"ccc.{name}"]["difference"] for name in rated} or None
        drop = -both["uar"]["difference"]
        rows.append(
            {
                "format": key,
                "uar": both["uar"]["b"],
                "drop": drop,
                "ci95": [-high, -low],
                "p": both["uar"]["p"],
                "same_label": float((plain.said == mine.said).mean()),
                "by_fold": by_fold,
                "ccc_drop": ccc_drop,
                "ok": drop <= UAR_DROP and (ccc_drop is None or max(ccc_drop.values()) <= CCC_DROP),
            }
        )
    return {
        "clips": both["clips"],
        "speakers": both["speakers"],
        "folds": sorted({*plain.folds.tolist()}),
        "torch_uar": both["uar"]["a"],
        "torch_ccc": {name: both[f"ccc.{name}"]["a"] for name in rated} or None,
        "formats": rows,
    }


def main() -> int:
    """Measure, print, write; 1 where a format loses more than its limit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoints", type=Path, help="a folder with foldF-seedS.safetensors")
    parser.add_argument("--corpus", default="ravdess", help="(default %(default)s)")
    eight = ",".join(row.key for row in FORMATS if row.precision.startswith("int8"))
    parser.add_argument("--format", default=eight, help="formats to measure (default: all of int8)")
    parser.add_argument(
        "--out", type=place, metavar="FILE", help="write the figures, beside those of other runs there"
    )
    args = parser.parse_args()
    rows = [row for row in choose_formats(args.format) if row.refusal("step") is None]
    runs = earlier(args.out, "runs", "checkpoints", "corpus")
    result = {
        "checkpoints": args.checkpoints.as_posix(),
        "corpus": args.corpus,
        **figures(answers_of(args.checkpoints, args.corpus, rows)),
    }
    print(f"{result['corpus']}: {result['clips']} clips, torch UAR {result['torch_uar']:.4f}\n")
    write_table(
        [
            {key: row[key] for key in ("format", "uar", "drop", "p", "same_label", "ok")}
            for row in result["formats"]
        ],
        "md",
    )
    if args.out is not None:
        same = (result["checkpoints"], result["corpus"])
        others = [one for one in runs if (one["checkpoints"], one["corpus"]) != same]
        write_json(
            args.out,
            {
                "protocol": "each clip from its audio through the device's pipeline, by the network that never heard "
                "its speaker; UAR over all clips at once; ranges from the training speakers of each fold; intervals "
                "over draws of speakers, of both models' answers to the same clips",
                "bar": UAR_DROP,
                "ccc_bar": CCC_DROP,
                "runs": sorted([*others, result], key=lambda one: (one["checkpoints"], one["corpus"])),
            },
        )
    return 0 if all(row["ok"] for row in result["formats"]) else 1


if __name__ == "__main__":
    run_main(main)
