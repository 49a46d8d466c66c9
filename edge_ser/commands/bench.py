"""``edge-ser bench``: what a model costs on this machine, engine by engine."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_ser.bundle import DEFAULT_MODEL, PRECISIONS, Bundle, load_bundle
from edge_ser.commands._output import add_output_argument, write_table
from edge_ser.errors import EdgeSerError, MissingExtraError, require
from edge_ser.files import check_place, write_json
from firmware_py.bench import candidates, measure
from firmware_py.budget import LIMITS, check_budget, read_budget
from firmware_py.engines import ENGINES
from firmware_py.machine import describe_machine, machine_line
from firmware_py.peers import RUNTIMES, measure_runtimes, read_models
from firmware_py.reports import compare, read_report, shared

__all__ = ["add_arguments", "run"]

_COLUMNS = {
    "what": "engine",
    "file_kb": "kB",
    "load_ms": "load ms",
    "first_answer_ms": "answer ms",
    "step_ms.p50": "step ms",
    "step_ms.p95": "p95",
    "step_ms.p99": "p99",
    "front": "front",
    "core": "core",
    "rss_mb.import": "MB import",
    "rss_mb.load": "load",
    "rss_mb.peak": "peak",
}

#: Networks that do not stream, of the same task; measured with random weights.
_PEERS = ("wav2small-72k", "wav2small-17k", "mobilenetv4-s")
_PEER_COLUMNS = {
    "peer": "peer",
    "what": "engine",
    "file_kb": "kB",
    "load_ms": "load ms",
    "step_ms.p50": "step ms",
    "step_ms.p99": "p99",
    "core": "core",
    "rss_mb.peak": "MB",
    "note": "",
}

_ROUNDS, _STEPS = 3, 200

_EPILOG = (
    """\
The table's columns: kB, the model's file. load ms, opening the bundle and the engine. answer ms, from the start of
the process to its first answer. step ms, median, p95 and p99 of 250 ms of audio: front end, model, answer. front,
the front end's share of that. core, processor time at the pace of speech as a share of one core. MB, memory of a
fresh process (resident set) after its imports, after loading, and at its peak.

A budget is a TOML file; each run that is over a limit fails (exit status 1). It may limit:
"""
    + "".join(f"  {name:<12} {meaning}\n" for name, (_, meaning) in LIMITS.items())
    + """
examples:
  edge-ser bench                               the shipped model, every engine that is installed
  edge-ser bench --engine numpy --realtime     as in listening: the processor sleeps between steps
  edge-ser bench my-bundle -o json > here.json with the machine's description
  edge-ser bench --submit-file my-board.json   a file to share; it does not tell whose machine it is
  edge-ser bench --compare old.json new.json   two reports beside each other
  edge-ser bench --peers                       beside Wav2Small, MobileNetV4 and what else is installed
  edge-ser bench --peers peers                 the same, their files kept: a board without torch takes the folder
  edge-ser bench --peers --peer-model vosk=vosk-model-small-en-us-0.15
  printf 'rss_mb = 64\\np99_ms = 50\\n' > pi-zero.toml; edge-ser bench --budget pi-zero.toml
