"""What a study is, and what it ends in."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edge_ser.corpora import LeftOut
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.class_answers import ClassAnswers, Figure

if TYPE_CHECKING:
    from edge_ser.studies.run import StudyRun

__all__ = ["PROTOCOLS", "SCALES", "TOLERANCE", "Line", "Outcome", "Section", "Study", "line_of"]

#: Name to what it says in a report.
PROTOCOLS = {
    "as-published": "random split as published: speakers stand on both sides, it LEAKS",
    "honest": "nobody who is tested on is trained on, and nothing is chosen on the test",
}
#: ``full`` is what is reported, ``quick`` a first look in ten minutes, ``miniature`` a test that all of it runs.
SCALES = ("full", "quick", "miniature")
#: What a report says above figures as published.
LEAK = "Figures as published come of a split that leaks: they say nothing about voices that the model has not heard."
#: How far under a published share of right answers ours may lie and still count as reproduced.
TOLERANCE = 0.03


@dataclasses.dataclass(frozen=True)
class Line:
    """A row of a study's table: one model or setting, what was published of it, and ours.

    Attributes
    ----------
    key : str
        Stands in the JSON; stays the same from version to version.
    title : str
        For people.
    published : float or None
        None where the line is an addition of ours.
    as_published, honest : Figure or None
        Ours under each protocol; None where it was not run or has none.
    metric : str
        What the figures are, ``"accuracy"`` or for instance ``"SI-SNR, dB"``.
    note : str
        What a reader must know: fewer epochs, another checkpoint, why it falls short.
    """

    key: str
    title: str
    published: float | None = None
    as_published: Figure | None = None
    honest: Figure | None = None
    metric: str = "accuracy"
    note: str = ""

    @property
    def gap(self) -> float | None:
        """As published less honest: what the leak was worth."""
        if self.as_published is None or self.honest is None:
            return None
        return self.as_published.value - self.honest.value

    @property
    def reached(self) -> bool | None:
        """Ours as published is at least the published figure less `TOLERANCE`; None where either is missing."""
        if self.published is None or self.as_published is None:
            return None
        return self.as_published.value >= self.published - TOLERANCE

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "key": self.key,
            "title": self.title,
            "metric": self.metric,
            "published": self.published,
            "as_published": self.as_published.to_dict() if self.as_published else None,
            "honest": self.honest.to_dict() if self.honest else None,
            "gap": self.gap,
            "reached": self.reached,
            "note": self.note,
        }


def line_of(
    key: str,
    title: str,
    answers: Mapping[str, ClassAnswers],
    *,
    published: float | None = None,
    metric: str = "accuracy",
    note: str = "",
) -> Line:
    """A line of a classifier's answers under each protocol; the interval over speakers is of ``honest`` alone.

    Parameters
    ----------
    answers : mapping
        Protocol to answers; either may be missing.
    """
    leaking, honest = answers.get("as-published"), answers.get("honest")
    return Line(
        key,
        title,
        published,
        leaking.figure(metric, interval=False) if leaking else None,
        honest.figure(metric) if honest else None,
        metric,
        note,
    )


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a report under a heading of its own.

    Attributes
    ----------
    heading, text : str
    pictures : mapping
        What each shows (its alternative text) to SVG, of `edge_ser.evaluation.drawings.svg` and ``as_svg``.
    rows : sequence of mapping
        A table; values are JSON's.
    """

    heading: str
    text: str = ""
    pictures: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    rows: Sequence[Mapping[str, Any]] = ()


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a study found.

    Attributes
    ----------
    lines : sequence of Line
        At least one.
    findings : sequence of str
        Paragraphs, written by the study from its figures: they must say something else when the figures do.
    sections : sequence of Section
    data : str
        What was used: clips, speakers, classes.
    protocols : mapping
        Protocol to its statement in a sentence (shares, folds, what is chosen on what).
    left_out : sequence of LeftOut
        Clips that have no part, and why.
    leak : str
        The warning above figures as published; empty where they come of no split.

    Raises
    ------
    EdgeSerError
        No line, one key twice, or a figure that is not a number.
    """

    lines: Sequence[Line]
    findings: Sequence[str]
    sections: Sequence[Section] = ()
    data: str = ""
    protocols: Mapping[str, str] = dataclasses.field(default_factory=dict)
    left_out: Sequence[LeftOut] = ()
    leak: str = LEAK

    def __post_init__(self) -> None:
        keys = [line.key for line in self.lines]
        if not keys or len(set(keys)) < len(keys):
            raise EdgeSerError("a study needs lines, each under a key of its own")
        if strange := set(self.protocols) - set(PROTOCOLS):
            raise EdgeSerError(f"unknown protocol {min(strange)!r}; choose among {', '.join(PROTOCOLS)}")
        for line in self.lines:
            for figure in (line.as_published, line.honest):
                if figure is not None and not math.isfinite(figure.value):
                    raise EdgeSerError(f"the figure of {line.title} is not a number")


@dataclasses.dataclass(frozen=True)
class Study:
    """A comparison of the literature, as one recipe.

    Attributes
    ----------
    name : str
        As the command takes it; also of the file under ``results/``.
    letter : str
        In the list of studies.
    title : str
    about : str
        What was published: data, model, split, in a sentence or two.
    needs : tuple of str
        Names of corpora and collections of sounds that it reads; none where it makes its own.
    run : callable
        Of a `edge_ser.studies.run.StudyRun`; must do its work in parts so that it can be stopped.
    seeds : mapping of str to int
        Models of each setting, by scale.
    options : mapping
        What else can be set (``--set NAME=VALUE``), by name what it means; `StudyRun.options` has what was.
    lines : tuple of str
        Keys of lines that can be run in full within a quick run (``--full``).
    """

    name: str
    letter: str
    title: str
    about: str
    needs: tuple[str, ...]
    run: Callable[[StudyRun], Outcome]
    seeds: Mapping[str, int] = dataclasses.field(
        default_factory=lambda: {"full": 3, "quick": 1, "miniature": 1}
    )
    options: Mapping[str, str] = dataclasses.field(default_factory=dict)
    lines: tuple[str, ...] = ()
