"""The report's pictures, each as SVG text; the same answers give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_ser.corpora import ADV
from edge_ser.evaluation.answers import Answers
from edge_ser.evaluation.canvas import ACCENT, FAINT, INK, OTHER, as_svg, colours_of, svg
from edge_ser.evaluation.figures import HIGH, LOW, precision_recall_curve, roc_curve
from edge_ser.evaluation.metrics import confusion
from edge_ser.evaluation.plots import plot_confusion

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["as_svg", "curves", "pictures", "svg"]


def pictures(answers: Answers, figures: Mapping[str, Any]) -> dict[str, bytes]:
    """All pictures that the answers allow.

    Parameters
    ----------
    answers : Answers
    figures : mapping
        Of `edge_ser.evaluation.report.all_figures`.

    Returns
    -------
    dict
        Name to SVG: ``confusion``, ``curves``, ``speakers``, ``calibration`` where clips have emotions, ``adv``
        where they have ratings, ``robustness`` and ``streaming`` where those were measured.
    """
    drawn: dict[str, bytes] = {}
    known = answers.truth >= 0
    if known.any():
        part = answers.take(known)
        counts = confusion(part.truth, part.said, len(part.labels))
        drawn["confusion"] = as_svg(plot_confusion, counts, part.labels)
        drawn["curves"] = curves(part.labels, part.truth, part.scores)
        if "speakers" in figures:
            drawn["speakers"] = svg((9.6, 3.0), lambda figure: _speakers(figure, figures["speakers"]))
        drawn["calibration"] = svg((9.6, 3.9), lambda figure: _calibration(figure, figures["calibration"]))
    rated = np.isfinite(answers.ratings).all(1)
    if rated.sum() > 1:
        drawn["adv"] = svg((9.6, 3.6), lambda figure: _adv(figure, answers.take(rated)))
    if rows := figures.get("robustness", {}).get("conditions"):
        drawn["robustness"] = svg((9.6, 1.0 + 0.24 * len(rows)), lambda figure: _robustness(figure, rows))
    if rows := figures.get("streaming", {}).get("by_seconds"):
        drawn["streaming"] = svg((9.6, 3.2), lambda figure: _seconds(figure, rows))
    return drawn


def curves(labels: Sequence[str], truth: np.ndarray, scores: np.ndarray) -> bytes:
    """ROC and precision-recall curves of each class against the others.

    Parameters
    ----------
    labels : sequence of str
    truth : (n,) int
        Class of each clip.
    scores : (n, labels) float
    """
    return svg((9.6, 4.2), lambda figure: _curves(figure, labels, truth, scores))


def _curves(figure: Figure, labels: Sequence[str], truth: np.ndarray, scores: np.ndarray) -> None:
    left, right = figure.subplots(1, 2)
    for i, (label, colour) in enumerate(zip(labels, colours_of(labels), strict=True)):
        positive = truth == i
        if not 0 < positive.sum() < len(truth):
            continue
        x, y, area = roc_curve(positive, scores[:, i])
        left.plot(x, y, color=colour, lw=1.6, label=f"{label} {area:.2f}")
        recall, precision, average = precision_recall_curve(positive, scores[:, i])
        right.plot(recall, precision, color=colour, lw=1.6, label=f"{label} {average:.2f}")
    left.plot([0, 1], [0, 1], color=FAINT, lw=1)
    left.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC, area")
    right.set(xlabel="recall", ylabel="precision", title="precision-recall, average", ylim=(0, 1.02))
    for axes, place in ((left, "lower right"), (right, "lower left")):
        if axes.get_legend_handles_labels()[1]:  # none where one class is all there is
            axes.legend(fontsize=8, loc=place)


def _speakers(figure: Figure, rows: Sequence[Mapping[str, Any]]) -> None:
    axes = figure.subplots()
    rows = sorted((row for row in rows if "uar" in row), key=lambda row: -row["uar"])
    axes.bar(range(len(rows)), [row["uar"] for row in rows], color=ACCENT, width=0.7)
    axes.set_xticks(range(len(rows)), [row["group"] for row in rows], rotation=60, ha="right", fontsize=8)
    axes.axhline(float(np.mean([row["uar"] for row in rows])), color=INK, lw=1, ls="--")
    axes.set(ylabel="UAR", ylim=(0, 1), title="each speaker, mean dashed")


def _calibration(figure: Figure, c: Mapping[str, Any]) -> None:
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color=FAINT, lw=1)
    shown = [("as answered", c, ACCENT)]
    if "fitted" in c:
        shown.append(("temperature of other speakers", c["fitted"], OTHER))
    for name, one, colour in shown:
        rows = one["reliability"]
        largest = max(row["clips"] for row in rows)
        left.plot(
            [r["confidence"] for r in rows], [r["accuracy"] for r in rows], color=colour, lw=1.2,
            label=f"{name}, ECE {one['ece']:.3f}",
        )  # fmt: skip
        sizes = [6 + 60 * r["clips"] / largest for r in rows]
        left.scatter([r["confidence"] for r in rows], [r["accuracy"] for r in rows], s=sizes, color=colour)
    left.set(xlabel="confidence", ylabel="share right", xlim=(0, 1), ylim=(0, 1), title="reliability")
    left.legend(fontsize=8, loc="upper left")
    rows = c["risk_coverage"]
    right.plot([r["coverage"] for r in rows], [r["accuracy"] for r in rows], color=ACCENT, marker="o", ms=4)
    if "fitted" in c and c["fitted"]["accuracy"] is not None:
        right.scatter(
            [c["fitted"]["coverage"]], [c["fitted"]["accuracy"]], color=OTHER, zorder=3, label="the rule"
        )
        right.legend(fontsize=8)
    right.set(xlabel="share answered", ylabel="share right", title="the most confident alone", xlim=(0, 1.02))
    right.set_ylim(top=min(1.02, right.get_ylim()[1]))  # where all is right, matplotlib would go on to 1.05
    right.grid(color=FAINT, lw=0.7)


def _adv(figure: Figure, part: Answers) -> None:
    for axes, k, dimension in zip(figure.subplots(1, 3), range(3), ADV, strict=True):
        axes.scatter(part.ratings[:, k], part.adv[:, k], s=7, alpha=0.45, color=ACCENT, linewidths=0)
        axes.plot([0, 1], [0, 1], color=INK, lw=0.8)
        for end in (LOW, HIGH):
            axes.axvline(end, color=FAINT, lw=0.8)
            axes.axhline(end, color=FAINT, lw=0.8)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="rating", ylabel="answer", title=dimension, aspect="equal")


def _robustness(figure: Figure, rows: Sequence[Mapping[str, Any]]) -> None:
    axes = figure.subplots()
    places = np.arange(len(rows))[::-1]
    axes.barh(places, [row["uar"] for row in rows], color=ACCENT, height=0.65)
    axes.set_yticks(places, [row["condition"] for row in rows], fontsize=8)
    axes.axvline(rows[0]["uar"], color=INK, lw=1, ls="--")
    axes.set(xlabel="UAR, clean dashed", xlim=(0, 1))


def _seconds(figure: Figure, rows: Sequence[Mapping[str, Any]]) -> None:
    axes = figure.subplots()
    axes.plot([r["seconds"] for r in rows], [r["accuracy"] for r in rows], color=ACCENT, marker="o", ms=4)
    axes.set(
        xlabel="seconds of speech heard", ylabel="share right", title="error by seconds heard", ylim=(0, 1)
    )
    axes.grid(color=FAINT, lw=0.7)
