"""What a study leaves: a page that needs no network, and its figures as JSON."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_ser.evaluation.class_answers import Figure
from edge_ser.evaluation.page import heading, image, page, paragraph, table, warning
from edge_ser.files import write_atomic, write_json
from edge_ser.studies.base import PROTOCOLS, TOLERANCE, Line, Outcome, Study
from edge_ser.studies.run import StudyRun
from firmware_py.machine import describe_machine, machine_line

__all__ = ["figures_of", "write_study"]

_SCALE = {
    "full": "",
    "quick": "A quick run: fewer clips, epochs or settings than the study has. It shows the way, not the figures{}.",
    "miniature": "A miniature: it shows that everything runs, and its figures mean nothing.",
}


def figures_of(study: Study, run: StudyRun, outcome: Outcome) -> dict[str, Any]:
    """All that a study found, as values for JSON."""
    return {
        "study": study.name,
        "letter": study.letter,
        "title": study.title,
        "about": study.about,
        "scale": run.scale,
        "seeds": list(run.seeds),
        "data": outcome.data,
        "protocols": {name: outcome.protocols.get(name, PROTOCOLS[name]) for name in run.protocols},
        "lines": [line.to_dict() | {"scale": _scale(run, line)} for line in outcome.lines],
        "findings": list(outcome.findings),
        "tables": {one.heading: [dict(row) for row in one.rows] for one in outcome.sections if one.rows},
        "left_out": [{"what": one.what, "reason": one.reason} for one in outcome.left_out],
        "seconds": round(run.seconds),
        "cpu_seconds": round(run.cpu_seconds),
        "machine": machine_line(describe_machine()),
    }


def _scale(run: StudyRun, line: Line) -> str | None:
    """Of the recipe behind a line; None where it was not run."""
    return run.at(line.key).scale if line.as_published or line.honest else None


def write_study(study: Study, run: StudyRun, outcome: Outcome) -> tuple[Path, dict[str, Any]]:
    """Write ``report.html`` and ``study.json`` into the run's folder, each whole or not at all.

    Returns
    -------
    page : Path
    figures : dict
        Of `figures_of`, as written.
    """
    figures = figures_of(study, run, outcome)
    write_json(run.folder / "study.json", figures)
    written = run.folder / "report.html"
    write_atomic(written, _page(figures, outcome).encode("utf-8"))
    return written, figures


def _page(f: Mapping[str, Any], outcome: Outcome) -> str:
    seeds = len(f["seeds"])
    parts = [
        f"<h1>{html.escape(f['title'])}</h1>",
        f"<p class=soft>{html.escape(f['data'])}; {seeds} seed{'s' if seeds > 1 else ''} of each setting; "
        f"{_duration(f['seconds'])} of computing, {_duration(f['cpu_seconds'])} of a core's time</p>",
        paragraph(f["about"]),
    ]
    if told := _SCALE[f["scale"]]:
        whole = any(line["scale"] == "full" for line in f["lines"])
        parts.append(
            warning(told.format(", but for lines whose recipe is called “in full”" if whole else ""))
        )
    parts.append(heading("Published, ours as published, ours honest"))
    parts += [_rows(f, outcome), *_legend(f, outcome.leak)]
    parts += [heading("Findings"), *map(paragraph, f["findings"])]
    for one in outcome.sections:
        parts.append(heading(one.heading, one.text))
        kind = "confusion" if one.heading.lower().startswith("confusion") else ""
        parts += [image(svg, alt, kind) for alt, svg in one.pictures.items()]
        if one.rows:
            parts.append(table(one.rows))
    parts += [heading("Left out"), table(f["left_out"]) if f["left_out"] else paragraph("Nothing.")]
    parts.append(f"<p class=soft>{html.escape(f['machine'])}</p>")
    return page(f["title"], parts)


def _rows(f: Mapping[str, Any], outcome: Outcome) -> str:
    rows = []
    several = len({line.metric for line in outcome.lines}) > 1
    mixed = len({line["scale"] for line in f["lines"]} - {None}) > 1
    for line, told in zip(outcome.lines, f["lines"], strict=True):
        row: dict[str, Any] = {"": line.title}
        if several:
            row["figure"] = line.metric
        row["published"] = line.published
        for name, one in (("as-published", line.as_published), ("honest", line.honest)):
            if name in f["protocols"]:
                row[f"ours, {name.replace('-', ' ')}"] = None if one is None else _said(one)
                if name == "honest":
                    row["95 % interval"] = None if one is None or one.ci95 is None else _interval(one)
        row["gap"] = line.gap
        row["reproduced"] = line.reached
        if mixed:
            row["recipe"] = "in full" if told["scale"] == "full" else told["scale"]
        rows.append(row)
    kept = [key for key in rows[0] if any(row[key] not in (None, "") for row in rows)]
    return table([{key: row[key] for key in kept} for row in rows])


def _said(figure: Figure) -> str:
    return f"{figure.value:.3f}" + (f" ± {figure.spread:.3f}" if figure.spread is not None else "")


def _interval(figure: Figure) -> str:
    assert figure.ci95 is not None
    return "{:.3f} to {:.3f}".format(*figure.ci95)


def _legend(f: Mapping[str, Any], leak: str) -> list[str]:
    told = [f"{name.replace('-', ' ')}: {text}." for name, text in f["protocols"].items()]
    if any(line["reached"] is not None for line in f["lines"]):
        told.append(f"Reproduced: ours as published is at least the published figure less {TOLERANCE}.")
    if len(f["seeds"]) > 1:
        told.append("±: standard deviation over seeds.")
    notes: dict[str, list[str]] = {}
    for line in f["lines"]:
        if line["note"]:
            notes.setdefault(line["note"], []).append(line["title"])
    told += [
        f"{', '.join(titles)}: {note.rstrip('.')}." for note, titles in notes.items()
    ]  # too long for a column
    lines = [f"<p class=soft>{html.escape(text)}</p>" for text in told]
    if leak and "as-published" in f["protocols"] and any(line["as_published"] for line in f["lines"]):
        lines.insert(0, warning(leak))
    return lines


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
