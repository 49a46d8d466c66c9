"""The table of what getting used to a speaker is worth, from the files under results/."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import read
from benchmarks.training_tables import LEFT_OUT, MIX
from edge_ser.commands._output import markdown_table

__all__ = ["TABLES"]

#: Of single corpora, the last one made of each.
_STUDENTS = ("ravdess-six", "emodb-live", "aesdd-live", "emotale-three", "nemo-live")


def session(results: Path) -> str:
    """Of RAVDESS's students and of models among strangers; then of the former by the clips heard before."""
    students = [read(results / f"{name}-int8.json") for name in _STUDENTS]
    known = students[0]
    rows = [_row(f"{one['corpus']}, new speakers", one) for one in students]
    for name in MIX:
        rows.append(
            _row(f"{name}, new speakers, shipped mix", read(results / f"stream72k-others-{name}.json"))
        )
    for name in LEFT_OUT:
        rows.append(_row(f"{name}, left out", read(results / f"unheard-live-{name}.json")))
    heard = [
        {
            "clips of the speaker before": str(row["from"])
            if row["from"] == row["to"]
            else f"{row['from']} to {row['to']}",
            "UAR": f"{row['uar']:.3f}",
        }
        for row in known["session"]["heard"]
    ]
    return f"{markdown_table(rows)}\n\nRAVDESS, new speakers:\n\n{markdown_table(heard)}"


def _row(told: str, one: Mapping[str, Any]) -> dict[str, str]:
    figures = one["session"]
    columns = {
        "each clip alone": "uar_alone",
        "used to the speaker": "uar",
        "by mood": "by_mood",
        "one mood alone": "one_mood",
        "people in turn": "together",
        "mostly neutral, alone": "everyday_alone",
        "mostly neutral, used to": "everyday",
    }
    return {"clips": told, "classes": str(len(one["labels"]))} | {
        head: f"{figures[key]:.3f}" if key in figures else "-" for head, key in columns.items()
    }


def softening(results: Path) -> str:
    """What each softness of what is expected is worth: to new speakers of RAVDESS, and on average to strangers."""
    rows = read(results / "softening.json")["rows"]
    groups = {
        "new speakers": [row for row in rows if "left out" not in row["clips"]],
        "strangers": [row for row in rows if "left out" in row["clips"]],
    }
    used = {"random order": "uar", "by mood": "by_mood", "mostly neutral": "everyday"}
    alone = {"random order": "uar_alone", "by mood": "uar_alone", "mostly neutral": "everyday_alone"}
    every = list(dict.fromkeys(row["softening"] for row in rows))
    table = []
    for told, softness, keys in (("each clip alone", every[0], alone), *((one, one, used) for one in every)):
        figures = {
            f"{who}: {head}": _mean([row for row in own if row["softening"] == softness], key)
            for who, own in groups.items()
            for head, key in keys.items()
        }
        table.append({"softening": told} | figures)
    return markdown_table(table)


def _mean(rows: Sequence[Mapping[str, Any]], key: str) -> str:
    return f"{statistics.fmean(row[key] for row in rows if key in row):.3f}"


def adapted_stream(results: Path) -> str:
    """What it is worth in a stream, where turns are found and each begins with little."""
    one = read(results / "adapted-stream.json")
    rows = [
        {
            "label": row["label"],
            "adapted": "yes" if row["adapt"] else "no",
            "right at the end of a turn": f"{row['right_at_end']:.3f}",
            "of those, stable within 1.5 s": f"{row['stable_in_time']:.1%}",
            "flips a minute": f"{row['flips_per_minute']:.0f}",
        }
        for row in one["rows"]
    ]
    of = f"{one['rows'][0]['turns']} turns, `{one['checkpoints']}` in int8"
    return f"{markdown_table(rows)}\n\n{of}: {one['protocol']}"


TABLES: dict[str, Callable[[Path], str]] = {
    table.__name__: table for table in (session, softening, adapted_stream)
}
