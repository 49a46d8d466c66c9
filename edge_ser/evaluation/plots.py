"""Pictures: a recording over time, training curves, a confusion matrix."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.canvas import (
    EMOTION_COLOURS,
    FAINT,
    INK,
    check_picture,
    colours_of,
    figure_at,
    literal,
)
from edge_ser.evaluation.timeline import plot_over_time

__all__ = [
    "EMOTION_COLOURS",
    "check_picture",
    "plot_confusion",
    "plot_curves",
    "plot_over_time",
    "plot_spectra",
]


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
    with figure_at(path, (9.0, 1.0 + 1.3 * sum(heights)), dpi=120) as figure:
        grid = figure.subplots(
            len(panels), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
        )[:, 0]
        for axes, (label, group) in zip(grid, panels.items(), strict=True):
            for name, colour in zip(group, colours_of(group), strict=True):
                epochs = [r.get("epoch", i) for i, r in enumerate(records, 1) if name in r]
                values = [r[name] for r in records if name in r]
                axes.plot(
                    epochs, values, color=colour, lw=1.8, label=name.replace("_", " "),
                    marker="o" if len(values) < 3 else None, ms=4,
                )  # fmt: skip
            axes.set_ylabel(label)
            axes.grid(color=FAINT, lw=0.7)
            if label == "learning rate":
                axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
            else:
                axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        grid[0].set_title(literal(title), pad=8)
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
    with figure_at(path, (side + 0.6, side), dpi=130) as figure:
        axes = figure.subplots()
        picture = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(n, n):
            if table[row, column]:
                colour = "white" if share[row, column] > 0.5 else INK
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
        axes.set_title(literal(title), pad=10)
        bar = figure.colorbar(picture, ax=axes, shrink=0.75, format=lambda value, _: f"{100 * value:.0f}%")
        bar.outline.set_visible(False)


def plot_spectra(
    path: str | os.PathLike[str], names: Sequence[str], clips: np.ndarray, spec: MelSpec, *, most: int = 5
) -> None:
    """Draw log-mel clips, a row for each class.

    Parameters
    ----------
    path : path
        A ``.png``, ``.svg`` or ``.pdf`` file; written whole or not at all.
    names : sequence of str
        Of the classes.
    clips : (classes, n, T, n_mels)
        Normalised log-mel as `spec` makes it.
    spec : MelSpec
    most : int
        Clips of a class that are drawn, the first ones.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    EdgeSerError
        An unknown kind of file, or it cannot be written.
    """
    db = np.asarray(clips, np.float32)[:, :most] * spec.scale + spec.mean
    low, high = (float(value) for value in np.percentile(db, (1, 99.5)))
    seconds = db.shape[2] / spec.frame_rate
    rows, columns = db.shape[:2]
    with figure_at(path, (1.2 + 1.9 * columns, 0.5 + 1.15 * rows), 80) as figure:
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for name, own, line in zip(names, db, grid, strict=True):
            for one, axes in zip(own, line, strict=True):
                shown = axes.imshow(
                    one.T, origin="lower", aspect="auto", vmin=low, vmax=high, cmap="magma",
                    extent=(0, seconds, 0, one.shape[1]),
                )  # fmt: skip
            line[0].set_ylabel(name)
        for axes in grid[-1]:
            axes.set_xlabel("s")
        figure.colorbar(shown, ax=grid.ravel().tolist(), label="dB", shrink=0.5)
