"""Numbers over time as an image under axes in seconds and Hz."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edge_ser.dsp import MelSpec
from edge_ser.dsp.filters import hz_to_mel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MOST_COLUMNS", "draw_bar", "draw_image", "draw_log_mel", "format_hz", "level_range"]

Rows = npt.NDArray[np.floating[Any]]

MOST_COLUMNS = 4000
"""An hour is not drawn in more columns than there are dots."""


def draw_image(
    axes: Axes,
    rows: Rows,
    extent: tuple[float, float, float, float],
    limits: tuple[float, float],
    *,
    cmap: str = "magma",
) -> Any:
    """An image of numbers over time, the first row's end at the lower left.

    Parameters
    ----------
    axes : Axes
    rows : (frames, rows)
        Where there are more frames than dots, the largest of a few is drawn. What is NaN stays white.
    extent : (left, right, bottom, top)
        Seconds and what the rows are.
    limits : (low, high)
        What the ends of the colours stand for.
    cmap : str
        matplotlib's name of the colours.

    Returns
    -------
    AxesImage
    """
    if len(rows) > MOST_COLUMNS:
        starts = np.arange(0, len(rows), -(-len(rows) // MOST_COLUMNS))
        rows = np.fmax.reduceat(rows, starts, axis=0)
    picture = axes.imshow(
        rows.T,
        origin="lower",
        aspect="auto",
        extent=extent,
        cmap=cmap,
        vmin=limits[0],
        vmax=max(limits[1], limits[0] + 1e-6),
        interpolation="antialiased",
    )
    axes.spines[:].set_visible(False)
    return picture


def draw_bar(figure: Figure, axes: Axes, picture: Any, label: str) -> Any:
    """The meaning of an image's colours, close beside its axes: a bar of its own would push these aside."""
    bar = figure.colorbar(picture, cax=axes.inset_axes((1.012, 0.0, 0.012, 1.0)))
    bar.set_label(label)
    bar.outline.set_visible(False)
    return bar


def level_range(levels: Rows, span: float = 80.0) -> tuple[float, float]:
    """From the loudest down to the quietest, at most `span` dB: digital silence would take all the contrast."""
    top = float(levels.max())
    return max(float(levels.min()), top - span), top


def format_hz(hz: Sequence[int]) -> list[str]:
    """Frequencies for an axis: ``500``, ``1 k``."""
    return [f"{h // 1000} k" if h >= 1000 and h % 1000 == 0 else str(h) for h in hz]


def draw_log_mel(figure: Figure, axes: Axes, levels: Rows, spec: MelSpec, seconds: float) -> None:
    """A log-mel spectrogram (frames, n_mels) as `edge_ser.dsp.log_mel` gives it, over mel-spaced Hz."""
    levels = levels * spec.scale + spec.mean
    limits = level_range(levels) if spec.log == "db" else (float(levels.min()), float(levels.max()))
    low, high = (float(m) for m in hz_to_mel([spec.fmin, spec.fmax], spec.mel_scale))
    picture = draw_image(axes, levels, (0, seconds, low, high), limits)
    ticks = [hz for hz in (250, 500, 1000, 2000, 4000, 8000) if spec.fmin <= hz <= spec.fmax]
    axes.set_yticks(hz_to_mel(ticks, spec.mel_scale), format_hz(ticks))
    axes.set_ylabel("Hz (mel scale)")
    draw_bar(figure, axes, picture, "dB" if spec.log == "db" else "log-mel")
