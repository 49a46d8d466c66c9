"""Steps of other programs that hear a stream on small boards, as points of reference; none of them is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edge_ser.errors import EdgeSerError

from .bench import failure, figures, run_child
from .peer_child import RUNTIMES

__all__ = ["RUNTIMES", "measure_runtimes", "read_models"]


def read_models(given: Sequence[str]) -> dict[str, str]:
    """``NAME=PATH`` of the command line, by name.

    Raises
    ------
    EdgeSerError
        No such form, or no such program.
    """
    models = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or not path or name not in RUNTIMES:
            raise EdgeSerError(
                f"{text!r} names no peer's model; give NAME=PATH with one of {', '.join(RUNTIMES)}"
            )
        models[name] = path
    return models


def measure_runtimes(
    models: Mapping[str, str],
    *,
    rounds: int = 3,
    steps: int = 200,
    progress: Callable[[str], None] | None = None,
) -> list[dict[str, Any]]:
    """Measure every program of `RUNTIMES`, each round in a process of its own.

    Parameters
    ----------
    models : mapping of str to str
        Where a program's model lies; openWakeWord looks for its own.
    rounds, steps, progress
        See `firmware_py.bench.measure`.

    Returns
    -------
    list of dict
        As `firmware_py.bench.measure` gives, as far as both know it, with ``peer`` (the program), ``note`` (what a
        step of it does) and ``step_s`` (seconds of audio in a step). What is not installed, or has no model here, is
        a row with ``missing`` and the reason.
    """
    rows = []
    for name in RUNTIMES:
        results: list[dict[str, Any]] = []
        for number in range(rounds):
            if progress is not None:
                progress(f"{name}, round {number + 1} of {rounds}")
            results.append(run_child("firmware_py.peer_child", [name, models.get(name, ""), str(steps)]))
            if "error" in results[-1]:
                break
        row: dict[str, Any] = {"peer": name, "engine": name, "precision": "", "note": None}
        failed = failure(results)
        if failed is not None:
            rows.append(row | failed)
            continue
        first = results[0]
        rows.append(
            row
            | {"precision": first["version"], "note": first["note"], "step_s": first["step_s"]}
            | figures(results)
        )
    return rows
