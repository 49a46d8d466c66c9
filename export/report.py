"""The page of an export: what each file loses and costs, and what each layer does to it; the same as JSON."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_ser.evaluation.page import cards, page, picture, table, warning, write_pages
from export.drawings import cost_picture, error_picture, layer_picture, mixed_picture, name_of
from export.gate import OUTPUTS

__all__ = ["write_report"]

Row = Mapping[str, Any]


def write_report(folder: str | Path, document: Mapping[str, Any]) -> Path:
    """Write ``report.html`` and ``figures.json``.

    Parameters
    ----------
    folder : path
        Made if it is not there; files of those names are replaced.
    document : mapping
        What ``edge-ser export -o json`` writes, of at least one file that was made, and ``machine``: in words, where
        the times are of.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    EdgeSerError
        It cannot be written.
    MissingExtraError
        matplotlib is not installed.
    """
    return write_pages(folder, _page(document), {"figures": document})


def _page(document: Mapping[str, Any]) -> str:
    rows: Sequence[Row] = document["formats"]
    there = [row for row in rows if row["sounds"]]
    title = f"{document['name']}: export"
    parts = [
        f"<h1>{html.escape(title)}</h1><p class=soft>{html.escape(_subtitle(document))}</p>",
        *_warnings(document, rows),
        _cards(rows, there),
        "<h2>Files</h2>",
        table(_without_gaps([_line(row) for row in rows])),
        *(f"<p class=soft>{html.escape(text)}</p>" for text in _slower(document, there)),
    ]
    if there:
        parts += picture(
            error_picture(there),
            "Errors",
            "From the trained network in torch, its batch normalisation not folded, at any step; fp32: logits, other "
            "precisions: probabilities.",
        )
        parts += _details(there)
        parts += picture(cost_picture(there), "Cost", document["machine"])
        parts.append(table([_memory(row) for row in there if row["working_memory"]]))
    if validated := [row for row in there if row["validation"]]:
        first = validated[0]["validation"]
        parts += [
            "<h2>Figures on speakers that were not trained on</h2>",
            f"<p class=soft>{html.escape(first['corpus'])}: {first['clips']} clips of {first['speakers']} speakers, "
            "the answer at the end of each, from file and from torch</p>",
            table([_validation(row) for row in validated]),
        ]
    if swept := [row for row in there if row["sweep"]]:
        parts += picture(
            layer_picture(swept),
            "Sensitivity by layer",
            "One layer in int8, all others float32; mean over all steps of all sounds.",
        )
        if any(len(row["sweep"]["mixed"]) > 1 for row in swept):
            parts += picture(
                mixed_picture(swept), "Mixed precision", "The number at each point: layers in float32."
            )
        for row in swept:
            parts += [
                f"<h3>{html.escape(name_of(row))}</h3>",
                table([_layer(one) for one in row["sweep"]["layers"]]),
                table([_trial(one) for one in row["sweep"]["mixed"]]),
            ]
    return page(title, parts)


def _subtitle(document: Mapping[str, Any]) -> str:
    facts = [document["architecture"], f"{document['parameters']:,} parameters"]
    if document["macs_per_step"]:
        facts.append(
            f"{document['macs_per_step'] / 1e6:.2f} M multiply-accumulates a step of {document['step_ms']:g} ms"
        )
    return "; ".join(facts)


def _warnings(document: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    told = [
        f"{name_of(row)} was refused: "
        + (row["note"] if row["bytes"] is None else "over its limits")
        + ("" if not document["ok"] else "; it is in the bundle all the same, marked (--accept-drop)")
        for row in rows
        if row["applies"] and not row["ok"]
    ]
    if not document["ok"]:
        told.append("Nothing was written.")
    if not any(row["validation"] for row in rows):
        told.append(
            "UAR and CCC were not measured: --validation names clips of speakers that were not trained on."
        )
    return [warning(text) for text in told]


def _slower(document: Mapping[str, Any], there: Sequence[Row]) -> list[str]:
    """Which rounded files took longer here than fp32 on the same engine, and what the bundle prefers."""
    time = {(row["format"], row["precision"]): row["latency_ms"]["p50"] for row in there if row["latency_ms"]}
    told = []
    for (name, precision), ms in time.items():
        whole = time.get((name, "fp32"))
        if precision.startswith("int8") and whole is not None and ms > whole:
            told.append(f"{name} {precision} took {ms:.3f} ms a step here, and fp32 {whole:.3f}.")
    told += [
        f"The bundle prefers {precision} on {engine}: it runs where no precision is named."
        for engine, precision in document.get("preferred", {}).items()
    ]
    return told


def _cards(rows: Sequence[Row], there: Sequence[Row]) -> str:
    asked = [row for row in rows if row["applies"]]
    shown = [("files within their limits", f"{sum(row['ok'] for row in asked)} of {len(asked)}", "")]
    if there:
        smallest = min(there, key=lambda row: row["bytes"])
        shown.append(("smallest file", f"{smallest['bytes'] / 1e3:.1f} kB", name_of(smallest)))
        if counted := [row for row in there if row["working_memory"]]:
            least = min(counted, key=lambda row: row["working_memory"]["total"])
            shown.append(
                ("least working memory", f"{least['working_memory']['total'] / 1e3:.0f} kB", name_of(least))
            )
        fastest = min(there, key=lambda row: row["latency_ms"]["p50"])
        shown.append(("fastest step", f"{fastest['latency_ms']['p50']:.2f} ms", name_of(fastest)))
    return cards(shown)


def _line(row: Row) -> dict[str, Any]:
    memory, time, figures = row["working_memory"], row["latency_ms"], row["validation"] or {}
    lost = figures.get("ccc_drop")
    return {
        "format": name_of(row),
        "kB": row["bytes"] and f"{row['bytes'] / 1e3:.1f}",
        "largest error": row["max_abs_error"],
        "limit": row["limit"],
        "mean": row["mean_abs_error"],
        "mean limit": row["mean_limit"],
        "same emotion": None if row["agreement"] is None else f"{row['agreement']:.1%}",
        "UAR lost": figures.get("uar_drop"),
        "CCC lost": lost and max(lost.values()),
        "kB at work": memory and f"{memory['total'] / 1e3:.0f}",
        "ms, p50": time and time["p50"],
        "p95": time and time["p95"],
        "float layers": ", ".join(row["float_layers"]) or None,
        "ok": row["ok"] if row["applies"] else "has no such form",
        "why not": None if row["bytes"] else row["note"],
    }


def _without_gaps(lines: Sequence[Row]) -> list[Row]:
    """Rows without the columns in which nothing stands."""
    return [{key: line[key] for key in line if any(one[key] is not None for one in lines)} for line in lines]


def _details(rows: Sequence[Row]) -> list[str]:
    """Tables that open at a click: each file, each sound."""
    parts = []
    for row in rows:
        lines = [
            {
                "sound": one["sound"],
                "largest": one["max_abs_error"],
                "mean": one["mean_abs_error"],
                "same emotion": f"{one['agreement']:.1%}",
                **{name: one["by_output"].get(name) for name in OUTPUTS},
            }
            for one in row["sounds"]
        ]
        parts.append(
            f"<details><summary>{html.escape(name_of(row))}, by sound</summary>{table(lines)}</details>"
        )
    return parts


def _memory(row: Row) -> dict[str, Any]:
    memory = row["working_memory"]
    return {
        "format": name_of(row),
        "file": row["file"],
        **{
            f"{part}, kB": f"{memory[part] / 1e3:.1f}"
            for part in ("weights", "states", "activations", "total")
        },
        "activations counted": memory["method"],
    }


def _validation(row: Row) -> dict[str, Any]:
    one = row["validation"]
    figures: dict[str, Any] = {"format": name_of(row)}
    if one["uar"] is not None:
        figures |= {"UAR": one["uar"], "in torch": one["torch_uar"], "lost": one["uar_drop"], "limit": one["uar_limit"],
                    "same label": f"{one['same_label']:.1%}"}  # fmt: skip
    if one["ccc"] is not None:
        figures |= {f"CCC {name}": value for name, value in one["ccc"].items()}
        figures |= {"most lost": max(one["ccc_drop"].values()), "CCC limit": one["ccc_limit"]}
    return {**figures, "ok": one["ok"]}


def _layer(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "layer": one["layer"],
        "weights": one["weights"],
        "largest error": one["max_abs_error"],
        "mean, worst sound": one["mean_abs_error"],
        **one["by_output"],
    }


def _trial(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "layers in float32": len(one["float_layers"]),
        "the last of them": one["float_layers"][-1] if one["float_layers"] else None,
        "kB": f"{one['bytes'] / 1e3:.1f}",
        "largest error": one["max_abs_error"],
        "mean": one["mean_abs_error"],
        "same emotion": f"{one['agreement']:.1%}",
    }
