"""``edge-ser features``: a feature vector a file, as a table."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from edge_ser.commands._output import markdown_table
from edge_ser.errors import EdgeSerError
from edge_ser.progress import progress_bar
from firmware_py.stop import Stop, stop_on_signals

if TYPE_CHECKING:
    from edge_ser.corpora import LeftOut
    from edge_ser.features import Result

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "A row of numbers for each recording: frame features (MFCC, chroma, spectral shape, pitch, ...) summed up over "
        "time by mean, spread, quantiles, slope. Rows carry what the corpus knows of a recording (speaker, emotion, "
        "fold). Results are kept on disk as they come and found again by the audio's content, so a run that was "
        "stopped goes on where it was. A file that cannot be done is reported, the others are still done, and the "
        "exit status is 2."
    )
    parser.epilog = """\
examples:
  edge-ser features ravdess --out ravdess.csv                a corpus, with speaker, emotion and fold
  edge-ser features recordings/ --set classic --jobs 4 --out table.parquet
  edge-ser features a.wav b.wav                              comma-separated values on standard output
  edge-ser features recordings/ --spec mine.toml --out table.npz
  edge-ser features --list                                   sets, features and what sums them up

a description for --spec; all that it leaves out is that of its set:
  set = "speech"
  names = ["mfcc", "rms", "f0"]
  functionals = ["mean", "std", "q10", "q90"]
  whole = ["duration"]
  [frames]
  n_mfcc = 13
"""
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="CORPUS|DIR|FILE",
        help="a corpus's name, a folder, a CSV table (or a TOML file that describes one), or sound files",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--set", default="speech", help="a ready-made description (default speech)")
    which.add_argument("--spec", type=Path, metavar="TOML", help="a description of your own")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help=".csv, .npz or .parquet; CSV on standard output if left out"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default 1)")
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="folder of the cache (default the user's own)"
    )
    parser.add_argument("--no-cache", action="store_true", help="compute everything, keep nothing")
    parser.add_argument("--list", action="store_true", help="list what there is, and end")


def run(args: argparse.Namespace) -> int:
    """Do it; 2 when a file could not be done."""
    from edge_ser.features import Cache, extract_rows, find_recordings, load_spec
    from edge_ser.features.table import check_table

    if args.list:
        _list()
        return 0
    if args.no_cache and args.cache is not None:
        raise EdgeSerError("--cache and --no-cache are opposites; give one of them")
    spec = load_spec(args.set if args.spec is None else args.spec)
    if args.out is not None:
        check_table(args.out)
    recordings, left_out = find_recordings(args.sources)
    _say_left_out(left_out)
    cache = None if args.no_cache else Cache(args.cache)
    try:
        # A flag that is looked at after each file: an exception out of a signal can be lost where Python ignores it.
        with stop_on_signals(_say_stopping) as stop:
            watch = _Watch(len(recordings), stop)
            rows, failed = extract_rows(recordings, spec, cache=cache, jobs=args.jobs, progress=watch)
    except KeyboardInterrupt:
        if cache is not None:
            print(
                f"stopped; what was done is in {cache.folder}, the same command goes on from there",
                file=sys.stderr,
            )
        raise
    print(watch.summary(len(rows.names)), file=sys.stderr)
    if not len(rows):
        raise EdgeSerError(f"none of the {len(recordings)} recordings could be done")
    if args.out is None:
        sys.stdout.write(rows.to_csv())
    else:
        rows.write(args.out)
        print(f"table: {args.out}", file=sys.stderr)
    if failed:
        print(f"\nnot in the table, {len(failed)} of {len(recordings)} recordings:", file=sys.stderr)
        for result in failed:
            print(f"  {result.path}", file=sys.stderr)
    return 2 if failed else 0


def _say_stopping() -> None:
    """At the first signal: what is in hand may take minutes more."""
    signal.signal(signal.SIGINT, _end_now)
    with contextlib.suppress(OSError):  # nobody reads
        # Not `sys.stderr`, which may be in the middle of a line when a signal comes.
        os.write(2, b"\nedge-ser: stops when the files in hand are done; Ctrl-C again ends at once\n")


def _end_now(number: int, frame: FrameType | None) -> None:
    """At a Ctrl-C after it: nor do processes of ``--jobs`` finish theirs, for which the end would wait."""
    from multiprocessing import active_children

    for process in active_children():
        process.kill()
    raise KeyboardInterrupt


class _Watch:
    """Sees results go by: a bar, each error as it comes, and counts; ends the run when it is asked for."""

    def __init__(self, total: int, stop: Stop) -> None:
        self.total, self._stop = total, stop
        self.done = self.cached = self.damaged = self.failed = 0

    def __call__(self, results: Iterable[Result]) -> Iterator[Result]:
        with progress_bar(None, self.total, "file", quiet=None) as bar:
            for result in bar.wrap(results):
                with bar.aside():
                    self._seen(result)
                yield result

    def _seen(self, result: Result) -> Result:
        if self._stop.requested:
            raise KeyboardInterrupt
        if result.error is not None:
            self.failed += 1
            where = "" if str(result.path) in result.error else f"{result.path}: "
            print(f"edge-ser: {where}{result.error}", file=sys.stderr)
        else:
            self.done += 1
        if result.damaged is not None:
            self.damaged += 1
            print(
                f"edge-ser: the cache's entry {result.damaged} was damaged; computed again", file=sys.stderr
            )
        self.cached += result.cached
        return result

    def summary(self, width: int) -> str:
        """One line for people."""
        parts = [f"{self.done} recording{'s' * (self.done != 1)}, {width} features each"]
        if self.cached:
            parts.append(f"{self.cached} of them from the cache")
        if self.damaged:
            parts.append(f"{self.damaged} damaged in the cache and computed again")
        if self.failed:
            parts.append(f"{self.failed} could not be done")
        return "; ".join(parts)


def _say_left_out(left_out: Sequence[LeftOut]) -> None:
    if left_out:
        reasons = dict.fromkeys(one.reason for one in left_out)
        print(f"left out: {len(left_out)} that the corpus does not count as its own ({', '.join(reasons)})",
              file=sys.stderr)  # fmt: skip


def _list() -> None:
    from edge_ser.dsp.features import FEATURES, column_names
    from edge_ser.features import FUNCTIONALS, SETS, WHOLE, vector_names

    rows = [
        {"set": name, "numbers": len(vector_names(spec)), "what": about}
        for name, (spec, about) in SETS.items()
    ]
    print(markdown_table(rows), end="\n\n")
    spec = SETS["full"][0].frames
    widths = [{"names": name, "columns": len(column_names(spec, [name]))} for name in FEATURES]
    print(markdown_table(widths), end="\n\n")
    functionals = [{"functionals": name, "what": about} for name, (_, about) in FUNCTIONALS.items()]
    functionals.append({"functionals": "q0 ... q100", "what": "quantile of that many per cent"})
    print(markdown_table(functionals), end="\n\n")
    print(markdown_table([{"whole": name, "what": about} for name, about in WHOLE.items()]))
