"""What eight bits cost Wav2Small 72 K and MobileNetV4-S on speakers that they never heard.

Their checkpoints are those of recipes/rival-*.toml. Every row of the table of formats that a device runs is made of the
fold's training speakers and answers each of the fold's recordings at its end; UAR is set beside the float file's of the
same window, and beside torch's of the whole recording.

    edge-ser train recipes/rival-mobilenetv4-s.toml --results out/rivals
    edge-ser distil recipes/rival-wav2small-72k.toml --results out/rivals
    python -m benchmarks.rivals_int8 runs/rival-mobilenetv4-s runs/rival-wav2small-72k --out results/rivals-int8.json
"""

from __future__ import annotations

import benchmarks.one_thread  # noqa: F401  isort: skip
import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.running import earlier, place, run_main
from edge_ser.audio import load_audio
from edge_ser.bundle import Bundle
from edge_ser.commands._output import write_table
from edge_ser.corpora import Clip, load_corpus
from edge_ser.dsp import MelSpec
from edge_ser.evaluation.metrics import uar
from edge_ser.evaluation.parity import inputs_of
from edge_ser.files import write_json
from firmware_py.engines import ENGINES, open_engine

#: The project's limit on what eight bits may cost these two.
BAR = 0.01
FOLD = 0
WINDOW_S = 5.0


def measure(folder: Path, corpus_name: str) -> dict[str, Any]:
    """All rows of one checkpoint."""
    import torch

    from edge_ser.models.checkpoint import load_checkpoint

    path = folder / f"fold{FOLD}-seed0.safetensors"
    model, meta = load_checkpoint(path)
    spec = MelSpec.from_dict(meta["spec"])
    corpus = load_corpus(corpus_name)
    labels = list(model.config.labels)
    train, held_out = corpus.split(FOLD)
    test = [clip for clip in held_out if clip.emotion in labels]
    waves = [load_audio(clip.path) for clip in test]
    with torch.inference_mode():
        plain = []
        for wave in waves:
            features = torch.from_numpy(model.heard(wave, spec))[None]
            plain.append(int(model.clip(features, torch.tensor([features.shape[1]]))[1].argmax()))
    truth = [str(clip.emotion) for clip in test]
    rows: list[dict[str, Any]] = []
    takes = ("waveform", "features") if model.hears_waveform else ("features",)
    for taken in takes:
        rows += _rows(path, taken, train, waves, truth, labels, known={row["format"] for row in rows})
    whole = {row["input"]: row["uar"] for row in rows if row["format"] == "onnx-fp32"}
    for row in rows:
        row["drop"] = round(whole[row["input"]] - row["uar"], 4)
        row["ok"] = row["drop"] <= BAR if row["format"].split("-")[1] == "int8" else None
    return {
        "model": meta["architecture"],
        "parameters": model.count_parameters(),
        "epochs": meta["training"]["recipe"]["fit"]["epochs"],
        "torch_uar_whole_clip": round(uar(truth, [labels[one] for one in plain]), 4),
        "rows": rows,
    }


def _rows(
    path: Path,
    taken: str,
    train: Sequence[Clip],
    waves: Sequence[np.ndarray],
    truth: Sequence[str],
    labels: Sequence[str],
    known: set[str],
) -> list[dict[str, Any]]:
    """UAR of every format that takes an input; a format that was measured before only beside new ones."""
    from export.calibration import CalibrationSet, calibrate_on_clips
    from export.exporter import unchecked_bundle
    from export.formats import FORMATS

    def calibrate(about: Mapping[str, Any], spec: MelSpec, frames: int) -> CalibrationSet:
        return calibrate_on_clips(train, spec, frames, held_out_fold=about["held_out_fold"])

    # The engines of hosts run the arithmetic of a device's file again, on slow kernels.
    fitting = [row for row in FORMATS if row.engine in ENGINES and row.refusal("window", taken) is None]
    fitting = [row for row in fitting if row.key not in known or row.key == "onnx-fp32"]
    with tempfile.TemporaryDirectory() as aside:
        feeding = {"window_s": WINDOW_S, "takes": taken}
        bundle = unchecked_bundle(path, Path(aside) / "rival", fitting, calibrate, feeding=feeding)
        reference: list[int] = []
        rows = []
        for row in sorted(fitting, key=lambda one: one.key != "onnx-fp32"):
            said = _said(bundle, row.engine, row.precision, waves)
            reference = reference or said
            rows.append(
                {
                    "format": row.key,
                    "input": taken,
                    "kb": round(bundle.file(row.engine, row.precision).stat().st_size / 1024, 1),
                    "uar": round(uar(truth, [labels[one] for one in said]), 4),
                    "same_label": round(float(np.mean(np.equal(said, reference))), 4),
                }
            )
            print(rows[-1], file=sys.stderr, flush=True)
    return rows


def _said(bundle: Bundle, engine: str, precision: str, waves: Sequence[np.ndarray]) -> list[int]:
    """Index of the label that a file names at the end of each recording."""
    opened: Any = open_engine(bundle, engine, precision)
    said = []
    for wave in waves:
        [steps] = inputs_of(bundle, {"it": wave}).values()
        state = opened.hear(steps.reshape(-1, *steps.shape[2:]), opened.initial_state())
        said.append(int(np.argmax(opened.answer(state).logits)))
    return said


def main() -> int:
    """Measure, print, write; 1 where an int8 file loses more than the limit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, help="folders of edge-ser train")
    parser.add_argument("--corpus", default="ravdess", help="(default %(default)s)")
    parser.add_argument(
        "--out", type=place, metavar="FILE", help="write the figures, beside those of other models there"
    )
    args = parser.parse_args()
    models = {one["model"]: one for one in earlier(args.out, "models", "model", "rows")}
    for folder in args.runs:
        result = measure(folder, args.corpus)
        models[result["model"]] = result
        print(f"\n{result['model']}: torch, whole recordings: UAR {result['torch_uar_whole_clip']:.3f}\n")
        write_table(result["rows"], "md")
        if args.out is not None:
            write_json(
                args.out,
                {
                    "protocol": f"{args.corpus}, fold {FOLD} held out; recipes/rival-*.toml, last epoch; a window of "
                    f"{WINDOW_S:g} s at the end of each recording; ranges from the training speakers",
                    "bar": BAR,
                    "models": [models[one] for one in sorted(models)],
                },
            )
    judged = [row for one in models.values() for row in one["rows"] if row["ok"] is not None]
    return 0 if all(row["ok"] for row in judged) else 1


if __name__ == "__main__":
    run_main(main)
