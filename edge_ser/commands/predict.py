"""``edge-ser predict``: one answer a file, the course over time, a picture."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_ser.audio import SAMPLE_RATE, AudioBlocks, load_audio
from edge_ser.bundle import DEFAULT_MODEL, load_bundle
from edge_ser.commands._output import add_output_argument, write_table
from edge_ser.errors import EdgeSerError
from firmware_py.decision import heard_as
from firmware_py.engines import AUTO, EVERY_ENGINE, open_engine

if TYPE_CHECKING:
    from edge_ser.recognizer import Recognizer
    from edge_ser.vector_recognizer import VectorRecognizer
    from firmware_py.prediction import Prediction

__all__ = ["add_arguments", "run"]

_COLUMNS = {
    "file": "file",
    "start": "start s",
    "end": "end s",
    "label": "emotion",
    "confidence": "confidence",
    "arousal": "arousal",
    "dominance": "dominance",
    "valence": "valence",
    "state": "state",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Emotion, arousal, dominance and valence (0 to 1) of sound files. The answer of a file is what listen says "
        "at its end: it covers the model's window before that, not the whole of a long recording; --over-time shows "
        "every step. A file that cannot be read is reported, the others are still done, and the exit status is 2."
    )
    parser.epilog = """\
examples:
  edge-ser predict speech.wav                            one answer
  edge-ser predict *.flac -o csv > answers.csv           many files
  edge-ser predict speech.wav --over-time -o jsonl       one line each 250 ms
  edge-ser predict speech.wav --plot speech.png          spectrogram, A/D/V and emotion over time
  edge-ser predict *.wav --plot pictures/                a picture of each, in a folder
  edge-ser predict speech.wav --model ./my-bundle --engine numpy
"""
    parser.add_argument("files", nargs="+", metavar="FILE", help="sound files")
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, help=f"a bundle's name or folder (default {DEFAULT_MODEL})"
    )
    parser.add_argument(
        "--engine", default=AUTO, choices=(AUTO, *EVERY_ENGINE), help="runtime (default auto)"
    )
    parser.add_argument(
        "--precision",
        help="of the model's file (default: what the model prefers on the engine, mostly fp32)",
    )
    parser.add_argument(
        "--over-time", action="store_true", help="a row for each step of the model, not one a file"
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="PNG",
        help="draw the course over time; for several files a folder (also .svg, .pdf)",
    )
    add_output_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Do it; 2 when a file could not be done."""
    pictures = _pictures(args.plot, args.files)
    recognizer = _open(args)
    if recognizer.sample_rate != SAMPLE_RATE:
        raise EdgeSerError(
            f"{recognizer.bundle.name} wants {recognizer.sample_rate} Hz, files are read at {SAMPLE_RATE} Hz; "
            "choose another model"
        )
    engine = recognizer.engine
    print(f"model: {recognizer.bundle.name}, {engine.name} {engine.precision}", file=sys.stderr)
    rows: list[dict[str, Any]] = []
    failed = False
    for file, picture in zip(args.files, pictures, strict=True):
        try:
            predictions, wave = _listen(recognizer, file, keep_audio=picture is not None)
            done = (
                [_step(file, p) for p in predictions]
                if args.over_time
                else [_answer(file, predictions, recognizer)]
            )
            if args.output == "jsonl":  # each file as it is done
                write_table(done, "jsonl")
            rows += done
            if picture is not None:
                from edge_ser.evaluation.plots import plot_over_time

                plot_over_time(picture, wave, predictions, spec=recognizer.bundle.spec, title=Path(file).name)
                print(f"picture: {picture}", file=sys.stderr)
        except EdgeSerError as error:
            if len(args.files) == 1:
                raise
            failed = True
            print(f"edge-ser: {error}", file=sys.stderr)
    if args.output != "jsonl" and rows:
        columns = {key: head for key, head in _COLUMNS.items() if key in rows[0]}
        # three decimals are what a person can use; the other forms give every digit
        shown = [{k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()} for row in rows]
        write_table(shown if args.output == "md" else rows, args.output, columns=columns)
    return 2 if failed else 0


def _open(args: argparse.Namespace) -> Recognizer | VectorRecognizer:
    bundle = load_bundle(args.model)
    if bundle.vector is None:
        from edge_ser.recognizer import Recognizer

        return Recognizer(bundle, open_engine(bundle, args.engine, args.precision))
    if args.plot is not None:
        raise EdgeSerError(
            f"{bundle.name} has one answer a recording and no course over time; leave --plot out"
        )
    from edge_ser.vector_recognizer import VectorRecognizer

    return VectorRecognizer.open(bundle, args.engine, args.precision)


def _listen(
    recognizer: Recognizer | VectorRecognizer, file: str, *, keep_audio: bool
) -> tuple[list[Prediction], np.ndarray]:
    """Every prediction of a file; the audio too if it is to be drawn, else never more than a block of it."""
    if not hasattr(recognizer, "stream"):
        wave = load_audio(file)
        return [recognizer.predict(wave)], wave
    stream = recognizer.stream()
    predictions: list[Prediction] = []
    kept: list[np.ndarray] = []
    heard = 0
    with AudioBlocks(file) as blocks:
        for block in blocks:
            heard += len(block)
            predictions += stream.push(block)
            if keep_audio:
                kept.append(block)
    if not predictions:
        rate = recognizer.sample_rate
        raise EdgeSerError(
            f"{file} lasts {heard / rate:.3f} s; the model needs {stream.step_samples / rate:g} s to say anything"
        )
    return predictions, np.concatenate(kept) if kept else np.zeros(0, np.float32)


def _step(file: str, prediction: Prediction) -> dict[str, Any]:
    full = prediction.to_json()
    keys = ("start", "end", "label", "emotion", "arousal", "dominance", "valence", "confidence", "state")
    return {"file": file, **{key: full[key] for key in keys}}


def _answer(
    file: str, predictions: Sequence[Prediction], recognizer: Recognizer | VectorRecognizer
) -> dict[str, Any]:
    """The last prediction, which speaks for the whole file: a pause at its end does not make it silent."""
    last = predictions[-1]
    row = _step(file, last)
    row["state"] = heard_as(predictions, recognizer.bundle.calibration.unsure_below)
    del row["start"], row["end"]
    return row


def _pictures(plot: Path | None, files: Iterable[str]) -> list[Path | None]:
    """Where each file's picture goes; what cannot work is said before the first file is heard."""
    names = list(files)
    if plot is None:
        return [None] * len(names)
    from edge_ser.evaluation.plots import check_picture

    if not plot.is_dir():
        if len(names) > 1:
            raise EdgeSerError(
                f"--plot takes a folder that is there for {len(names)} files, and {plot} is none"
            )
        if not plot.parent.is_dir():
            raise EdgeSerError(f"there is no folder {plot.parent} for the picture")
        check_picture(plot)
        return [plot]
    check_picture("any.png")
    pictures: list[Path | None] = []
    for name in names:
        picture, count = plot / f"{Path(name).stem}.png", 1
        while picture in pictures:  # a/x.wav and b/x.wav
            count += 1
            picture = plot / f"{Path(name).stem}-{count}.png"
        pictures.append(picture)
    return pictures
