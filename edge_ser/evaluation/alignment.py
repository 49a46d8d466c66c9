"""A text laid over the spectrogram that it was heard in, and how sure of it the network was."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.canvas import FAINT, INK, figure_at
from edge_ser.evaluation.images import draw_log_mel

__all__ = ["Span", "plot_alignment"]


class Span(NamedTuple):
    """A character, or a word, and the seconds that it stands at."""

    text: str
    start: float
    stop: float


def plot_alignment(
    path: str | os.PathLike[str],
    levels: ArrayLike,
    spec: MelSpec,
    spans: Sequence[Span],
    posteriors: ArrayLike,
    alphabet: str,
    *,
    title: str = "",
) -> None:
    """Draw a log-mel spectrogram with the characters where they are said, and below it the network's probabilities.

    Parameters
    ----------
    path : path
        A ``.png``, ``.svg`` or ``.pdf`` file; written whole or not at all.
    levels : array_like, shape (frames, n_mels)
        Normalised log-mel as `spec` makes it.
    spec : MelSpec
    spans : sequence of Span
        In the order of time. A space is drawn as the border of words, not as a letter.
    posteriors : array_like, shape (steps, 1 + len(alphabet))
        Probabilities over the same stretch of time: of the blank, then of each character.
    alphabet : str

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    EdgeSerError
        No frames, shapes that do not fit, an unknown kind of file, or it cannot be written.
    """
    rows, chances = np.asarray(levels, np.float32), np.asarray(posteriors, np.float64)
    if rows.ndim != 2 or rows.shape[1] != spec.n_mels or not len(rows):
        raise EdgeSerError(f"the spectrogram must have the shape (frames, {spec.n_mels}), not {rows.shape}")
    if chances.ndim != 2 or chances.shape[1] != len(alphabet) + 1 or not len(chances):
        raise EdgeSerError(
            f"posteriors of {len(alphabet)} characters have the shape (steps, {len(alphabet) + 1}), "
            f"not {chances.shape}"
        )
    seconds = len(rows) / spec.frame_rate
    width = min(20.0, max(9.0, 3.2 * seconds))
    with figure_at(path, (width, 5.4), dpi=110) as figure:
        top, bottom = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [1.5, 1.0]})
        draw_log_mel(figure, top, rows, spec, seconds)
        high = top.get_ylim()[1]
        for span in spans:
            if span.text.isspace():
                for axes in (top, bottom):
                    axes.axvline(
                        (span.start + span.stop) / 2, color="white" if axes is top else FAINT, lw=0.9, ls=":"
                    )
                continue
            top.plot([span.start, span.start], [0.9 * high, high], color="white", lw=0.7, alpha=0.8)
            top.text(
                (span.start + span.stop) / 2, 0.94 * high, span.text, color="white", ha="center", va="center",
                size=11, weight="bold", clip_on=True,
            )  # fmt: skip
        times = (np.arange(len(chances)) + 0.5) * seconds / len(chances)
        bottom.fill_between(times, chances[:, 0], color=FAINT, lw=0, label="blank")
        for k, character in enumerate(alphabet, 1):
            if chances[:, k].max() > 0.15:  # what is never likely would only be a line along the axis
                [line] = bottom.plot(times, chances[:, k], lw=1.4)
                peak = int(chances[:, k].argmax())
                bottom.text(
                    times[peak], chances[peak, k] + 0.03, "␣" if character == " " else character,
                    color=line.get_color(), ha="center", size=9,
                )  # fmt: skip
        bottom.set(xlim=(0, seconds), ylim=(0, 1.14), xlabel="seconds", ylabel="probability")
        bottom.legend(loc="upper right", fontsize=8)
        top.set_title(title, size=11, color=INK)
