"""The overview over all studies, from the files that they left under results/."""

from pathlib import Path
from typing import Any

from benchmarks.results import read
from edge_ser.commands._output import markdown_table
from firmware_py.machine import machine_line

__all__ = ["TABLES"]


def studies(results: Path) -> str:
    """Every comparison of the literature that was recorded: published, ours as published, ours honest, the gap."""
    told = []
    for one in sorted(
        (read(path) for path in results.glob("study-*.json")), key=lambda f: (f["letter"], f["study"])
    ):
        rows = []
        several = len({line["metric"] for line in one["lines"]}) > 1
        for line in one["lines"]:
            row = {"": line["title"], **({"figure": line["metric"]} if several else {})}
            honest = line["honest"] or {}
            row |= {
                "published": _share(line["published"]),
                "ours, as published": _share((line["as_published"] or {}).get("value")),
                "ours, honest": f"**{honest['value']:.3f}**" if honest else "-",
                "95 %": "{:.3f} to {:.3f}".format(*honest["ci95"]) if honest.get("ci95") else "-",
                "gap": "-" if line["gap"] is None else f"{line['gap']:+.3f}",
                "note": "; ".join(filter(None, [_IN_FULL if _whole(one, line) else "", line["note"]])),
            }
            rows.append(row)
        scale = {"full": "", "quick": " A quick run, not the whole study."}[one["scale"]]
        if any(_whole(one, line) for line in one["lines"]):
            scale = f" A quick run; lines marked “{_IN_FULL}” have the whole study's recipe, on the quick run's folds."
        cost = f"{one['cpu_seconds']} s of a core's time (user and system)"
        about = f"{one['data']}; {len(one['seeds'])} of each setting; {cost}.{scale}"
        split = "; ".join(f"{name}: {text}" for name, text in one["protocols"].items())
        told.append(
            f"### {one['letter']}: {one['title']}\n\n`edge-ser study {one['study']}`. {about} {split}.\n\n"
            f"{markdown_table(rows)}\n\n" + "\n\n".join(one["findings"])
        )
    return "\n\n".join(told) or "No study is recorded yet."


def costs(results: Path) -> str:
    """What each study costs in full, from ``python -m benchmarks.study_costs``."""
    told = read(results / "studies-cost.json")
    rows = [
        {
            "study": f"{one['letter']}: {one['study']}",
            "parts": sum(kind["parts"] for kind in one["kinds"]) or "-",
            "a core's seconds": one["cpu_seconds"],
            "of kinds that were run whole": f"{one['of_measured_kinds']:.0%}",
            "hours on two cores": one["hours_on_two_cores"],
        }
        for one in told["studies"]
    ]
    return f"{markdown_table(rows)}\n\n{machine_line(told['machine'])}"


#: What a line says that was run in full within a quick run.
_IN_FULL = "in full"


def _whole(study: dict[str, Any], line: dict[str, Any]) -> bool:
    return study["scale"] != "full" and line.get("scale") == "full"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


TABLES = {"studies": studies, "study_costs": costs}
