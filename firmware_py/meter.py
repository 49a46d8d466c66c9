"""What listening costs: memory by stage, processor time, latency."""

from __future__ import annotations

import contextlib
import math
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Latencies", "Meter", "children_cpu_s", "children_rss_mb", "peak_rss_mb", "rss_mb"]

_STATUS = Path("/proc/self/status")


def _status_kb(field: str, path: Path | None = None) -> int | None:
    """A field of a process's status (ours when left out) in KiB; None where the system has no such file or field."""
    try:
        text = (path or _STATUS).read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    at = text.find(b"\n" + field.encode() + b":")
    return int(text[at:].split(None, 2)[1]) if at >= 0 else None


def rss_mb() -> float:
    """Memory that the process holds now (resident set), in MiB; its peak where the system tells only that."""
    now = _status_kb("VmRSS")
    return peak_rss_mb() if now is None else now / 1024


def peak_rss_mb() -> float:
    """Largest resident set of the process so far, in MiB."""
    peak = _status_kb("VmHWM")
    if peak is None:
        # Elsewhere than on Linux; there a child also starts with its parent's peak, so it is the second choice.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024
    return peak / 1024


def _children(process: str = "self") -> Iterator[str]:
    """Numbers of the processes that a process has started and that are still there, and of theirs."""
    # Four times a second where people watch, so without pathlib's globbing, which is four times as slow.
    with contextlib.suppress(
        FileNotFoundError, ProcessLookupError
    ):  # elsewhere than on Linux, or it has ended since
        for thread in os.listdir(f"/proc/{process}/task"):
            pids: list[str] = []
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                pids = _read(f"/proc/{process}/task/{thread}/children").split()
            for pid in pids:
                yield pid
                yield from _children(pid)


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def children_rss_mb() -> float:
    """Largest resident sets of the processes that this one has started and that still run, in MiB; 0 without any."""
    return sum(_status_kb("VmHWM", Path(f"/proc/{child}/status")) or 0 for child in _children()) / 1024


def children_cpu_s() -> float:
    """Processor time of the processes that this one has started, in seconds; elsewhere than on Linux of ended ones."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)  # those that were waited for, and no others
    ticks = 0
    for child in _children():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # utime, stime, and those of its own ended ones (proc(5)); the name before may hold blanks and brackets
            ticks += sum(map(int, _read(f"/proc/{child}/stat").rpartition(")")[2].split()[11:15]))
    return ended.ru_utime + ended.ru_stime + ticks / os.sysconf("SC_CLK_TCK")


class Latencies:
    """Latencies of a run of any length in fixed memory: a histogram with bins 1 % wide.

    Percentiles are within 1 % of the true ones; the maximum is exact. From 1 us to 1000 s; beyond, the end bins.
    """

    _LOWEST_S, _HIGHEST_S, _RATIO = 1e-6, 1e3, 1.01

    def __init__(self) -> None:
        bins = math.ceil(math.log(self._HIGHEST_S / self._LOWEST_S) / math.log(self._RATIO))
        self._counts = np.zeros(bins, np.int64)
        self.count = 0
        self.max_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one latency."""
        place = math.log(max(seconds, self._LOWEST_S) / self._LOWEST_S) / math.log(self._RATIO)
        self._counts[min(int(place), len(self._counts) - 1)] += 1
        self.count += 1
        self.max_s = max(self.max_s, seconds)

    def percentile(self, percent: float) -> float:
        """The latency in seconds that `percent` of those counted do not exceed; NaN before the first."""
        if self.count == 0:
            return math.nan
        rank = max(1, math.ceil(percent / 100 * self.count))
        place = int(np.searchsorted(np.cumsum(self._counts), rank))
        return min(self._LOWEST_S * self._RATIO ** (place + 0.5), self.max_s)

    def to_json(self) -> dict[str, float | None]:
        """p50, p95, p99 and max in milliseconds; None before the first."""
        if self.count == 0:
            return {"p50": None, "p95": None, "p99": None, "max": None}
        values = {f"p{percent}": self.percentile(percent) for percent in (50, 95, 99)} | {"max": self.max_s}
        return {name: round(value * 1e3, 3) for name, value in values.items()}


def _cpu_s() -> float:
    return time.process_time() + children_cpu_s()


class Meter:
    """Measures one run of listening.

    Memory is noted by stage (`mark`), processor time from `begin` on: all threads of the process, the audio
    library's too, and the processes that it has started, such as ``arecord``.
    """

    def __init__(self) -> None:
        self.latencies = Latencies()
        self.rss_by_stage: dict[str, float] = {}
        self._children = 0.0
        self.begin()

    def mark(self, stage: str) -> None:
        """Note the memory held at this point under a stage's name; that of children at its highest."""
        self.rss_by_stage[stage] = rss_mb()
        self._children = max(self._children, children_rss_mb())

    def begin(self) -> None:
        """Start counting processor time: what came before was loading."""
        self._cpu = _cpu_s()

    @property
    def cpu_s(self) -> float:
        """Processor time since `begin`, in seconds."""
        return _cpu_s() - self._cpu

    def rss_json(self) -> dict[str, Any]:
        """Memory in MiB by stage, the peak of the process, and those of its children where it has any."""
        stages = {stage: round(value, 1) for stage, value in self.rss_by_stage.items()}
        children = {"children": round(self._children, 1)} if self._children else {}
        return stages | children | {"peak": round(peak_rss_mb(), 1)}
