"""Energy, where the processor counts it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["energy_uj"]

_ZONES = Path("/sys/class/powercap")


def energy_uj() -> float | None:
    """Microjoules that all processor packages have taken (Intel's and AMD's RAPL); None where none can be read.

    The counters run over now and then; a difference that is negative is no figure. Raspberry Pis have no such
    counter: measure at the plug.
    """
    total = None
    for zone in sorted(_ZONES.glob("intel-rapl:?")):
        try:
            total = (total or 0.0) + float((zone / "energy_uj").read_text())
        except OSError:  # only root may read it
            continue
    return total
