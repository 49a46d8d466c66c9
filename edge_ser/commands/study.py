"""``edge-ser study``: a comparison of the literature, as published and honestly."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ser.commands._output import add_output_argument, write_table
from edge_ser.errors import EdgeSerError, require
from edge_ser.files import check_place, write_json

if TYPE_CHECKING:
    from edge_ser.studies import Study

__all__ = ["add_arguments", "run"]

_COLUMNS = {
    "title": "line",
    "metric": "figure",
    "published": "published",
    "as_published.value": "ours, as published",
    "honest.value": "ours, honest",
    "interval": "95 %",
    "gap": "gap",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Run a comparison of the literature twice: with its published random split, which has speakers on both sides "
        "and so leaks, and honestly. Writes report.html (works offline) and study.json, with the gap between the two. "
        "Stop it at any time; the same command goes on."
    )
    parser.epilog = """\
examples:
  edge-ser study --list
  edge-ser study ravdess --quick --out out/ravdess        ten minutes: the way, not the figures
  edge-ser study ravdess --jobs 2 --out out/ravdess       all of it
  edge-ser study ravdess --quick --full cnn-3,mlp --out out/ravdess
                                                          two lines in full, beside quick ones, in one report
  edge-ser study aesdd --protocol honest --data ~/corpora --out out/aesdd
"""
    parser.add_argument("name", nargs="?", metavar="NAME", help="which study (--list)")
    parser.add_argument("--list", action="store_true", help="list the studies and end")
    parser.add_argument(
        "--protocol",
        choices=("as-published", "honest", "both"),
        default="both",
        help="what to run (default both, for the gap between them)",
    )
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument(
        "--quick", action="store_true", help="fewer clips, epochs and settings: under ten minutes"
    )
    parser.add_argument(
        "--full",
        metavar="LINE,...",
        default="",
        help="lines of a quick run that have the whole recipe; the report says which (--list -o json names them)",
    )
    scale.add_argument("--miniature", action="store_true", help="a test that all of it runs, in seconds")
    parser.add_argument("--seeds", type=int, metavar="N", help="models of each setting (default the study's)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default 1)")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder with a folder for each corpus (default $EDGE_SER_DATA, or ../shared/data)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the study's own (--list -o json tells them)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the report and all parts of it")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the figures to this JSON file too")
    add_output_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.list:
        return _list(args.output)
    if args.name is None:
        raise EdgeSerError("name a study; `edge-ser study --list` lists them")
    for module in ("torch", "sklearn"):
        require(module, extra="train", purpose="studies")
    from edge_ser.studies import PROTOCOLS, StudyRun, find_study, write_study

    study = find_study(args.name)
    if args.out is None:
        raise EdgeSerError("--out DIR is needed: the report and the parts that are done are kept there")
    if args.full and not args.quick:
        raise EdgeSerError(
            f"--full {args.full} names lines of a quick run; give --quick with it, or leave it out for the whole study"
        )
    if args.seeds is not None and args.seeds < 1:
        raise EdgeSerError(f"--seeds needs at least one, not {args.seeds}")
    if args.data is not None and not args.data.is_dir():
        raise EdgeSerError(f"--data {args.data} is no folder; it should hold one folder for each corpus")
    check_place(args.out / "report.html")
    if args.record is not None:  # before hours whose figures would have no place
        check_place(args.record)
    from edge_ser.evaluation.canvas import require_matplotlib

    require_matplotlib("studies")
    scale = "quick" if args.quick else "miniature" if args.miniature else "full"
    job = StudyRun(
        study=study.name,
        folder=args.out,
        scale=scale,
        protocols=tuple(PROTOCOLS) if args.protocol == "both" else (args.protocol,),
        seeds=tuple(range(args.seeds or study.seeds[scale])),
        jobs=args.jobs,
        data=args.data,
        options=_options(study.options, args.set),
        full=_lines(study, args.full),
    )
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        outcome = study.run(job)
    except KeyboardInterrupt:
        print(f"\nstopped; the same command goes on from what is done in {args.out}", file=sys.stderr)
        return 130
    page, figures = write_study(study, job, outcome)
    job.clean()
    if args.record is not None:
        write_json(args.record, figures)
    write_table([_row(line) for line in figures["lines"]], args.output, columns=_COLUMNS, document=figures)
    if args.output == "md":
        print("\n" + "\n\n".join(figures["findings"]))
    if outcome.left_out:
        print(f"{len(outcome.left_out)} clips left out; the report says which and why", file=sys.stderr)
    print(f"report: {page}", file=sys.stderr)
    return 0


def _options(known: Mapping[str, str], given: Sequence[str]) -> dict[str, str]:
    options = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name not in known:
            there = ", ".join(known) if known else "none"
            raise EdgeSerError(f"--set takes NAME=VALUE of an option of this study ({there}), not {text!r}")
        options[name] = value
    return options


def _lines(study: Study, given: str) -> tuple[str, ...]:
    lines = tuple(dict.fromkeys(filter(None, given.split(","))))
    if strange := [one for one in lines if one not in study.lines]:
        there = ", ".join(study.lines) if study.lines else "none"
        raise EdgeSerError(f"--full takes lines of this study ({there}), not {strange[0]!r}")
    return lines


def _row(line: dict[str, Any]) -> dict[str, Any]:
    honest = line["honest"] or {}
    ends = honest.get("ci95")
    return line | {"interval": "{:.3f} to {:.3f}".format(*ends) if ends else None}


def _list(form: str) -> int:
    require("torch", extra="train", purpose="studies")
    from edge_ser.studies import studies

    rows = [
        {
            "study": one.name,
            "letter": one.letter,
            "title": one.title,
            "needs": list(one.needs),
            "options": dict(one.options),
            "lines": list(one.lines),
            "about": one.about,
        }
        for one in studies()
    ]
    columns = {"letter": "", "study": "study", "title": "what it compares", "needs": "needs"}
    write_table(rows, form, columns=columns, document={"studies": rows})
    return 0