"""
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the command's arguments."""
    parser.description = (
        "Measure size, start, latency, duty cycle and memory of each engine and precision here."
    )
    parser.epilog = _EPILOG
    parser.add_argument(
        "model",
        nargs="?",
        default=DEFAULT_MODEL,
        metavar="MODEL",
        help="a name from `edge-ser models` or a bundle's folder (default %(default)s)",
    )
    parser.add_argument("--engine", action="append", choices=ENGINES, help="only this one; may be repeated")
    parser.add_argument(
        "--precision", action="append", choices=PRECISIONS, help="only this one; may be repeated"
    )
    parser.add_argument("--budget", metavar="FILE", help="limits that every run must keep, in TOML")
    parser.add_argument("--rounds", type=int, help=f"fresh processes for each engine (default {_ROUNDS})")
    parser.add_argument("--steps", type=int, help=f"steps timed in each (default {_STEPS})")
    parser.add_argument("--realtime", action="store_true", help="one step each 250 ms, as in listening")
    parser.add_argument("--submit-file", metavar="FILE", help="write the report there, to be shared")
    parser.add_argument(
        "--peers",
        nargs="?",
        const="",
        metavar="FOLDER",
        help="points of reference on the same machine: "
        + ", ".join(_PEERS)
        + " with random weights (made here, which "
        "needs the extra `export`, or kept in FOLDER), " + ", ".join(RUNTIMES) + " where they are installed",
    )
    parser.add_argument(
        "--peer-model",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help=f"the model of one of {', '.join(RUNTIMES)}; may be repeated",
    )
    parser.add_argument(
        "--compare",
        nargs=2,
        metavar=("BEFORE", "AFTER"),
        help="measure nothing; set two reports beside each other",
    )
    add_output_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Measure; 1 when an engine failed or a budget was passed, 0 otherwise."""
    if args.compare is not None:
        _refuse_beside_compare(args)
        rows = compare(*map(read_report, args.compare))
        if not rows:
            raise EdgeSerError("the two reports have no engine in common")
        write_table(rows, args.output, document={"rows": rows})
        return 0
    args.rounds = _ROUNDS if args.rounds is None else args.rounds
    args.steps = _STEPS if args.steps is None else args.steps
    models = read_models(args.peer_model)
    if models and args.peers is None:
        raise EdgeSerError("--peer-model goes with --peers; give that as well")
    if args.submit_file is not None:
        check_place(args.submit_file)
    budget = read_budget(args.budget) if args.budget is not None else {}
    bundle = load_bundle(args.model)
    pairs = candidates(bundle, args.engine or (), args.precision or ())
    runs = measure(
        bundle, pairs, rounds=args.rounds, steps=args.steps, realtime=args.realtime, progress=_progress
    )
    _progress("")
    if not runs:
        there = ", ".join(" ".join(pair) for pair in candidates(bundle))
        raise EdgeSerError(f"{bundle.name} has nothing in that precision to measure; it has {there}")
    if not any(row["ok"] for row in runs):
        reasons = "; ".join(f"{row['engine']} {row['precision']}: {row['reason']}" for row in runs)
        raise EdgeSerError(f"nothing of {bundle.name} can be measured here ({reasons})")
    for row in runs:
        if row["missing"] and args.engine:  # asked for by name, so its absence is no side remark
            raise EdgeSerError(row["reason"])
        if row["ok"]:
            row["over"] = check_budget(row, budget)
            row["ok"] = not row["over"]
    peers = [] if args.peers is None else _measure_peers(args, models)
    machine = describe_machine()
    _write(args.output, bundle.name, machine, runs, peers)  # first: minutes went into it
    if args.submit_file is not None:
        write_json(args.submit_file, shared(bundle.name, machine, runs, peers))
    return 0 if all(row["ok"] or row["missing"] for row in runs) else 1


def _refuse_beside_compare(args: argparse.Namespace) -> None:
    """Refuse what says how to measure where nothing is: a budget that was never looked at would seem to be kept."""
    said = {
        "MODEL": args.model != DEFAULT_MODEL, "--engine": args.engine, "--precision": args.precision,
        "--budget": args.budget is not None, "--submit-file": args.submit_file is not None,
        "--realtime": args.realtime, "--rounds": args.rounds is not None, "--steps": args.steps is not None,
        "--peers": args.peers is not None, "--peer-model": args.peer_model,
    }  # fmt: skip
    if unfit := [name for name, given in said.items() if given]:
        raise EdgeSerError(f"--compare measures nothing, and {unfit[0]} is of a measurement: leave one out")


def _measure_peers(args: argparse.Namespace, models: dict[str, str]) -> list[dict[str, Any]]:
    """Rows of the peers; what is absent is a row that says so."""
    rows: list[dict[str, Any]] = []
    note = "random weights; 5 s again each 250 ms"
    with contextlib.ExitStack() as stack:
        for name in _PEERS:
            try:
                bundle = stack.enter_context(_peer(name, args.peers))
            except EdgeSerError as error:  # a damaged one too: our own figures are worth more
                rows.append({"peer": name, "engine": "", "precision": "", "note": note, "ok": False,
                             "reason": str(error), "missing": isinstance(error, MissingExtraError)})  # fmt: skip
                continue
            # A step of theirs is some fifty of ours.
            runs = measure(
                bundle, bundle.variants(), rounds=args.rounds, steps=max(1, args.steps // 4),
                realtime=args.realtime, progress=_progress,
            )  # fmt: skip
            rows += [{"peer": name, "note": note} | row for row in runs]
    rows += measure_runtimes(models, rounds=args.rounds, steps=args.steps, progress=_progress)
    _progress("")
    return rows


@contextlib.contextmanager
def _peer(name: str, kept: str) -> Iterator[Bundle]:
    """A peer's bundle: the one that is kept in a folder, or made there, or made for now."""
    if kept and (Path(kept) / name / "bundle.json").is_file():
        yield load_bundle(str(Path(kept) / name))
        return
    require(
        "torch",
        extra="export",
        purpose=f"making {name} (or keep its files: --peers FOLDER, on a larger machine)",
    )
    from export.peers import write_peer

    _progress(f"{name}, which is made first")
    if kept:
        yield write_peer(name, Path(kept))
        return
    with tempfile.TemporaryDirectory() as folder:
        yield write_peer(name, Path(folder))


