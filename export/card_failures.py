"""What a model card says of where a model fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from export.card_words import listed, nested, number, share, table
from export.figures import CLASSES

__all__ = ["failures_told"]


def failures_told(figures: Sequence[Mapping[str, Any]]) -> str:
    """What went worst, as `export.figures.failures` has it, of the figures that say so."""
    told = [
        (figure.get("corpus", ""), _fold(figure), figure["failures"])
        for figure in figures
        if "failures" in figure
    ]
    if not told:
        return "Not recorded with this bundle. Expect that it takes quiet emotions for each other, and loud ones too."
    classes: dict[str, dict[str, Mapping[str, Any]]] = {}
    sexes: dict[str, Mapping[str, Any]] = {}
    lines = []
    for corpus, fold, worst in told:  # of a corpus that was tested more than once the worst
        mine = classes.setdefault(corpus, {})
        for one in listed(worst, "classes", "label", "clips", "recall", "taken_for", "share"):
            label = str(one["label"])
            if label not in mine or _size(one["recall"]) < _size(mine[label]["recall"]):
                mine[label] = one
        if isinstance(each := nested(worst, "sexes"), Mapping) and (
            corpus not in sexes or _gap(each) > _gap(sexes[corpus])
        ):
            sexes[corpus] = each
        if found := listed(worst, "conditions", "condition", "lost"):
            costs = ", ".join(f"{one['condition']} {number(one['lost'])}" for one in found)
            lines.append(
                f"- What costs most UAR against the same clips of {corpus}{fold} undisturbed: {costs}."
            )
    rows = [
        (corpus, one["label"], one["clips"], share(one["recall"]), _taken_for(one))
        for corpus, mine in classes.items()
        for one in sorted(mine.values(), key=lambda one: _size(one["recall"]))[:CLASSES]
    ]
    parts = []
    if rows:
        head = ("corpus", "emotion", "clips", "recognised", "most often taken for")
        parts = [
            "The emotions that it recognises least often, by the figures above:",
            table(head, rows),
        ]
    if sexes:
        each_of = (
            f"{corpus} " + ", ".join(f"{number(uar)} of {sex}" for sex, uar in each.items())
            for corpus, each in sexes.items()
        )
        lines.insert(0, f"- It does not answer the sexes alike. UAR: {'; '.join(each_of)}.")
    lines.append(
        "- A voice may sound unlike what is meant: irony, politeness, tears of joy and acting are heard as they sound. "
        "Whispering, shouting, singing, children, single words and two people at once were not tested."
    )
    return "\n\n".join([*parts, "\n".join(lines)])


def _fold(figure: Mapping[str, Any]) -> str:
    """Which fold a figure is of, where it is of one alone."""
    folds = {row["fold"] for row in listed(figure, "folds", "fold")}
    return f" (fold {folds.pop()})" if len(folds) == 1 else ""


def _taken_for(row: Mapping[str, Any]) -> str:
    return f"{row['taken_for']} ({share(row['share'])})" if row["taken_for"] else "-"


def _size(value: Any) -> float:
    """A share for comparing; what is none counts as all."""
    return float(value) if isinstance(value, int | float) else 1.0


def _gap(each: Mapping[str, Any]) -> float:
    sizes = [_size(value) for value in each.values()] or [0.0]
    return max(sizes) - min(sizes)
