"""What each study costs in full, from its parts: those that were run are measured, the others cost what their like do.

    python -m benchmarks.study_costs [--runs runs/studies] [--out results/studies-cost.json] [--only STUDY,...]

Every part that the whole study would run is listed, without running it. Parts that differ in fold and seed alone cost
the same. Of a kind that was never run whole, one is run for one epoch, and all of them cost what the first does, with
all that comes before it: an upper bound. Features cost ten times what those of every tenth clip do. Seconds are the
processor's (user and system), hours those of two cores.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import benchmarks.one_thread  # noqa: F401

# isort: split
from benchmarks.running import earlier, place, run_main
from edge_ser.errors import EdgeSerError
from edge_ser.files import write_json
from edge_ser.studies import Features, Part, StudyRun, Unit, studies
from edge_ser.studies.run import cpu_time
from firmware_py.machine import describe_machine

ROOT = Path(__file__).resolve().parents[1]
#: What parts may differ in that cost the same, and in which others one stands for all where none was run whole.
ALIKE = ("fold", "seed")
LIKE = (*ALIKE, "protocol", "weight", "window")
#: Of so many clips whose features are missing, one is heard.
STEP = 10


class Planned(Exception):
    """Raised with what a study would run."""

    def __init__(self, units: Sequence[Unit]) -> None:
        super().__init__()
        self.units = list(units)


class Plan(StudyRun):
    """A run that stops where its work would begin."""

    def features(
        self,
        paths: Sequence[str | Path],
        compute: Any,
        description: Mapping[str, Any],
        what: str = "features",
    ) -> Features:
        """Of every tenth clip: a study then plans as of all."""
        before = cpu_time()
        made = dataclasses.replace(self, _cpu={"part": 0.0})
        some = StudyRun.features(made, paths[::STEP], compute, description, what)
        self._seconds["features"] = self._seconds.get("features", 0.0) + STEP * (cpu_time() - before)
        return Features([STEP * i for i in some.kept], some.values, some.left_out)

    def parts(self, units: Sequence[Unit], what: str = "parts") -> list[Part]:
        """Nothing is done: `Planned` says what would be."""
        raise Planned(units)


def kind_of(unit: Unit, but: Sequence[str] = ALIKE) -> str:
    """The same for parts that differ in nothing but some settings."""
    settings = {name: value for name, value in unit.settings.items() if name not in but}
    return json.dumps([unit.function.__qualname__, settings], sort_keys=True)


def epochs_of(unit: Unit) -> int:
    """How many a part has; 1 where it knows none."""
    return int(unit.settings.get("epochs") or unit.settings.get("recipe", {}).get("epochs") or 1)


def shortened(unit: Unit) -> tuple[Unit, float]:
    """The same part with one epoch, and of two versions of each clip where there are more; how often it fits."""
    settings = dict(unit.settings)
    times = float(epochs_of(unit))
    if settings.get("versions", 1) > 2:
        times *= settings["versions"] / 2
        settings["versions"] = 2
    if "epochs" in settings:
        settings["epochs"] = 1
    elif "epochs" in settings.get("recipe", {}):
        settings["recipe"] = {**settings["recipe"], "epochs": 1}
    return dataclasses.replace(unit, settings=settings), times


def measured(run: StudyRun, units: Sequence[Unit]) -> tuple[float, str] | None:
    """Mean cost of those that were run, and how it is known."""
    known = [cost for cost in map(run.cost_of, units) if cost is not None]
    return (sum(known) / len(known), f"{len(known)} of {len(units)} measured") if known else None


def tried(run: StudyRun, unit: Unit) -> tuple[float, str]:
    """What a part costs at most, from one epoch of it."""
    one, times = shortened(unit)
    run.parts([one])
    spent = run.cost_of(one)
    assert spent is not None
    return times * spent, "one measured" if times == 1 else f"at most: {times:g} times its first epoch"


def cost(name: str, planned: Plan, run: StudyRun, study: Any) -> dict[str, Any]:
    """All kinds of parts of a study, and what they cost."""
    try:
        study.run(planned)
    except Planned as plan:
        units = plan.units
    else:
        units = []
    features = planned._seconds.get("features", 0.0)
    kinds: dict[str, list[Unit]] = {}
    for unit in units:
        kinds.setdefault(kind_of(unit), []).append(unit)
    rows: list[dict[str, Any]] = []
    longer: dict[str, tuple[int, float]] = {}
    known = {kind: measured(run, same) for kind, same in kinds.items()}
    for kind, same in kinds.items():
        if found := known[kind]:
            key = kind_of(same[0], (*LIKE, "epochs"))
            longer[key] = max(longer.get(key, (0, 0.0)), (epochs_of(same[0]), found[0]))
    trials: dict[str, tuple[float, str]] = {}
    for kind, same in kinds.items():
        found = known[kind]
        if found is None:
            like = kind_of(same[0], LIKE)
            epochs, spent = longer.get(kind_of(same[0], (*LIKE, "epochs")), (0, 0.0))
            if epochs >= epochs_of(same[0]):
                trials[like] = spent, f"at most what one of {epochs} epochs takes"
            elif like not in trials:
                trials[like] = tried(run, same[0])
            found = trials[like]
        each, how = found
        rows.append({"part": same[0].key, "parts": len(same), "cpu_seconds": round(each, 1), "known": how})
        print(f"{name}: {len(same)} x {each:.0f} s, {same[0].key} ({how})", file=sys.stderr, flush=True)
    total = features + sum(row["parts"] * row["cpu_seconds"] for row in rows)
    done = sum(row["parts"] * row["cpu_seconds"] for row in rows if row["known"].endswith("measured"))
    return {
        "study": name,
        "letter": study.letter,
        "features_cpu_seconds": round(features),
        "cpu_seconds": round(total),
        "of_measured_kinds": round((features + done) / total, 3) if total else 1.0,
        "hours_on_two_cores": round(total / 7200, 2),
        "kinds": rows,
    }


def main() -> None:
    """Estimate each study and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "studies")
    parser.add_argument("--out", type=place, default=ROOT / "results" / "studies-cost.json")
    parser.add_argument("--only", default="", metavar="STUDY,...")
    parser.add_argument("--set", action="append", default=[], metavar="STUDY.NAME=VALUE")
    args = parser.parse_args()
    only = set(filter(None, args.only.split(",")))
    given: dict[str, dict[str, str]] = {}
    for text in args.set:
        where, _, value = text.partition("=")
        which, dot, option = where.partition(".")
        if not dot:
            raise EdgeSerError(f"--set takes STUDY.NAME=VALUE, not {text!r}")
        given.setdefault(which, {})[option] = value
    names = [study.name for study in studies()]
    if unknown := sorted({*only, *given} - {*names}):
        raise EdgeSerError(f"there is no study {', '.join(unknown)}; there are {', '.join(names)}")
    made = {row["study"]: row for row in earlier(args.out, "studies", "study", "letter")}
    for study in studies():
        if only and study.name not in only:
            continue
        common: dict[str, Any] = {
            "study": study.name,
            "folder": args.runs / study.name,
            "seeds": tuple(range(study.seeds["full"])),
            "options": given.get(study.name, {}),
        }
        # a plan of some clips leaves nothing where runs of all would find it
        with tempfile.TemporaryDirectory() as aside:
            plan = Plan(**{**common, "folder": Path(aside)})
            made[study.name] = cost(study.name, plan, StudyRun(**common), study)
        rows = sorted(made.values(), key=lambda row: row["letter"])
        write_json(args.out, {"machine": describe_machine(), "studies": rows})


if __name__ == "__main__":
    run_main(main)
