"""Tables of documents from what benchmarks measured: those of docs/front_end.md, and CTC's in docs/mixtures.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import read
from edge_ser.commands._output import markdown_table
from firmware_py.machine import machine_line

__all__ = ["TABLES"]

Results = Mapping[str, Any]


def _spread(value: Mapping[str, float], digits: int = 3) -> str:
    """Median and quartiles."""
    return f"{value['median']:.{digits}g} ({value['q1']:.{digits}g} to {value['q3']:.{digits}g})"


def _compared(runs: Sequence[Results], unit: str) -> str:
    rows = [
        {
            "": run["name"],
            f"{unit}, median (quartiles)": _spread(run["us"]),
            "times ours in C": _spread(run["times_ours"]) if i else "1",
        }
        for i, run in enumerate(runs)
    ]
    return markdown_table(rows)


def batch(results: Results) -> str:
    """A recording of 10 s."""
    packages = ", ".join(f"{name} {number}" for name, number in results["packages"].items())
    note = f"{results['rounds']} rounds, one thread; {machine_line(results['machine'])}; {packages}."
    if results["absent"]:
        note += f" Not installed: {', '.join(results['absent'])}."
    return f"{_compared(results['batch_10_s'], 'us a frame')}\n\n{note}"


def hop(results: Results) -> str:
    """A hop at a time."""
    return _compared(results["hop_10_ms"], "us a hop")


def memory(results: Results) -> str:
    """Fresh processes."""
    return markdown_table(
        [{"process": row["name"], "peak RSS, MB": row["peak_mb"]} for row in results["memory"]]
    )


def _beside(rows: Sequence[Results], label: str, names: Mapping[Any, str]) -> str:
    """Microseconds a frame, one column for each implementation."""
    return markdown_table(
        [
            {label: names[row[next(iter(row))]]}
            | {run["name"]: f"{run['us']['median']:.3g}" for run in row["runs"]}
            for row in rows
        ]
    )


def specs(results: Results) -> str:
    """Front ends of the literature."""
    return _beside(results["specs"], "us a frame", {row["name"]: row["name"] for row in results["specs"]})


def n_fft(results: Results) -> str:
    """Every power of two."""
    return _beside(results["n_fft"], "n_fft", {row["n_fft"]: str(row["n_fft"]) for row in results["n_fft"]})


def lengths(results: Results) -> str:
    """From a second to hours."""
    names = {1: "1 s", 10: "10 s", 600: "10 min"}
    long = results["streamed"]
    memory = long["resident_mb"]
    return (
        f"{_beside(results['lengths'], 'us a frame', names)}\n\n"
        f"{long['hours']:g} h streamed in pushes of 250 ms: {long['us']:.3g} us a frame, {long['frames']} frames; the "
        f"process held {memory['first']:g} MB in its first twentieth and {memory['last']:g} MB in its last."
    )


def accuracy(results: Results) -> str:
    """Real speech."""
    rows: dict[str, dict[str, Any]] = {}
    for row in results["accuracy"]:
        cell = "0" if row["db"]["max"] == 0 else f"{row['db']['max']:.2g}"
        rows.setdefault(row["corpus"], {"corpus": row["corpus"], "recordings": row["files"]})[row["name"]] = (
            cell
        )
    return markdown_table(list(rows.values()))


def instructions(results: Results) -> str:
    """Counts under QEMU."""
    return markdown_table(
        [{"instructions a frame": name} | dict(counts) for name, counts in results["ways"].items()]
    )


def ctc(results: Results) -> str:
    """Ours beside torch's, and the same in torch's operations."""
    rows = [
        {
            "frames x batch, labels": f"{row['frames']} x {row['batch']}, {row['labels']}",
            "torch, ms": f"{row['ms']['torch']['median']:.3g}",
            "ours, times torch's": _spread(row["times_torch"]),
            "torch's operations, times torch's": _spread(row["plain_times_torch"]),
            "alignment, ms": f"{row['ms']['ours, alignment']['median']:.3g}",
            "apart: loss, gradient": "{loss:.2g}, {gradient:.2g}".format(**row["largest_difference"]),
            "float32's own error": f"{row['float32_error']:.1g}",
        }
        for row in results["shapes"]
    ]
    return f"{machine_line(results['machine'])}; loss and gradient, one thread:\n\n{markdown_table(rows)}"


def _from(file: str, table: Callable[[Results], str]) -> Callable[[Path], str]:
    return lambda results: table(read(results / file))


TABLES: dict[str, Callable[[Path], str]] = {
    f"front_end_{table.__name__}": _from("front_end.json", table)
    for table in (batch, hop, memory, specs, n_fft, lengths, accuracy)
} | {
    "front_end_instructions": _from("front_end_instructions.json", instructions),
    "ctc": _from("ctc.json", ctc),
}
