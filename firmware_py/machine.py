"""What machine a figure was taken on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edge_ser.dsp import backend

__all__ = ["describe_machine", "machine_line", "temperature_c", "throttled"]

_RUNTIMES = ("ai-edge-litert", "tflite-runtime", "onnxruntime")


def describe_machine() -> dict[str, Any]:
    """Describe this machine and the software that a timing depends on.

    Returns
    -------
    dict
        ``board`` (where the firmware tells it, as on a Raspberry Pi), ``cpu``, ``cores`` (that this process may
        use), ``memory_mb``, ``governor`` (of the processor's clock), ``os``, ``arch``, ``python``, ``numpy`` and
        ``runtimes`` with the versions installed, and ``front_end``, what the default front end runs on (see
        `edge_ser.dsp.backend`), ``temperature_c`` (of the processor) and ``throttled`` (see `throttled`). What the
        system does not tell is None.
    """
    return {
        "board": _text("/proc/device-tree/model"),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_mb": _memory_mb(),
        "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "os": _os(),
        "arch": platform.machine(),
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "front_end": backend(),
        "temperature_c": temperature_c(),
        "throttled": throttled(),
        "runtimes": {name: found for name in _RUNTIMES if (found := _version(name)) is not None},
    }


def temperature_c() -> float | None:
    """The first thermal zone's temperature; None where there is none."""
    text = _text("/sys/class/thermal/thermal_zone0/temp")
    return round(int(text) / 1000, 1) if text is not None and text.lstrip("-").isdigit() else None


#: Bits of the Raspberry Pi firmware's word (documentation of `vcgencmd get_throttled`).
_THROTTLED = {0: "under-voltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}


def throttled() -> list[str] | None:
    """What the Raspberry Pi's firmware holds the processor back by, now or (``was ...``) since it started.

    None on other boards.
    """
    text = _text("/sys/devices/platform/soc/soc:firmware/get_throttled")
    if text is None:
        return None
    word = int(text, 16)
    now = [name for bit, name in _THROTTLED.items() if word >> bit & 1]
    return now + [
        f"was {name}" for bit, name in _THROTTLED.items() if word >> (bit + 16) & 1 and name not in now
    ]


def machine_line(machine: dict[str, Any]) -> str:
    """The description in one line, for people."""
    runtimes = [f"{name} {number}" for name, number in machine["runtimes"].items()]
    parts = [
        machine["board"],
        f"{machine['cpu'] or machine['arch']}, {machine['cores']} core{'s' if machine['cores'] != 1 else ''}",
        machine["memory_mb"] and f"{machine['memory_mb']} MB",
        machine["governor"] and f"governor {machine['governor']}",
        machine.get("throttled") and f"held back: {', '.join(machine['throttled'])}",
        machine["os"],
        machine.get("front_end") and f"front end in {'C' if machine['front_end'] == 'c' else 'NumPy'}",
        ", ".join([f"Python {machine['python']}", f"NumPy {machine['numpy']}", *runtimes]),
    ]
    return "; ".join(part for part in parts if part)


def _text(path: str) -> str | None:
    """The one line of a file of the kernel's; None where this kernel has no such file."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def _field(path: str, names: tuple[str, ...]) -> str | None:
    """The value of the first of `names` among a file's ``name : value`` lines."""
    fields: dict[str, str] = {}
    for line in (_text(path) or "").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    return next((fields[name] for name in names if fields.get(name)), None)


def _cpu() -> str | None:
    named = _field("/proc/cpuinfo", ("model name", "Processor", "cpu model"))
    if named is None and (part := _field("/proc/cpuinfo", ("CPU part",))) is not None:
        # ARM's kernels tell only numbers.
        parts = {"0xd03": "Cortex-A53", "0xd08": "Cortex-A72", "0xd0b": "Cortex-A76", "0xd07": "Cortex-A57"}
        named = parts.get(part.lower(), f"ARM part {part}")
    return named or platform.processor() or None


def _memory_mb() -> int | None:
    total = _field("/proc/meminfo", ("MemTotal",))
    return None if total is None else int(total.split()[0]) // 1024


def _os() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = platform.system()
    return f"{name}, kernel {platform.release()}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
