"""Pictures: a recording with what the model says of it over time, training curves, a confusion matrix."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from edge_ser.dsp import MelSpec, log_mel
from edge_ser.dsp.filters import hz_to_mel
from edge_ser.errors import EdgeSerError, require
from edge_ser.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from firmware_py.prediction import Prediction

__all__ = ["EMOTION_COLOURS", "plot_confusion", "plot_curves", "plot_over_time"]

EMOTION_COLOURS: Mapping[str, str] = {
    "angry": "#d1343b",
    "bored": "#8d7b68",
    "calm": "#5bb5a6",
    "disgust": "#7d9b3a",
    "fearful": "#7c559f",
    "happy": "#f2b722",
    "neutral": "#c3c7ce",
    "sad": "#3f72b0",
    "surprised": "#ee8550",
}
"""A fixed colour for each of the project's emotions, the same in every picture."""

_SPARE_COLOURS = ("#3aa3c9", "#b5651d", "#e377c2", "#17375e", "#a6d75b", "#f4c2c2")
_ADV_COLOURS = {"arousal": "#d1343b", "dominance": "#7c559f", "valence": "#1f8a70"}
_INK, _FAINT = "#2b2f36", "#d9dce1"
_STYLE = {
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": "#9aa0a8",
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
    "svg.hashsalt": "edge-ser",  # the same figures give the same file
}
_SUFFIXES = (".png", ".svg", ".pdf")
_MOST_COLUMNS = 4000


def plot_over_time(
    path: str | os.PathLike[str],
    wave: ArrayLike,
    predictions: Sequence[Prediction],
    *,
    spec: MelSpec,
    title: str = "",
) -> None:
    """Draw a recording's log-mel spectrogram with arousal, dominance, valence and the emotions over time under it.

    Parameters
    ----------
    path : path
        A ``.png``, ``.svg`` or ``.pdf`` file; written whole or not at all.
    wave : array_like, shape (n,)
        The recording at `spec`'s rate, -1..1.
    predictions : sequence of Prediction
        One or more, oldest first; a prediction is drawn where it was known, at its `end`.
    spec : MelSpec
        The model's front end: the picture shows what it hears.
    title : str
        Stands above.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    EdgeSerError
        No predictions, an unknown kind of file, or it cannot be written.
    """
    if not predictions:
        raise EdgeSerError(
            "there is no prediction to draw; the recording is shorter than a step of the model"
        )
    seconds = len(np.asarray(wave)) / spec.sample_rate
    with _figure(path, (min(22.0, max(9.0, 7.0 + seconds / 2)), 7.6), dpi=130) as figure:
        spectrum, adv, emotions, strip = figure.subplots(
            4, 1, sharex=True, gridspec_kw={"height_ratios": [2.6, 1.7, 1.7, 0.26]}
        )
        _draw_spectrogram(figure, spectrum, wave, spec, seconds)
        ends = np.array([p.end / p.sample_rate for p in predictions])
        step = float(np.median(np.diff(ends))) if len(ends) > 1 else float(ends[0])
        _draw_adv(adv, ends, predictions)
        _draw_emotions(emotions, strip, ends, step, predictions)
        quiet = [
            (first, last) for state, first, last in _runs(p.state for p in predictions) if state == "silence"
        ]
        for axes in (adv, emotions):
            for first, last in quiet:
                axes.axvspan(ends[first] - step, ends[last], color="white", alpha=0.72, lw=0, zorder=4)
        spectrum.set_title(title, pad=10)
        spectrum.set_xlim(0, max(seconds, ends[-1]))
        strip.set_xlabel("seconds (pale: nobody speaks)" if quiet else "seconds")
        figure.align_ylabels([spectrum, adv, emotions])


