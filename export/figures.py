"""Figures as a bundle carries them, and what went worst in them, which a card must not leave out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_ser.errors import EdgeSerError
from edge_ser.files import parse_json_object

__all__ = ["CLASSES", "failures", "read_figures"]

_KEPT = ("corpus", "protocol", "model", "params", "seeds", "folds", "uar", "baseline_uar", "adv")
CLASSES, _CONDITIONS = 3, 6  # of a corpus, the worst


def read_figures(path: str | Path) -> dict[str, Any]:
    """A result of ``edge-ser train`` or ``evaluate`` as a bundle keeps it.

    Without the recipe, and of the confusion matrix and the conditions only the worst, as `failures` has it.

    Raises
    ------
    EdgeSerError
        No such file, or it names no protocol.
    """
    source = Path(path)
    if not source.is_file():
        raise EdgeSerError(f"{source} is not a file; name the JSON that edge-ser train or evaluate wrote")
    document = parse_json_object(source.read_bytes(), str(source))
    if not isinstance(document.get("protocol"), str):
        raise EdgeSerError(f"{source} says no protocol; name the JSON that edge-ser train or evaluate wrote")
    kept = {key: document[key] for key in _KEPT if key in document}
    worst = failures(document)
    return kept | {"failures": worst} if worst else kept


def failures(result: Mapping[str, Any]) -> dict[str, Any]:
    """The worst of a result of ``edge-ser train`` or ``evaluate``, few enough for a bundle to carry.

    Parameters
    ----------
    result : mapping
        Its ``confusion`` (rows: the true class) with ``labels``; ``sex`` and ``robustness`` where they were measured.

    Returns
    -------
    dict
        ``classes``, those of the least recall: ``label``, ``clips``, ``recall``, ``taken_for`` (what else it was called
        most often, None where it never was) and the ``share`` of its clips that were. ``sexes``, the UAR of each.
        ``conditions``, those that cost most: ``condition`` and the UAR ``lost``. Parts that were not measured are
        absent.
    """
    found: dict[str, Any] = {}
    if rows := _classes(result):
        found["classes"] = rows
    groups = result.get("sex") or ()
    if len(groups) > 1:
        found["sexes"] = {one["group"]: round(one["uar"], 4) for one in groups}
    conditions = (result.get("robustness") or {}).get("conditions") or ()
    if worst := sorted((one for one in conditions if one["lost"] > 0), key=lambda one: -one["lost"]):
        found["conditions"] = [
            {"condition": one["condition"], "lost": round(one["lost"], 4)} for one in worst[:_CONDITIONS]
        ]
    return found


def _classes(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    labels, matrix = result.get("labels") or (), result.get("confusion") or ()
    if len(labels) != len(matrix):  # a table without its heads tells nothing
        return []
    rows = []
    for i, counts in enumerate(matrix):
        clips = sum(counts)
        if not clips:  # the speakers that were tested show none
            continue
        others = {label: n for j, (label, n) in enumerate(zip(labels, counts, strict=True)) if j != i and n}
        most = max(others, key=lambda label: others[label], default=None)
        rows.append(
            {
                "label": labels[i],
                "clips": clips,
                "recall": round(counts[i] / clips, 4),
                "taken_for": most,
                "share": round(others[most] / clips, 4) if most is not None else 0.0,
            }
        )
    return sorted(rows, key=lambda row: row["recall"])[:CLASSES]
