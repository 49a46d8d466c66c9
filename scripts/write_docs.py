#!/usr/bin/env python3
"""Rewrite the figures in README.md and docs/ from the files under results/.

A document holds a pair of lines ``<!-- figures: NAME -->`` and ``<!-- end -->``; what stands between them is
made here. ``--check`` writes nothing and fails where a document is not up to date.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.device_tables import TABLES as DEVICE
from benchmarks.evaluation_tables import TABLES as EVALUATION
from benchmarks.export_tables import TABLES as EXPORT
from benchmarks.results import read
from benchmarks.study_tables import TABLES as STUDIES
from benchmarks.tables import TABLES as FRONT_END
from edge_ser.commands._output import markdown_table
from edge_ser.corpora.base import ADV
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.evaluate import by_seed
from edge_ser.files import write_atomic
from firmware_py.machine import machine_line

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(<!-- figures: (?P<name>[a-z_]+) -->\n).*?(<!-- end -->)", re.DOTALL)


# Corpora beside RAVDESS on whose own folds the student is trained, and those that were left out of a mix.
OWN = ("emodb", "aesdd", "emotale")
LEFT_OUT = ("ravdess", "emodb", "aesdd", "emotale", "nemo")
# The corpora of the shipped model's training mix; each has a file of its held-out fold's figures.
MIX = ("ravdess", "emodb", "emotale", "aesdd", "nemo", "urdu")


def accuracy(results: Path) -> str:
    """Figures over all folds of a corpus, each fold by a model that never heard its speakers."""
    return _scores([read(results / f"{name}.json") for name in ("ravdess", "emotale")], folds=True)


def shipped(results: Path) -> str:
    """Figures of the shipped model's training mix on the fold that was held out of every corpus."""
    return _scores([read(results / f"stream72k-fold0-{name}.json") for name in MIX], folds=False)


def _scores(figures: Sequence[Mapping[str, Any]], *, folds: bool) -> str:
    rows = []
    for one in figures:
        interval = one["uar"]["ci95"]
        row = {
            "corpus": one["corpus"],
            "classes": sum(any(row) for row in one["confusion"]),  # those that the fold's speakers show
            "clips": sum(fold["n"] for fold in one["folds"]),
            "UAR": f"**{one['uar']['mean']:.3f}**",
            "95 % over speakers": "{:.3f} to {:.3f}".format(*interval) if interval else "one speaker",
        }
        if folds:
            row["folds"] = " ".join(f"{fold['uar']:.3f}" for fold in one["folds"])
        row["trivial"] = f"{one['baseline_uar']:.3f}"
        row["CCC A / D / V"] = _ccc(one)
        rows.append(row)
    return markdown_table(rows)


def teachers(results: Path) -> str:
    """What teachers are worth on the folds that they never heard."""
    rows = []
    for name, heard in (
        ("teacher-ravdess", "beside its speaker's others"),
        ("teacher-ravdess-alone", "by itself"),
        ("teacher-emodb", "beside its speaker's others"),
        ("teacher-aesdd", "beside its speaker's others"),
        ("teacher-emotale", "beside its speaker's others"),
    ):
        one = read(results / f"{name}.json")
        rows.append(
            {
                "corpus": one["corpus"],
                "teacher": one["model"],
                "a clip is heard": heard,
                "UAR": f"**{one['uar']['mean']:.3f}**",
                "95 % over speakers": "{:.3f} to {:.3f}".format(*one["uar"]["ci95"]),
                "CCC A / D / V": _ccc(one),
                "folds": " ".join(f"{fold['uar']:.3f}" for fold in one["folds"]),
            }
        )
    return markdown_table(rows)


def _ccc(figures: Mapping[str, Any]) -> str:
    return " / ".join(f"{figures['adv'][d]['ccc']:.3f}" for d in ADV) if "adv" in figures else "-"


def students(results: Path) -> str:
    """The same network on labels alone and from a teacher, on the folds that it never heard."""
    rows = []
    for name in ("ravdess", "ravdess-distil"):
        one = read(results / f"{name}.json")
        at = results / f"{name}-int8.json"
        on_device = read(at) if at.exists() else {}
        rows.append(
            {
                "recipe": f"`recipes/{name}.toml`",
                "parameters": one["params"],
                "epochs": one["recipe"]["fit"]["epochs"],
                "seeds": " ".join(f"{seed['uar']:.3f}" for seed in by_seed(one["folds"])),
                "UAR": f"**{one['uar']['mean']:.3f}**",
                "95 % over speakers": "{:.3f} to {:.3f}".format(*one["uar"]["ci95"]),
                "folds": " ".join(f"{value:.3f}" for value in by_fold(one["folds"])),
                "int8": f"{on_device['uar']['mean']:.3f}" if on_device else "-",
                "int8, used to the speaker": f"{on_device['session']['uar']:.3f}"
                if "session" in on_device
                else "-",
            }
        )
    return markdown_table(rows)


