"""Tables of what listening takes and stands, from the files under results/, for `scripts/write_docs.py`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.listening import bars
from benchmarks.results import read
from edge_ser.bundle import load_bundle
from edge_ser.commands._output import markdown_table
from firmware_py.machine import machine_line

__all__ = ["TABLES"]


def listening(results: Path) -> str:
    """What `edge-ser listen` costs; from `python -m benchmarks.listening`."""
    data = read(results / "listening.json")
    rows = [
        {
            "source": run["source"],
            "engine": run["engine"],
            "hears": run["sound"] + (", may doze" if run["doze"] else ""),
            "ALSA lists": run["alsa"],
            "MB": run["peak_mb"],
            "with children": run["total_mb"],
            "memory limit": f"{run['limit_mb']} MB" if run["limit_mb"] else "-",
            "core": f"{run['duty_cycle']:.2%}",
            "ms p50": run["latency_ms"]["p50"],
            "p99": run["latency_ms"]["p99"],
            "lost": sum(run["samples"]["lost"].values()),
            "cores busy": run.get("cores_busy", "-"),
        }
        for run in data["runs"]
    ]
    starts = ", ".join(
        f"{engine} {seconds[len(seconds) // 2]:.2f} s" for engine, seconds in data["start_s"].items()
    )
    held = [
        {
            "requirement": f"{row['bar']}: {row['limit']}",
            "worst": row["worst"],
            "met": "yes" if row["ok"] else "**no**",
        }
        for row in bars(data["runs"], data["start_s"])
    ]
    return (
        f"{markdown_table(held)}\n\n{markdown_table(rows)}\n\nStart to first answer, a quarter of a second of audio "
        f"included (median of five): {starts}.\n\n{machine_line(data['machine'])}; {data['seconds']:g} s each"
        + (", one other core kept busy" if data["busy"] else "")
        + f"; load average before {data['load']:.1f}"
    )


def faults(results: Path) -> str:
    """Listening through faults; from `python -m benchmarks.faults`."""
    runs = read(results / "faults.json")["runs"]
    kinds = sorted({kind for run in runs for kind in run["faults"]})
    rows = [
        {"fault": kind.replace("_", " ")}
        | {f"at {run['rate']} Hz": run["faults"].get(kind, 0) for run in runs}
        | {"back after, s at most": max(run["recovery_s"].get(kind, 0.0) for run in runs)}
        for kind in kinds
    ]
    total = [
        f"{run['rate']} Hz: {run['ledger']['devices'][0]['in']} samples, "
        f"{sum(run['ledger']['devices'][0]['lost'].values())} lost, "
        + ("every one accounted for" if run["ok"] else "NOT exact")
        for run in runs
    ]
    return markdown_table(rows) + "\n\n" + "; ".join(total)


def soak(results: Path) -> str:
    """Listening for long; from `python -m benchmarks.soak`."""
    rows = []
    for name, how in (
        ("soak", "simulated, faster than real time"),
        ("soak-realtime", "the command, real time"),
    ):
        data = read(results / f"{name}.json")
        samples = data["samples"] if "samples" in data else data["summary"]["samples"]
        during = [mark for mark in data["marks"] if mark["audio_s"] >= 600][: -1 if name == "soak" else None]
        rows.append(
            {
                "how": how,
                "hours": data["hours"],
                "samples": samples["in"],
                "lost": ", ".join(f"{n} ({place})" for place, n in samples["lost"].items() if n) or "0",
                "memory MB": f"{during[0]['rss_mb']:.1f}",
                "grew by": data["growth_mb"],
                "threads": "-".join(map(str, sorted({mark["threads"] for mark in during}))),
                "descriptors": "-".join(map(str, sorted({mark["descriptors"] for mark in during}))),
            }
        )
    return markdown_table(rows)


def boards(results: Path) -> str:
    """Reports that people shared; from `edge-ser bench --submit-file`, one file in results/boards/ each."""
    rows = []
    for path in sorted((results / "boards").glob("*.json")):
        report = read(path)
        machine = report["machine"]
        rows += [
            {
                "board": machine["board"] or machine["cpu"] or machine["arch"],
                "model": report["model"],
                "M MAC/s": round(run["macs_per_s"] / 1e6, 1),
                "engine": f"{run['engine']} {run['precision']}",
                "step ms p50": run["step_ms"]["p50"],
                "p99": run["step_ms"]["p99"],
                "core": f"{run['duty_cycle']:.2%}",
                "MB": run["rss_mb"]["peak"],
                "first answer ms": round(run["first_answer_ms"]),
                "edge-ser": report["edge_ser"],
            }
            for run in report["runs"]
            if run["ok"]
        ]
    return markdown_table(rows)


def peers(results: Path) -> str:
    """Ours beside others, by processor time and memory; from `edge-ser bench --peers`."""
    data = read(results / "bench-peers.json")
    rows = [
        {
            "heard by": row.get("peer") or data["model"],
            "on": f"{row['engine']} {row['precision']}",
            "what a step is": row.get("note") or "250 ms; the five seconds before are remembered",
            "core": f"{row['duty_cycle']:.2%}",
            "MB": row["rss_mb"]["peak"],
        }
        for row in [*data["runs"], *data["peers"]]
        if row["ok"]
    ]
    return f"{markdown_table(rows)}\n\n{machine_line(data['machine'])}{_other_model(data)}"


def _other_model(data: Mapping[str, Any]) -> str:
    """What to know where a file is of a model that had the name before today's: what a step takes has changed."""
    today = load_bundle(data["model"]).macs_per_second
    then = {run["macs_per_s"] for run in data["runs"] if run["ok"]}
    if today is None or then == {today}:
        return ""
    told = " and ".join(f"{one / 1e6:.1f}" for one in sorted(then))
    cost = f"{told} million multiply-accumulates for a second of audio, today's has {today / 1e6:.1f}"
    return f"; {data['model']} of {cost}"


def step_instructions(results: Path) -> str:
    """Instructions of a second of listening; from `bash benchmarks/step_instructions.sh`."""
    data = read(results / "step_instructions.json")
    rows = [
        {"a second of audio, millions of instructions": way}
        | {cpu: round(count / 1e6, 2) for cpu, count in counts.items()}
        for way, counts in data["ways"].items()
    ]
    return (
        markdown_table(rows)
        + f"\n\n{data['unit']}"
        + "".join(f", {name} {version}" for name, version in data.get("versions", {}).items())
        + f"; front end in {'C' if data['front_end'] == 'c' else 'NumPy'}"
    )


TABLES = {
    "step_instructions": step_instructions,
    "boards": boards,
    "peers": peers,
    "listening": listening,
    "faults": faults,
    "soak": soak,
}
