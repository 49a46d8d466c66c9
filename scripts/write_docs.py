#!/usr/bin/env python3
"""Rewrite the figures in README.md, models/README.md and docs/ from the files under results/ and from bundles.

A document holds a pair of lines ``<!-- figures: NAME -->`` and ``<!-- end -->``; what stands between them is
made here. ``--check`` writes nothing and fails where a document is not up to date.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.device_tables import TABLES as DEVICE
from benchmarks.evaluation_tables import TABLES as EVALUATION
from benchmarks.export_tables import TABLES as EXPORT
from benchmarks.model_tables import TABLES as MODELS
from benchmarks.results import read
from benchmarks.session_tables import TABLES as SESSION
from benchmarks.study_tables import TABLES as STUDIES
from benchmarks.tables import TABLES as FRONT_END
from benchmarks.training_tables import TABLES as TRAINING
from edge_ser.commands._output import markdown_table
from edge_ser.errors import EdgeSerError
from edge_ser.files import write_atomic
from firmware_py.machine import machine_line

ROOT = Path(__file__).resolve().parents[1]
BEGIN = re.compile(r"<!-- figures:")
BLOCK = re.compile(r"(<!-- figures: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def cost(results: Path) -> str:
    """What each engine costs, from ``edge-ser bench -o json``."""
    bench = read(results / "bench.json")
    rows = [
        {
            "engine": f"{run['engine']} {run['precision']}",
            "file kB": run["file_kb"],
            "load ms": run["load_ms"],
            "step ms p50": run["step_ms"]["p50"],
            "p95": run["step_ms"]["p95"],
            "p99": run["step_ms"]["p99"],
            "duty cycle": f"{100 * run['duty_cycle']:.2f} %",
            "RSS MB": run["rss_mb"]["peak"],
            "M MAC/s": run["macs_per_s"] / 1e6,
        }
        for run in bench["runs"]
        if run["ok"]
    ]
    return f"{markdown_table(rows)}\n\n{machine_line(bench['machine'])}"


def parity(results: Path) -> str:
    """Largest error of each engine, from ``edge-ser verify -o json``."""
    rows = [
        {
            "check": check["name"],
            "engine": f"{check['engine']} {check['precision']}",
            "max abs error": check["max_abs_error"],
            "limit": check["limit"],
            "": check["note"],
        }
        for check in read(results / "verify.json")["checks"]
        if check["max_abs_error"] is not None
    ]
    return markdown_table(rows)


def runtimes(results: Path) -> str:
    """The shipped model on old and new runtimes, from ``scripts/check_runtimes.py``."""
    rows = []
    for one in read(results / "runtimes.json")["runtimes"]:
        for precision in dict.fromkeys(check["precision"] for check in one["checks"]) or ("",):
            checks = {c["name"]: c for c in one["checks"] if c["precision"] == precision}
            ran = [check["ok"] for check in checks.values() if check["ok"] is not None]
            rows.append(
                {
                    "engine": f"{one['engine']} {precision}".strip(),
                    "runtime": ", ".join(f"{name} {version}" for name, version in one["versions"].items()),
                    "passes": "**no**" if not (checks and all(ran)) else "yes" if ran else "refused",
                    **{
                        name: f"{checks[name]['max_abs_error']:.1e}" if name in checks and ran else "-"
                        for name in ("answers", "chunks", "drift")
                    },
                }
            )
    return markdown_table(rows)


def hour(results: Path) -> str:
    """What an hour of streaming adds to each file's answers, from ``edge-ser verify --minutes 60``."""
    rows = [
        {
            "engine": f"{check['engine']} {check['precision']}",
            "difference": check["max_abs_error"],
            "limit": check["limit"],
            "of": check["note"],
        }
        for check in read(results / "verify-hour.json")["checks"]
        if check["name"] == "drift"
    ]
    return markdown_table(rows)


TABLES: dict[str, Callable[[Path], str]] = {
    "hour": hour,
    "cost": cost,
    "parity": parity,
    "runtimes": runtimes,
    **TRAINING,
    **SESSION,
    **MODELS,
    **FRONT_END,
    **DEVICE,
    **EXPORT,
    **STUDIES,
    **EVALUATION,
}


def rewrite(text: str, results: Path) -> str:
    """A document with its figures as they should be."""
    if len(BEGIN.findall(text)) != len(BLOCK.findall(text)):
        # Two beginnings before an end would lose what stands between them; a name with a space would never be made.
        raise EdgeSerError(
            "of its lines <!-- figures: NAME --> one has no <!-- end -->, or a name that is no word"
        )

    def block(match: re.Match[str]) -> str:
        if match["name"] not in TABLES:
            raise EdgeSerError(f"there are no figures {match['name']!r}; there are {', '.join(TABLES)}")
        return f"{match[1]}{TABLES[match['name']](results)}\n{match[3]}"

    return BLOCK.sub(block, text)


def main() -> int:
    """Rewrite or check every document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 where a document is out of date"
    )
    parser.add_argument(
        "documents", nargs="*", type=Path, help="only these (default: both README.md and all of docs/)"
    )
    args = parser.parse_args()
    stale, status = False, 0
    every = sorted([ROOT / "README.md", ROOT / "models/README.md", *ROOT.glob("docs/**/*.md")])
    for path in [path.resolve() for path in args.documents] or every:
        try:
            text = path.read_text(encoding="utf-8")
            fresh = rewrite(text, ROOT / "results")
            if fresh == text:
                continue
            if not args.check:
                write_atomic(path, fresh.encode("utf-8"))
        except (EdgeSerError, OSError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            status = 2
            continue
        stale = True
        told = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        print(f"{told}: {'out of date, run scripts/write_docs.py' if args.check else 'rewritten'}")
    return status or int(args.check and stale)


if __name__ == "__main__":
    sys.exit(main())
