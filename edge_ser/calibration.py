"""A bundle's calibration: how its logits become probabilities, and which of them say too little."""

from __future__ import annotations

import dataclasses

from edge_ser.entries import Entries

__all__ = ["Calibration"]


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How logits become probabilities.

    Attributes
    ----------
    temperature : float
        Logits are divided by it before the softmax; above 0.
    unsure_below : float
        A best probability under it is reported as unsure; 0..1, and 0 never is.
    coverage : float or None
        Share of clips of the speakers it was fitted on that stay sure.
    fitted_on : str
        Whose clips those were.
    typical : tuple of tuple of float or None
        A row for each label, a number in it for each: means of the logarithms of probabilities at temperature 1 over
        those clips of that emotion, against which a listener used to a speaker sets logits (`firmware_py.adaptation`).
    """

    temperature: float
    unsure_below: float
    coverage: float | None = None
    fitted_on: str = ""
    typical: tuple[tuple[float, ...], ...] | None = None

    @classmethod
    def parse(cls, entry: Entries, labels: int) -> Calibration:
        """From bundle.json's entry, for so many labels; an `EdgeSerError` names what is wrong in it."""
        return cls(
            entry.number("temperature", 1e-3, 1e3),
            entry.number("unsure_below", 0.0, 1.0),
            entry.number("coverage", 0.0, 1.0) if entry.raw.get("coverage") is not None else None,
            entry.text("fitted_on") if entry.raw.get("fitted_on") else "",
            entry.square("typical", labels) if entry.raw.get("typical") is not None else None,
        )
