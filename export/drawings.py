"""Pictures of an export, each as SVG text, from the rows that ``edge-ser export -o json`` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_ser.evaluation.canvas import ACCENT, FAINT, INK, OTHER, svg
from export.gate import OUTPUTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["cost_picture", "error_picture", "layer_picture", "mixed_picture"]

Row = Mapping[str, Any]

_LEAST = 1e-8  # errors below are drawn as this
_COLOURS = ("#2f4b7c", "#3f72b0", "#8fb3d9", "#ee8550")  # arousal, dominance, valence, emotion


def name_of(row: Row) -> str:
    """``onnx int8``."""
    return f"{row['format']} {row['precision']}"


def error_picture(rows: Sequence[Row]) -> bytes:
    """The largest error of each file, by sound and by output.

    Parameters
    ----------
    rows : sequence of mapping
        With ``sounds``.
    """
    sounds = [one["sound"] for one in rows[0]["sounds"]]
    by_sound = [[one["max_abs_error"] for one in row["sounds"]] for row in rows]
    by_output = [
        [
            max((one["by_output"].get(name, np.nan) for one in row["sounds"]), default=np.nan)
            for name in OUTPUTS
        ]
        for row in rows
    ]

    def draw(figure: Figure) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[len(sounds), len(OUTPUTS)])
        _heat(upper, by_sound, sounds, "largest error, by sound")
        _heat(lower, by_output, OUTPUTS, "by output")
        upper.tick_params(labelbottom=False)
        lower.set_xticks(
            range(len(rows)), [name_of(row) for row in rows], rotation=35, ha="right", fontsize=9
        )

    return svg((9.6, 2.0 + 0.3 * (len(sounds) + len(OUTPUTS))), draw)


def _heat(axes: Axes, columns: Sequence[Sequence[float | None]], names: Sequence[str], title: str) -> None:
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    values = np.array([[np.nan if x is None else x for x in column] for column in columns], dtype=float).T
    shades = LinearSegmentedColormap.from_list("errors", ["#f4f7fb", "#a9c3e2", ACCENT, "#24426b"])
    norm = LogNorm(_LEAST, 1.0)
    axes.imshow(np.clip(values, _LEAST, 1.0), aspect="auto", cmap=shades, norm=norm)
    for (y, x), value in np.ndenumerate(values):
        text = "-" if np.isnan(value) else "0" if value == 0 else f"{value:.0e}".replace("e-0", "e-")
        dark = not np.isnan(value) and norm(max(value, _LEAST)) > 0.55
        axes.text(x, y, text, ha="center", va="center", fontsize=8, color="white" if dark else INK)
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.tick_params(length=0)
    axes.set_title(title)
    for spine in axes.spines.values():
        spine.set_visible(False)


def cost_picture(rows: Sequence[Row]) -> bytes:
    """Size, working memory by part, and time of each file.

    Parameters
    ----------
    rows : sequence of mapping
        With ``bytes``, ``working_memory`` (None is drawn as nothing) and ``latency_ms``.
    """

    def draw(figure: Figure) -> None:
        places = np.arange(len(rows))[::-1]
        size, work, time = figure.subplots(1, 3, sharey=True)
        kilobytes = [row["bytes"] / 1e3 for row in rows]
        size.barh(places, kilobytes, color=ACCENT, height=0.62)
        _ends(size, places, kilobytes, "{:.0f}")
        size.set_yticks(places, [name_of(row) for row in rows], fontsize=9)
        size.set(xlabel="kB", title="file")
        left = np.zeros(len(rows))
        for part, colour in (("weights", ACCENT), ("states", OTHER), ("activations", "#b9c6d6")):
            width = np.array([(row["working_memory"] or {part: 0})[part] / 1e3 for row in rows])
            work.barh(places, width, left=left, color=colour, height=0.62, label=part)
            left += width
        _ends(work, places, left, "{:.0f}")
        work.set(xlabel="kB", title="working memory of a step")
        figure.legend(loc="outside lower center", ncols=3, fontsize=8)
        middle = [row["latency_ms"]["p50"] for row in rows]
        time.barh(places, middle, color=ACCENT, height=0.62)
        _ends(time, places, middle, "{:.2f}")
        time.set(xlabel="ms", title="a step here, median")

    return svg((9.6, 1.5 + 0.26 * len(rows)), draw)


def _ends(axes: Axes, places: np.ndarray, values: Sequence[float] | np.ndarray, form: str) -> None:
    for place, value in zip(places, values, strict=True):
        axes.text(value, place, " " + form.format(value), va="center", fontsize=8)
    axes.set_xlim(0, 1.2 * max(values, default=1.0))


def layer_picture(rows: Sequence[Row]) -> bytes:
    """The mean error of each output when one layer is int8, a panel for each file.

    Parameters
    ----------
    rows : sequence of mapping
        With ``sweep``.
    """
    longest = max(len(row["sweep"]["layers"]) for row in rows)

    def draw(figure: Figure) -> None:
        for axes, row in zip(figure.subplots(len(rows), 1, squeeze=False)[:, 0], rows, strict=True):
            layers = row["sweep"]["layers"]
            places = np.arange(len(layers))
            for i, (output, colour) in enumerate(zip(OUTPUTS, _COLOURS, strict=True)):
                heights = [one["by_output"][output] for one in layers]
                axes.bar(places + 0.2 * (i - 1.5), heights, 0.19, color=colour, label=output)
            names = [one["layer"].removesuffix(".conv").replace("pointwise", "point").replace("depthwise", "depth")
                     for one in layers]  # fmt: skip
            axes.set_xticks(places, names, rotation=20, ha="right", fontsize=8)
            axes.set(ylabel="mean error", title=name_of(row), xlim=(-0.6, longest - 0.4))
            axes.grid(axis="y", color=FAINT, lw=0.7)
            axes.set_axisbelow(True)
        figure.axes[0].legend(fontsize=8, ncols=4, loc="upper right")

    return svg((9.6, 2.6 * len(rows)), draw)


def mixed_picture(rows: Sequence[Row]) -> bytes:
    """Size against mean error as more layers stay float32.

    Parameters
    ----------
    rows : sequence of mapping
        With ``sweep``, more than one number of layers tried in one of them.
    """

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        colours = (ACCENT, OTHER, "#5bb5a6", "#7c559f", "#8d7b68", "#d1343b")
        for i, row in enumerate(rows):
            trials = row["sweep"]["mixed"]
            sizes = [one["bytes"] / 1e3 for one in trials]
            means = [max(one["mean_abs_error"], _LEAST) for one in trials]
            axes.plot(
                sizes, means, color=colours[i % len(colours)], marker="o", ms=4, lw=1.2, label=name_of(row)
            )
            for one, x, y in zip(trials, sizes, means, strict=True):
                axes.annotate(
                    str(len(one["float_layers"])), (x, y), (3, 4), textcoords="offset points", fontsize=8
                )
        axes.set(xlabel="file, kB", ylabel="mean error, worst sound", yscale="log",
                 title="layers that stay float32, most sensitive first")  # fmt: skip
        axes.grid(color=FAINT, lw=0.7)
        axes.legend(fontsize=8)

    return svg((9.6, 3.8), draw)