def plot_curves(
    path: str | os.PathLike[str], records: Sequence[Mapping[str, float]], *, title: str = ""
) -> None:
    """Draw how a training went.

    Parameters
    ----------
    path : path
        A ``.png``, ``.svg`` or ``.pdf`` file; written whole or not at all.
    records : sequence of mapping
        One for each epoch. ``epoch`` is counted from 1 where it is missing; names with ``loss`` share a panel, ``lr``
        (or ``learning_rate``) has its own, and so have all other figures together. A record may lack a name.
    title : str
        Stands above.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    EdgeSerError
        No records, an unknown kind of file, or it cannot be written.
    """
    names = list(dict.fromkeys(name for record in records for name in record if name != "epoch"))
    if not names:
        raise EdgeSerError("there are no epochs to draw")
    losses = [name for name in names if "loss" in name]
    rates = [name for name in names if name in ("lr", "learning_rate")]
    panels = {
        "loss": losses,
        "figure of merit": [name for name in names if name not in losses and name not in rates],
        "learning rate": rates,
    }
    panels = {label: group for label, group in panels.items() if group}
    heights = [1.0 if label == "learning rate" else 2.4 for label in panels]
    with _figure(path, (9.0, 1.0 + 1.3 * sum(heights)), dpi=120) as figure:
        grid = figure.subplots(
            len(panels), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
        )[:, 0]
        for axes, (label, group) in zip(grid, panels.items(), strict=True):
            for name, colour in zip(group, _colours(group), strict=True):
                epochs = [r.get("epoch", i) for i, r in enumerate(records, 1) if name in r]
                values = [r[name] for r in records if name in r]
                axes.plot(
                    epochs, values, color=colour, lw=1.8, label=name.replace("_", " "),
                    marker="o" if len(values) < 3 else None, ms=4,
                )  # fmt: skip
            axes.set_ylabel(label)
            axes.grid(color=_FAINT, lw=0.7)
            if label == "learning rate":
                axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
            else:
                axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        grid[0].set_title(title, pad=8)
        grid[-1].set_xlabel("epoch")
        grid[-1].xaxis.get_major_locator().set_params(integer=True)
        figure.align_ylabels(grid)


def plot_confusion(
    path: str | os.PathLike[str], counts: ArrayLike, labels: Sequence[str], *, title: str = ""
) -> None:
    """Draw a confusion matrix: shade and first number are shares of the true class, the small number is clips.

    Parameters
    ----------
    path : path
        A ``.png``, ``.svg`` or ``.pdf`` file; written whole or not at all.
    counts : array_like of int, shape (n, n)
        As `edge_ser.evaluation.metrics.confusion` gives it. A row of zeros (no such clips) stays empty.
    labels : sequence of str, length n
    title : str
        Stands above.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    EdgeSerError
        A shape that does not fit the labels, an unknown kind of file, or it cannot be written.
    """
    table = np.asarray(counts)
    n = len(labels)
    if table.shape != (n, n) or not n:
        raise EdgeSerError(f"a confusion matrix of {n} labels has the shape ({n}, {n}), not {table.shape}")
    total = table.sum(1, keepdims=True)
    share = np.divide(table, total, out=np.zeros(table.shape), where=total > 0)
    side = 2.6 + 0.72 * n
    with _figure(path, (side + 0.6, side), dpi=130) as figure:
        axes = figure.subplots()
        picture = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(n, n):
            if table[row, column]:
                colour = "white" if share[row, column] > 0.5 else _INK
                axes.text(
                    column, row - 0.1, f"{100 * share[row, column]:.0f}%", ha="center", va="center", color=colour,
                    weight="bold" if row == column else "normal",
                )  # fmt: skip
                axes.text(
                    column, row + 0.26, f"{table[row, column]}", ha="center", va="center", color=colour,
                    size=7, alpha=0.8,
                )  # fmt: skip
        axes.set_xticks(range(n), labels, rotation=35, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(n), labels)
        axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", lw=2)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.set_title(title, pad=10)
        bar = figure.colorbar(picture, ax=axes, shrink=0.75, format=lambda value, _: f"{100 * value:.0f}%")
        bar.outline.set_visible(False)


@contextmanager
def _figure(path: str | os.PathLike[str], inches: tuple[float, float], dpi: int) -> Iterator[Figure]:
    """A figure that is written to `path` when the block ends well; needs no display and no pyplot."""
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        raise EdgeSerError(
            f"{path} is no kind of picture that can be drawn; name a {', '.join(_SUFFIXES)} file"
        )
    matplotlib = require("matplotlib", extra="plot", purpose="drawing pictures")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=inches, dpi=dpi, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        yield figure
        data = io.BytesIO()
        dated: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix, {})
        figure.savefig(data, format=suffix[1:], metadata=dated)
    write_atomic(path, data.getvalue())


def _colours(names: Sequence[str]) -> list[str]:
    """The emotions' own colours, and spare ones in turn for all other names."""
    spare = iter(range(len(names)))
    return [EMOTION_COLOURS.get(name) or _SPARE_COLOURS[next(spare) % len(_SPARE_COLOURS)] for name in names]


