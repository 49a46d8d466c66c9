"""``edge-ser bench``: what a model costs on this machine, engine by engine."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from edge_ser.bundle import DEFAULT_MODEL, PRECISIONS, load_bundle
from edge_ser.commands._output import add_output_argument, write_table
from edge_ser.errors import EdgeSerError
from edge_ser.files import write_json
from firmware_py.bench import candidates, measure
from firmware_py.budget import LIMITS, check_budget, read_budget
from firmware_py.engines import ENGINES
from firmware_py.machine import describe_machine, machine_line
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
    parser.add_argument(
        "--rounds", type=int, default=3, help="fresh processes for each engine (default %(default)s)"
    )
    parser.add_argument("--steps", type=int, default=200, help="steps timed in each (default %(default)s)")
    parser.add_argument("--realtime", action="store_true", help="one step each 250 ms, as in listening")
    parser.add_argument("--submit-file", metavar="FILE", help="write the report there, to be shared")
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
        rows = compare(*map(read_report, args.compare))
        if not rows:
            raise EdgeSerError("the two reports have no engine in common")
        write_table(rows, args.output, document={"rows": rows})
        return 0
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
    machine = describe_machine()
    if args.submit_file is not None:
        write_json(args.submit_file, shared(bundle.name, machine, runs))
    _write(args.output, bundle.name, machine, runs)
    return 0 if all(row["ok"] or row["missing"] for row in runs) else 1


def _write(form: str, model: str, machine: dict[str, Any], runs: list[dict[str, Any]]) -> None:
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
        macs = measured[0]["macs_per_s"] / 1e6
        print(f"\nThe model takes {macs:.2f} M multiply-adds for a second of audio.")
        return
    write_table(runs, form, document={"model": model, "machine": machine, "runs": runs})


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    """What the table shows of a run where the bare figures would not read well."""
    return {
        "what": f"{row['engine']} {row['precision']}",
        "load_ms": round(row["load_ms"], 1),
        "first_answer_ms": round(row["first_answer_ms"]),
        "step_ms": {name: float(f"{value:.3g}") for name, value in row["step_ms"].items()},
        "front": f"{row['front_end_share']:.0%}",
        "core": f"{row['duty_cycle']:.2%}",
    }


def _progress(phrase: str) -> None:
    """One line on a terminal's standard error that is written over; nothing elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{'measuring ' if phrase else ''}{phrase}", end="", file=sys.stderr, flush=True)