def corpora(results: Path) -> str:
    """The student on each corpus's own folds, begun on the others."""
    rows = []
    for name in OWN:
        one = read(results / f"{name}-distil.json")
        rows.append(
            {
                "corpus": one["corpus"],
                "held out": f"{len(one['recipe']['data']['folds'])} folds of speakers",
                "clips": sum(fold["n"] for fold in one["folds"]),
                "epochs": one["recipe"]["fit"]["epochs"],
                "UAR": f"**{one['uar']['mean']:.3f}**",
                "95 % over speakers": "{:.3f} to {:.3f}".format(*one["uar"]["ci95"]),
                "CCC A / D / V": _ccc(one),
            }
        )
    return markdown_table(rows)


def unheard(results: Path) -> str:
    """The student on a corpus that neither it nor its teacher was trained on."""
    rows = []
    for name in LEFT_OUT:
        one = read(results / f"unheard-{name}.json")
        rows.append(
            {
                "corpus": one["corpus"],
                "classes": ", ".join(one["labels"]),
                "clips": sum(fold["n"] for fold in one["folds"]),
                "UAR": f"**{one['uar']['mean']:.3f}**",
                "95 % over speakers": "{:.3f} to {:.3f}".format(*one["uar"]["ci95"]),
                "trivial": f"{one['baseline_uar']:.3f}",
            }
        )
    return markdown_table(rows)


def session(results: Path) -> str:
    """What getting used to a speaker is worth, by fold and by the clips heard before."""
    one = read(results / "ravdess-distil-int8.json")["session"]
    rows = [
        {"fold": fold, **{name: f"{value:.3f}" for name, value in figures.items()}}
        for fold, figures in [
            *((str(fold), _means([row for row in one["folds"] if row["fold"] == fold])) for fold in range(5)),
            ("**all**", _means(one["folds"])),
        ]
    ]
    heard = [
        {
            "clips of the speaker before": str(row["from"])
            if row["from"] == row["to"]
            else f"{row['from']} to {row['to']}",
            "UAR": f"{row['uar']:.3f}",
        }
        for row in one["heard"]
    ]
    return f"{markdown_table(rows).strip()}\n\n{markdown_table(heard)}"


def _means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    names = {"alone": "each clip alone", "uar": "used to the speaker", "by_mood": "by mood"}
    return {head: statistics.fmean(row[name] for row in rows) for name, head in names.items()}


def by_fold(runs: Sequence[Mapping[str, Any]]) -> list[float]:
    """UAR of each fold, the mean over seeds."""
    folds = sorted({run["fold"] for run in runs})
    return [statistics.fmean(run["uar"] for run in runs if run["fold"] == fold) for fold in folds]


def condensed(results: Path) -> str:
    """Students of a few synthetic clips beside those of real ones."""
    one = read(results / "condense-ravdess.json")
    names = {
        "synthetic": "synthetic clips",
        "real": "real clips, drawn at random",
        "means": "means of real clips",
        "all": f"all {one['trained_on']} real clips",
    }
    rows = [
        {
            "learns from": names[row["kind"]],
            "of each class": row["clips"] or "all",
            "UAR": f"**{row['uar']:.3f}**",
            "spread over seeds": "-" if row["spread"] is None else f"{row['spread']:.3f}",
            "runs": row["runs"],
        }
        for row in one["rows"]
    ]
    return f"{markdown_table(rows)}\n\n{one['corpus']}, {one['protocol']}; a network of {one['params']} parameters."


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


def rejection(results: Path) -> str:
    """What the detector of speech does with sounds and speakers that it never heard."""
    record = read(results / "speech-detector.json")["speech_detector"]
    rows = [
        {"collection": name, "clips": one["clips"], "refused as no speech": f"{one['refused']:.1%}"}
        for name, one in record["by_collection"].items()
    ]
    rows.append({"collection": "**all sounds**", "clips": record["sounds"],
                 "refused as no speech": f"**{record['rejected']:.1%}**"})  # fmt: skip
    rows.append({"collection": "**all speech**", "clips": record["speech"],
                 "refused as no speech": f"**{record['refused']:.1%}**"})  # fmt: skip
    return markdown_table(rows)


