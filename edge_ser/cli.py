"""The command ``edge-ser``: imports only the module of the command asked for, reports errors as sentences."""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from edge_ser import __version__
from edge_ser.errors import EdgeSerError

__all__ = ["COMMANDS", "Command", "main"]

EXIT_BAD_USE = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as the shell reports it
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, the user's share of it, the file


class Command(NamedTuple):
    """One line of the table of commands.

    Parameters
    ----------
    module : str
        Module with ``add_arguments(parser) -> None`` and ``run(args) -> int``; imported only when it is asked for.
    help : str
        One line for ``edge-ser --help``.
    on_device : bool
        It runs where memory and cores are few: NumPy is held to one thread.
    """

    module: str
    help: str
    on_device: bool = False


COMMANDS: dict[str, Command] = {
    "listen": Command("edge_ser.commands.listen", "live reading from a microphone, a file or a pipe", True),
    "predict": Command("edge_ser.commands.predict", "one answer a file, and a picture of it", True),
    "bench": Command("edge_ser.commands.bench", "size, start, latency and memory of each engine here", True),
    "devices": Command("edge_ser.commands.devices", "microphones that can be heard", True),
    "mic": Command("edge_ser.commands.mic", "is the microphone healthy?", True),
    "replay": Command("edge_ser.commands.replay", "a recording heard again, bit for bit", True),
    "service": Command("edge_ser.commands.service", "listen as a systemd service", True),
    "deploy": Command("edge_ser.commands.deploy", "install and start on boards over ssh"),
    "models": Command("edge_ser.commands.models", "models that can be run", True),
    "verify": Command("edge_ser.commands.verify", "does every engine give the trained model's answers?"),
    "train": Command("edge_ser.commands.train", "train a model from a recipe"),
    "label": Command(
        "edge_ser.commands.label", "have a large teacher hear recordings, for students to learn from"
    ),
    "teach": Command("edge_ser.commands.teach", "train a teacher's heads, and write down what it says"),
    "distil": Command("edge_ser.commands.distil", "train a student on labels and a teacher's answers"),
    "average": Command("edge_ser.commands.average", "one network whose weights are the mean of several"),
    "ablate": Command("edge_ser.commands.ablate", "what each ingredient of a recipe is worth"),
    "condense": Command("edge_ser.commands.condense", "a corpus as a few synthetic spectra: an experiment"),
    "study": Command(
        "edge_ser.commands.study", "a comparison of the literature, as published and honestly", True
    ),
    "evaluate": Command("edge_ser.commands.evaluate", "score a model on a corpus, speaker-independent"),
    "compare": Command("edge_ser.commands.compare", "two evaluations of the same clips: is one better?"),
    "calibrate": Command(
        "edge_ser.commands.calibrate",
        "a bundle that knows when it does not know, and hears what is no speech",
    ),
    "features": Command("edge_ser.commands.features", "a table of features, a row a recording", True),
    "plot": Command("edge_ser.commands.plot", "pictures of a recording: spectra, mel, MFCC, chroma"),
    "export": Command("edge_ser.commands.export", "a checkpoint to a bundle that devices run"),
    "import": Command(
        "edge_ser.commands.import_model", "an ONNX or TFLite file of somebody else to a bundle"
    ),
    "formats": Command("edge_ser.commands.formats", "formats that a checkpoint can be exported to"),
}

EPILOG = """\
A source is mic, mic:NAME, a sound file, or - (16-bit 16 kHz mono PCM on standard input).
A model is a name from `edge-ser models`, or a bundle's folder.
Exit status: 0 done, 1 a check or a budget failed, 2 bad use or bad input, 130 ended by Ctrl-C (but listen and
mic, which finish with what they heard), 141 the reader of standard output went away.

examples:
  edge-ser listen                        the default microphone, until Ctrl-C
  edge-ser listen speech.wav -o jsonl    a file, one JSON line each 250 ms
  edge-ser bench                         what it costs on this machine
  edge-ser COMMAND --help                options and examples of a command
"""


class _Help(argparse.RawDescriptionHelpFormatter):
    """Wraps a description of one long line, keeps the lines of examples, and leaves room for the commands' names,
    which argparse measures before it indents them.
    """

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length += self._indent_increment

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)