def _write(
    form: str, model: str, machine: dict[str, Any], runs: list[dict[str, Any]], peers: list[dict[str, Any]]
) -> None:
    if form == "md":
        measured = [row | _readable(row) for row in runs if "step_ms" in row]
        print(f"{model} on {machine_line(machine)}\n")
        write_table(measured, "md", columns=_COLUMNS)
        for row in runs:
            if row["reason"] is not None:
                print(f"\n{row['engine']} {row['precision']} was not measured: {row['reason']}")
            elif row["over"]:
                print(f"\n{row['engine']} {row['precision']} is over its budget: {', '.join(row['over'])}")
        for row in measured:
            parts = ", ".join(f"{name} {value}" for name, value in row["memory_by_part"].items())
            print(f"\n{row['what']}, memory by part in MB: {parts}")
            if row["package_w"] is not None:
                print(f"{row['what']}: {row['package_w']:.1f} W, the whole processor meanwhile")
            if row["board_w"] is not None:
                print(f"{row['what']}: {row['board_w']:.2f} W, the board's rails with one step after another")
        macs = measured[0]["macs_per_s"] / 1e6
        print(f"\nThe model takes {macs:.2f} M multiply-adds for a second of audio.")
        if peers:
            _write_peers(peers)
        return
    document = {"model": model, "machine": machine, "runs": runs} | ({"peers": peers} if peers else {})
    write_table([*runs, *peers], form, document=document)


def _write_peers(peers: list[dict[str, Any]]) -> None:
    print("\nOthers on the same machine, as points of reference:\n")
    measured = [row | _readable(row) for row in peers if "step_ms" in row]
    if measured:
        write_table(measured, "md", columns=_PEER_COLUMNS)
    for row in peers:
        if row["reason"] is not None:
            name = " ".join(dict.fromkeys(filter(None, (row["peer"], row["engine"], row["precision"]))))
            print(f"\n{name} was not measured: {row['reason']}")


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    """What the table shows of a run where the bare figures would not read well."""
    return {
        "what": f"{row['engine']} {row['precision']}",
        "load_ms": round(row["load_ms"], 1),
        "first_answer_ms": round(row["first_answer_ms"]),
        "step_ms": {name: float(f"{value:.3g}") for name, value in row["step_ms"].items()},
        **({"front": f"{row['front_end_share']:.0%}"} if "front_end_share" in row else {}),
        "core": f"{row['duty_cycle']:.2%}",
    }


def _progress(phrase: str) -> None:
    """One line on a terminal's standard error that is written over; nothing elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{'measuring ' if phrase else ''}{phrase}", end="", file=sys.stderr, flush=True)
