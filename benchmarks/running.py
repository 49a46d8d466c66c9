"""How a benchmark is run: what it cannot do is refused in a sentence, and before hours were spent on it."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from edge_ser.commands._arguments import count, finite
from edge_ser.errors import EdgeSerError
from edge_ser.files import check_place, parse_json_object

__all__ = ["beside_one_another", "count", "earlier", "length", "place", "quartiles", "run_main"]


def run_main(main: Callable[[], int | None]) -> NoReturn:
    """Exit with what `main` gives; with 2 and one sentence where something is the user's to mend."""
    try:
        sys.exit(main())
    except EdgeSerError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def place(text: str) -> Path:
    """A file that can be written when the work is done; for ``type=``."""
    try:
        check_place(text)
    except EdgeSerError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return Path(text)


def length(text: str) -> float:
    """Hours or seconds above 0; for ``type=``."""
    if (number := finite(text)) <= 0:
        raise argparse.ArgumentTypeError(f"a number above 0, not {text!r}")
    return number


def earlier(path: Path | None, rows: str, *fields: str) -> list[Any]:
    """What a results file holds under `rows` already, each with these fields; nothing where there is none yet.

    To be asked before the work: a file of another kind could not take its figures.

    Raises
    ------
    EdgeSerError
        There is a file, and it holds no such rows.
    """
    if path is None or not path.is_file():
        return []
    found = parse_json_object(path.read_bytes(), str(path)).get(rows)
    if not isinstance(found, list) or not all(isinstance(one, dict) and {*fields} <= {*one} for one in found):
        raise EdgeSerError(f"{path} holds no {rows!r} of this benchmark to add to; name another file")
    return found


def beside_one_another(
    runs: Mapping[str, Callable[[], Any]], rounds: int, warm: int = 1
) -> dict[str, list[float]]:
    """Milliseconds of this process on the processor that each took, by round.

    In each round each runs once, one after the other, so that what else the machine does falls on all alike; before
    that, `warm` times.
    """
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(warm + rounds):
        for name, run in runs.items():
            start = time.process_time()
            run()
            if number >= warm:
                spent[name].append(1e3 * (time.process_time() - start))
    return spent


def quartiles(values: Iterable[float]) -> dict[str, float]:
    """Median and quartiles, to four digits."""
    low, middle, high = np.quantile(list(values), [0.25, 0.5, 0.75])
    return {name: float(f"{v:.4g}") for name, v in (("median", middle), ("q1", low), ("q3", high))}