def _draw_spectrogram(figure: Figure, axes: Axes, wave: ArrayLike, spec: MelSpec, seconds: float) -> None:
    levels = log_mel(wave, spec) * spec.scale + spec.mean
    if len(levels) > _MOST_COLUMNS:  # an hour is not drawn in more columns than there are dots
        starts = np.arange(0, len(levels), -(-len(levels) // _MOST_COLUMNS))
        levels = np.maximum.reduceat(levels, starts, axis=0)
    # the floor of digital silence would take all the contrast
    top = float(levels.max())
    bottom = max(float(levels.min()), top - 80.0) if spec.log == "db" else float(levels.min())
    low, high = (float(m) for m in hz_to_mel([spec.fmin, spec.fmax], spec.mel_scale))
    picture = axes.imshow(
        levels.T,
        origin="lower",
        aspect="auto",
        extent=(0, seconds, low, high),
        cmap="magma",
        vmin=bottom,
        vmax=max(top, bottom + 1e-6),
        interpolation="antialiased",
    )
    ticks = [hz for hz in (250, 500, 1000, 2000, 4000, 8000) if spec.fmin <= hz <= spec.fmax]
    axes.set_yticks(
        hz_to_mel(ticks, spec.mel_scale), [f"{hz // 1000} k" if hz >= 1000 else str(hz) for hz in ticks]
    )
    axes.set_ylabel("Hz (mel scale)")
    axes.spines[:].set_visible(False)
    # beside the axes, and so close to them as the legends below: a colour bar of its own would push these aside
    bar = figure.colorbar(picture, cax=axes.inset_axes((1.012, 0.0, 0.012, 1.0)))
    bar.set_label("dB" if spec.log == "db" else "log-mel")
    bar.outline.set_visible(False)


def _draw_adv(axes: Axes, ends: np.ndarray, predictions: Sequence[Prediction]) -> None:
    axes.axhline(0.5, color="#9aa0a8", lw=0.9, ls=(0, (4, 4)))
    for name, colour in _ADV_COLOURS.items():
        values = [float(getattr(p, name)) for p in predictions]
        axes.plot(ends, values, color=colour, lw=2, marker="o", ms=2.6 if len(ends) < 150 else 0, label=name)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["low", "", "high"])
    axes.set_ylabel("A / D / V")
    axes.grid(axis="x", color=_FAINT, lw=0.7)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.4)


def _draw_emotions(
    axes: Axes, strip: Axes, ends: np.ndarray, step: float, predictions: Sequence[Prediction]
) -> None:
    labels = list(predictions[0].emotion)
    colours = dict(zip(labels, _colours(labels), strict=True))
    shares = np.array([[p.emotion[label] for label in labels] for p in predictions]).T
    # each answer fills the step that it was given for
    edges = np.concatenate([[ends[0] - step], ends])
    held = np.concatenate([shares, shares[:, -1:]], axis=1)
    axes.stackplot(edges, held, colors=list(colours.values()), labels=labels, step="post", lw=0)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["0", "50%", "100%"])
    axes.set_ylabel("emotion")
    handles, names = axes.get_legend_handles_labels()
    axes.legend(
        handles[::-1], names[::-1], loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.0,
        handleheight=1.0, labelspacing=0.25, fontsize=9,
    )  # fmt: skip
    # the strip: what a listener was told, in words where there is room for them
    told = ["" if p.state == "silence" else "unsure" if p.state == "unsure" else p.label for p in predictions]
    room = 0.055 * (ends[-1] - edges[0])
    for word, first, last in _runs(told):
        start, stop = edges[first], ends[last]
        if word:
            strip.axvspan(start, stop, color=colours.get(word, "#eceef1"), lw=0)
        if word and stop - start >= room:
            strip.text(
                (start + stop) / 2,
                0.5,
                word,
                ha="center",
                va="center",
                size=9,
                color=_readable(colours.get(word)),
            )
    strip.set_ylim(0, 1)
    strip.set_yticks([])
    strip.spines[:].set_visible(False)


def _runs(values: Iterable[str]) -> Iterator[tuple[str, int, int]]:
    """Each stretch of equal values: the value, its first and its last index."""
    for value, group in groupby(enumerate(values), key=lambda item: item[1]):
        indices = [index for index, _ in group]
        yield value, indices[0], indices[-1]


def _readable(colour: str | None) -> str:
    """Ink or white, whichever can be read on `colour`."""
    if colour is None:
        return _INK
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return _INK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "white"