def _build_parser(chosen: str | None) -> argparse.ArgumentParser:
    """The whole parser; only the chosen command's module is imported and fills in its arguments."""
    # --debug is accepted before the command and after it; SUPPRESS keeps the second from resetting the first.
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
    )
    parser = argparse.ArgumentParser(
        prog="edge-ser",
        description="Speech emotion on low-power devices: listen, measure, train, export.",
        epilog=EPILOG,
        formatter_class=_Help,
        parents=[common],
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"edge-ser {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        sub = commands.add_parser(
            name,
            help=command.help,
            parents=[common],
            formatter_class=_Help,
            allow_abbrev=False,
        )
        if name == chosen:
            module = importlib.import_module(command.module)
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    return parser


def _chosen_command(argv: Sequence[str]) -> str | None:
    """The first word that is not an option (no option before the command takes a value)."""
    return next((word for word in argv if not word.startswith("-")), None)


def _unknown_command(name: str) -> EdgeSerError:
    from difflib import get_close_matches

    near = get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean {near[0]}?" if near else "`edge-ser --help` lists the commands"
    return EdgeSerError(f"there is no command {name!r}; {hint}")


def _run(argv: Sequence[str]) -> int:
    chosen = _chosen_command(argv)
    if chosen is not None and chosen not in COMMANDS:
        raise _unknown_command(chosen)
    if chosen is not None and COMMANDS[chosen].on_device:
        # Before NumPy is first imported: each further OpenBLAS thread reserves memory that a small board lacks,
        # and sums split over threads differ in the last bit from machine to machine.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    parser = _build_parser(chosen)
    if chosen is None and not argv:
        parser.print_help(sys.stderr)
        return EXIT_BAD_USE
    args = parser.parse_args(argv)
    status = int(args.run(args))
    sys.stdout.flush()  # here, where a closed pipe is still handled, and not when the interpreter ends
    return status


def _open_closed_streams() -> None:
    """Point standard streams that the caller closed (``2>&-``, some supervisors) at the null device.

    Python has None for them, on which `print` writes words for people to standard output, and the next file that is
    opened gets the descriptor, to which libraries then write what they have to say.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)  # takes the lowest descriptor that is free: the closed one
            os.set_inheritable(null, True)  # for the programs that are started, as any standard stream
            setattr(sys, name, os.fdopen(null, mode, encoding="utf-8", errors="replace"))


def _silence_stdout() -> None:
    """Point standard output at nothing, so that Python's own flush at exit does not complain of it again."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):  # replaced by an object without a descriptor, or closed
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``edge-ser``; refuses where standard output is closed.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments after the program's name; those of the process when left out.

    Returns
    -------
    int
        Exit status: 0 done, 1 a check or a budget failed, 2 bad use or bad input, 130 interrupted,
        141 the reader of standard output went away.
    """
    nowhere = sys.stdout is None
    _open_closed_streams()
    argv = sys.argv[1:] if argv is None else list(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What the terminal's encoding lacks is written as \u65e5, as Python has it for standard error anyway: half a
        # table and a traceback help nobody.
        sys.stdout.reconfigure(errors="backslashreplace")
    # Only where an option can stand: `-- --debug` would be a file of that name.
    debug = "--debug" in (argv[: argv.index("--")] if "--" in argv else argv)
    try:
        if nowhere:
            raise EdgeSerError(
                "standard output is closed; send it somewhere, to /dev/null where nobody reads it"
            )
        return _run(argv)
    except BrokenPipeError:
        if debug:
            raise
        _silence_stdout()
        return EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        if debug:
            raise
        return EXIT_INTERRUPTED
    except EdgeSerError as error:
        if debug:
            raise
        print(f"edge-ser: {error}", file=sys.stderr)
        return EXIT_BAD_USE
    except OSError as error:
        # A file that cannot be opened is the user's to mend, and so is a full disk; any other OSError is not.
        if debug or (error.filename is None and error.errno not in _FULL):
            raise
        if error.filename is None:
            with contextlib.suppress(OSError):
                sys.stdout.flush()  # what was written need not have been this
            _silence_stdout()
            print(
                f"edge-ser: cannot write ({error.strerror}); make room, or write elsewhere", file=sys.stderr
            )
        else:
            print(f"edge-ser: {error.filename}: {error.strerror}", file=sys.stderr)
        return EXIT_BAD_USE
