"""``edge-ser replay``: a recording heard again."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack, closing

from edge_ser.bundle import load_bundle
from edge_ser.errors import EdgeSerError
from edge_ser.files import sha256
from firmware_py.engines import ENGINES, open_engine
from firmware_py.gates import open_gate
from firmware_py.listener import Listener
from firmware_py.pipeline import Pipeline
from firmware_py.prediction import Prediction
from firmware_py.recorder import AnswerDigest
from firmware_py.replay import Recording, RecordingSource
from firmware_py.sinks import FORMS, open_sink
from firmware_py.stop import stop_on_signals

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the command's arguments."""
    parser.description = (
        "Hear a recording of `edge-ser listen --record` again, gaps and all, with the same model and engine; say "
        "whether every answer is the same, bit for bit."
    )
    parser.epilog = (
        "Exit status: 0 the same answers, 1 others, 130 interrupted.\n\n"
        "examples:\n"
        "  edge-ser listen --record heard.wav --duration 60\n"
        "  edge-ser replay heard.wav                         the answers again, and whether they are the same\n"
        "  edge-ser replay heard.wav -o jsonl > again.jsonl  for a program\n"
        "  edge-ser replay heard.wav --engine numpy          with another engine: close, but not the same bits\n"
    )
    parser.add_argument("file", metavar="FILE", help="a WAV file that `edge-ser listen --record` made")
    parser.add_argument("--model", metavar="NAME|FOLDER", help="another model than the one that listened")
    parser.add_argument("--engine", choices=ENGINES, help="another engine than the one that listened")
    parser.add_argument("--precision", help="another precision than the one that listened")
    parser.add_argument("-o", "--output", choices=FORMS, default="text", help="as of `edge-ser listen`")


class _Digest(AnswerDigest):
    """Takes answers as a sink does."""

    def start(self, run: object) -> None:
        """Nothing to do."""

    def prediction(self, prediction: Prediction) -> None:
        """Take the next answer."""
        self.add(prediction)

    def event(self, event: object) -> None:
        """Not an answer."""

    def summary(self, summary: object) -> None:
        """Not an answer."""

    def close(self) -> None:
        """Nothing to let go of."""


def run(args: argparse.Namespace) -> int:
    """Replay; 1 when the answers are others than those recorded."""
    recording = Recording.read(args.file)
    settings = recording.settings
    try:
        bundle = load_bundle(args.model or recording.model)
        engine = open_engine(
            bundle, args.engine or settings["engine"], args.precision or settings["precision"]
        )
        gate = open_gate(settings["gate"], bundle.spec)
        pipeline = Pipeline(
            bundle,
            engine,
            every=_every(settings["every"], args.file),
            gate=gate,
            doze=bool(settings["doze"]),
            adapt=bool(settings.get("adapt", False)),  # recordings of before know neither
            turns=bool(settings.get("turns", False)),
        )
    except KeyError as error:
        raise EdgeSerError(
            f"{args.file} does not say the {error.args[0]} that listened; record it again"
        ) from error
    digest = sha256(bundle.file(engine.name, engine.precision).read_bytes()).hexdigest()
    if digest != settings["model_sha256"]:
        print(f"edge-ser: this is not the model file that listened ({settings['model']})", file=sys.stderr)
    again = _Digest()
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        source = stack.enter_context(closing(RecordingSource(recording)))
        sink = stack.enter_context(closing(open_sink(args.output, sys.stdout)))
        Listener(source, pipeline, [sink, again]).run(stop)
    same = again.to_json() == recording.answers
    count = recording.answers.get("count")
    if stop.requested and not same:
        print(
            f"edge-ser: interrupted after {again.count} of {count} answers, too early to compare",
            file=sys.stderr,
        )
        raise KeyboardInterrupt
    words = (
        f"all {count} answers are the same"
        if same
        else f"the answers are NOT those of the recording ({count})"
    )
    print(f"edge-ser: {words}", file=sys.stderr)
    return 0 if same else 1


def _every(value: object, file: str) -> int:
    """Steps from answer to answer, of notes that anybody may have written."""
    if type(value) is not int or value < 1:
        raise EdgeSerError(f"the notes of {file} are damaged (every is {value!r}); record it again")
    return value
