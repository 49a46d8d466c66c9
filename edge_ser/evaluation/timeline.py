"""A recording over time: what the model hears, and what it says of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from edge_ser.dsp import MelSpec, log_mel
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.canvas import FAINT, INK, colours_of, figure_at, literal
from edge_ser.evaluation.images import draw_log_mel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from firmware_py.prediction import Prediction

__all__ = ["plot_over_time"]

_ADV_COLOURS = {"arousal": "#d1343b", "dominance": "#7c559f", "valence": "#1f8a70"}


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
    with figure_at(path, (min(18.0, max(9.0, 7.0 + 0.4 * seconds)), 7.6), dpi=130) as figure:
        spectrum, adv, emotions, strip = figure.subplots(
            4, 1, sharex=True, gridspec_kw={"height_ratios": [2.6, 1.7, 1.7, 0.26]}
        )
        draw_log_mel(figure, spectrum, log_mel(wave, spec), spec, seconds)
        ends = np.array([p.end / p.sample_rate for p in predictions])
        step = float(np.median(np.diff(ends))) if len(ends) > 1 else float(ends[0])
        _draw_adv(adv, ends, predictions)
        _draw_emotions(emotions, strip, ends, step, predictions)
        quiet = [
            (first, last)
            for state, first, last in _runs(p.state for p in predictions)
            if state in ("silence", "noise")
        ]
        for axes in (adv, emotions):
            for first, last in quiet:
                axes.axvspan(ends[first] - step, ends[last], color="white", alpha=0.72, lw=0, zorder=4)
        spectrum.set_title(literal(title), pad=10)
        spectrum.set_xlim(0, max(seconds, ends[-1]))
        strip.set_xlabel("seconds (pale: nobody speaks)" if quiet else "seconds")
        figure.align_ylabels([spectrum, adv, emotions])


def _draw_adv(axes: Axes, ends: np.ndarray, predictions: Sequence[Prediction]) -> None:
    axes.axhline(0.5, color="#9aa0a8", lw=0.9, ls=(0, (4, 4)))
    for name, colour in _ADV_COLOURS.items():
        values = [float(getattr(p, name)) for p in predictions]
        axes.plot(ends, values, color=colour, lw=2, marker="o", ms=2.6 if len(ends) < 150 else 0, label=name)
    axes.set_ylim(-0.04, 1.04)  # a line at its end stays visible
    axes.set_yticks([0, 0.5, 1], ["low", "", "high"])
    axes.set_ylabel("A / D / V")
    axes.grid(axis="x", color=FAINT, lw=0.7)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.4)


def _draw_emotions(
    axes: Axes, strip: Axes, ends: np.ndarray, step: float, predictions: Sequence[Prediction]
) -> None:
    labels = list(predictions[0].emotion)
    colours = dict(zip(labels, colours_of(labels), strict=True))
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
    words = {"silence": "", "noise": "noise", "unsure": "unsure"}
    told = [words.get(p.state, p.label) for p in predictions]
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
        return INK
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "white"
