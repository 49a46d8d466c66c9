"""Reports of `edge-ser bench`: one file to share, and two beside each other."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_ser import __version__
from edge_ser.errors import EdgeSerError
from edge_ser.files import parse_json_object

__all__ = ["compare", "read_report", "shared"]

# Where a figure lies in a run, and what it is called.
_FIGURES = {
    "step ms p50": ("step_ms", "p50"),
    "step ms p99": ("step_ms", "p99"),
    "core %": ("duty_cycle",),
    "first answer ms": ("first_answer_ms",),
    "MB": ("rss_mb", "peak"),
    "kB": ("file_kb",),
}


def shared(
    model: str,
    machine: Mapping[str, Any],
    runs: Sequence[Mapping[str, Any]],
    peers: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """What `--submit-file` writes: the report, and nothing that tells whose machine it is."""
    kept = {name: value for name, value in machine.items() if name != "os"}
    kept["os"] = str(machine.get("os", "")).partition(", kernel")[0]
    return {"format": "edge-ser-bench", "version": 1, "edge_ser": __version__, "model": model, "machine": kept,
            "runs": list(runs), **({"peers": list(peers)} if peers else {})}  # fmt: skip


def read_report(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a report of ``bench -o json`` or ``--submit-file``.

    Raises
    ------
    EdgeSerError
        It cannot be read, or is no such report.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise EdgeSerError(f"cannot read the report {path}: {error.strerror or error}") from error
    report = parse_json_object(data, str(path))
    runs = report.get("runs")
    if not isinstance(runs, list) or not all(isinstance(run, dict) and "engine" in run for run in runs):
        raise EdgeSerError(f"{path} is no report of `edge-ser bench -o json`")
    return report


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Two reports beside each other.

    Returns
    -------
    list of dict
        A row for each engine and precision that both measured, and each figure: ``engine``, ``figure``, ``before``,
        ``after``, ``ratio`` (after by before; below 1 is better). Empty where they have nothing in common.
    """

    def figures(report: Mapping[str, Any]) -> dict[tuple[str, str], float]:
        found = {}
        for run in report["runs"]:
            for name, keys in _FIGURES.items():
                value: Any = run
                for key in keys:
                    value = value.get(key) if isinstance(value, dict) else None
                if isinstance(value, (int, float)):
                    found[f"{run['engine']} {run.get('precision', '')}".strip(), name] = float(value)
        return found

    one, other = figures(before), figures(after)
    return [
        {
            "engine": engine, "figure": name, "before": value, "after": other[engine, name],
            "ratio": round(other[engine, name] / value, 3) if value else None,
        }
        for (engine, name), value in one.items()
        if (engine, name) in other
    ]  # fmt: skip
