"""Budgets: what a run may cost on a board, in a TOML file, passed or failed."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_ser.errors import EdgeSerError
from edge_ser.files import parse_toml

__all__ = ["LIMITS", "check_budget", "read_budget"]

#: A limit's name, where a run of `firmware_py.bench` holds its figure, and what it is.
LIMITS: dict[str, tuple[tuple[str, ...], str]] = {
    "rss_mb": (("rss_mb", "peak"), "peak memory of the process in MiB"),
    "p99_ms": (("step_ms", "p99"), "99th percentile of a step in milliseconds"),
    "duty_cycle": (("duty_cycle",), "share of one core, 0..1"),
    "file_kb": (("file_kb",), "size of the model file in kB"),
}


def read_budget(path: str | os.PathLike[str]) -> dict[str, float]:
    """Read a budget: a TOML file with at least one of `LIMITS`, each a positive number.

    Raises
    ------
    EdgeSerError
        The file is missing or no TOML, a name is unknown, or a limit is no positive number.
    """
    entries = parse_toml(Path(path))
    if not entries:
        raise EdgeSerError(f"the budget {path} limits nothing; it may limit {', '.join(LIMITS)}")
    for name, limit in entries.items():
        if name not in LIMITS:
            raise EdgeSerError(f"the budget {path} limits {name!r}, which is not one of {', '.join(LIMITS)}")
        number = isinstance(limit, (int, float)) and not isinstance(limit, bool)
        if not number or not (0 < limit < math.inf):
            raise EdgeSerError(f"the budget {path} limits {name} to {limit!r}, which is no positive number")
    return {name: float(limit) for name, limit in entries.items()}


def check_budget(run: Mapping[str, Any], budget: Mapping[str, float]) -> list[str]:
    """Say where a run is over its budget.

    Parameters
    ----------
    run : mapping
        One of `firmware_py.bench.measure`'s.
    budget : mapping of str to float
        As `read_budget` gives it.

    Returns
    -------
    list of str
        One phrase for each limit that is passed, such as ``"rss_mb 71.2 > 64"``; empty when all hold.
    """
    over = []
    for name, limit in budget.items():
        value: Any = run
        for key in LIMITS[name][0]:
            value = value[key]
        if not value <= limit:
            over.append(f"{name} {value:g} > {limit:g}")
    return over
