"""Energy, where the processor or the board counts it."""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path

__all__ = ["energy_uj", "pmic_w", "pmic_watts"]

_ZONES = Path("/sys/class/powercap")
_READING = re.compile(r"(\w+)_([AV])\s+(?:current|volt)\(\d+\)=([0-9.]+)[AV]")


def energy_uj() -> float | None:
    """Microjoules that all processor packages have taken (Intel's and AMD's RAPL); None where none can be read.

    The counters run over now and then; a difference that is negative is no figure.
    """
    total = None
    for zone in sorted(_ZONES.glob("intel-rapl:?")):
        try:
            total = (total or 0.0) + float((zone / "energy_uj").read_text())
        except OSError:  # only root may read it
            continue
    return total


def pmic_watts(text: str) -> float | None:
    """What a Raspberry Pi 5's power chip measures: the sum over its rails of volts times amperes.

    Parameters
    ----------
    text : str
        Of ``vcgencmd pmic_read_adc``.

    Returns
    -------
    float or None
        Watts that the rails behind the chip take; its own losses and what USB devices take are not among them. None
        where the text holds no rail with both.
    """
    rails: dict[str, dict[str, float]] = {}
    for name, unit, value in _READING.findall(text):
        rails.setdefault(name, {})[unit] = float(value)
    # The supply (EXT5V) and the clock's battery have volts alone.
    products = [rail["A"] * rail["V"] for rail in rails.values() if len(rail) == 2]
    return sum(products) if products else None


def pmic_w(work: Callable[[], object], *, readings: int = 10, command: str = "vcgencmd") -> float | None:
    """Watts of a Raspberry Pi 5 while it works; None on other machines.

    Parameters
    ----------
    work : callable
        A piece of the work; called again and again while the firmware answers.
    readings : int
        How many the mean is of; at least 1.
    command : str
        The firmware's program.
    """
    if shutil.which(command) is None:
        return None
    watts = []
    for _ in range(readings):
        work()
        with subprocess.Popen(
            [command, "pmic_read_adc"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True,
        ) as process:  # fmt: skip
            while process.poll() is None:
                work()
            text = process.stdout.read() if process.stdout is not None else ""
        value = pmic_watts(text)
        if value is None:  # an older board's firmware knows no such word
            return None
        watts.append(value)
    return statistics.fmean(watts)
