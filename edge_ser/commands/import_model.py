"""``edge-ser import``: a model file that somebody else made, to a bundle."""

from __future__ import annotations

import argparse
import sys

from edge_ser.commands._output import add_output_argument, write_table

__all__ = ["add_arguments", "run"]

_COLUMNS = {
    "name": "model",
    "file": "file",
    "kb": "KB",
    "parameters": "parameters",
    "input": "input",
    "window_s": "window (s)",
    "labels": "labels",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Make a bundle of an ONNX or TFLite classifier that hears a window of sound, as a waveform or log-mel, by a "
        "TOML file that says what its tensors are. The file is run before anything is written; predict, listen, bench "
        "and verify then run it like any other model. The model file itself is copied as it is."
    )
    parser.epilog = (
        "examples:\n"
        "  edge-ser import mine.toml --out mine\n"
        "  edge-ser listen --model ./mine\n"
        "\n"
        "mine.toml, of a file that takes a waveform:\n"
        '  file = "model.onnx"\n'
        '  labels = ["angry", "happy", "neutral", "sad"]\n'
        '  licence = "MIT"\n'
        "  window_s = 3.0\n"
        '  input.kind = "waveform"\n'
        '  outputs.probabilities = "softmax"\n'
        "docs/export.md lists all fields.\n"
    )
    parser.add_argument("description", metavar="FILE.toml", help="what the model's tensors are")
    parser.add_argument("--out", required=True, metavar="DIR", help="the bundle's folder")
    parser.add_argument("--overwrite", action="store_true", help="replace the bundle at DIR")
    add_output_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Do it."""
    from export.importing import import_model

    bundle = import_model(args.description, args.out, overwrite=args.overwrite)
    assert bundle.window is not None  # an imported file hears windows
    file = bundle.files[0]
    row = {
        "name": bundle.name,
        "file": file.path,
        "kb": round(file.bytes / 1024, 1),
        "parameters": bundle.parameters,
        "input": bundle.inputs[0].name,
        "window_s": bundle.window.samples / bundle.spec.sample_rate,
        "labels": list(bundle.labels),
    }
    write_table([row], args.output, columns=_COLUMNS, document=row | {"bundle": str(bundle.path)})
    print(f"wrote the bundle {bundle.path}", file=sys.stderr)
    return 0