def calibrated(results: Path) -> str:
    """What calibration by other speakers does to the folds of RAVDESS."""
    one = read(results / "ravdess-distil-calibration.json")["calibration"]
    fitted = one["fitted"]
    rows = [
        {
            "": "as answered",
            "ECE": f"{one['ece']:.3f}",
            "answered": "100 %",
            "accuracy": f"{one['accuracy']:.3f}",
        },
        {
            "": "by the temperature and rule of the other folds' speakers",
            "ECE": f"**{fitted['ece']:.3f}**",
            "answered": f"{fitted['coverage']:.1%}",
            "accuracy": f"**{fitted['accuracy']:.3f}**",
        },
    ]
    return markdown_table(rows)


def conditions(results: Path) -> str:
    """What each condition costs, then the project's limits, the paper's tests and figures of the stream."""
    one = read(results / "ravdess-distil-fold0-robustness.json")
    rows = [
        {
            "condition": row["condition"],
            "UAR": f"{row['uar']:.3f}",
            "lost": f"{row['lost']:+.3f}",
            "same label": f"{row['same_label']:.0%}",
        }
        for row in one["robustness"]["conditions"]
    ]
    limits = [
        {
            "test": row["test"],
            "figure": f"{row['figure']:.3f}",
            "limit": row["limit"],
            "kept": "yes" if row["ok"] else "**no**",
        }
        for row in one["robustness"]["bars"]
    ]
    passed = [
        {key: f"{value:.1%}" if isinstance(value, float) else value for key, value in row.items()}
        for row in one["tests"]["summary"]
    ]
    stream = read(results / "ravdess-distil-fold0-streaming.json")["streaming"]["figures"]
    heard = [
        {"in a stream": "turns", "figure": str(stream["turns"])},
        {"in a stream": "right at the end", "figure": f"{stream['right_at_end']:.1%}"},
        {"in a stream": "of those, stable within 1.5 s", "figure": f"{stream['stable_in_time']:.1%}"},
        {"in a stream": "seconds to a stable label, median and 90 %",
         "figure": " / ".join(f"{x:.2f}" for x in stream["seconds_to_stable"])},
        {"in a stream": "flips a minute of speech", "figure": f"{stream['flips_per_minute']:.1f}"},
        {"in a stream": "steps in pauses that name an emotion", "figure": f"{stream['in_pauses']:.1%}"},
    ]  # fmt: skip
    tables = (rows, limits, passed, heard)
    return f"{one['robustness']['protocol']}:\n\n" + "\n\n".join(markdown_table(table) for table in tables)


def runtimes(results: Path) -> str:
    """The shipped model on old and new runtimes, from ``scripts/check_runtimes.py``."""
    rows = []
    for one in read(results / "runtimes.json")["runtimes"]:
        errors = {check["name"]: check["max_abs_error"] for check in one["checks"] if check["ok"] is not None}
        rows.append(
            {
                "engine": one["engine"],
                "runtime": ", ".join(f"{name} {version}" for name, version in one["versions"].items()),
                "passes": "yes" if one["ok"] else "**no**",
                **{
                    name: "-" if name not in errors else f"{errors[name]:.1e}"
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
    "accuracy": accuracy,
    "shipped": shipped,
    "teachers": teachers,
    "students": students,
    "session": session,
    "corpora": corpora,
    "unheard": unheard,
    "condensed": condensed,
    "cost": cost,
    "parity": parity,
    "rejection": rejection,
    "calibrated": calibrated,
    "conditions": conditions,
    "runtimes": runtimes,
    **FRONT_END,
    **DEVICE,
    **EXPORT,
    **STUDIES,
    **EVALUATION,
}


def rewrite(text: str, results: Path) -> str:
    """A document with its figures as they should be."""

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
        "documents", nargs="*", type=Path, help="only these (default: README.md and all of docs/)"
    )
    args = parser.parse_args()
    stale = []
    every = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
    for path in [path.resolve() for path in args.documents] or every:
        text = path.read_text(encoding="utf-8")
        fresh = rewrite(text, ROOT / "results")
        if fresh != text:
            stale.append(path.relative_to(ROOT))
            if not args.check:
                write_atomic(path, fresh.encode("utf-8"))
    for path in stale:
        print(f"{path}: {'out of date, run scripts/write_docs.py' if args.check else 'rewritten'}")
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
