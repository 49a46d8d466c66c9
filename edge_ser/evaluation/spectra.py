"""Pictures of spectra: clips over octaves, energy by octave, what windows do to a tone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from edge_ser.audio import SAMPLE_RATE
from edge_ser.dsp.reading import OCTAVES
from edge_ser.dsp.spectrum import spectrogram
from edge_ser.dsp.windows import tone_spectrum, window_response
from edge_ser.evaluation.canvas import FAINT, INK, colours_of, figure_at
from edge_ser.evaluation.images import draw_bar, draw_image, format_hz

__all__ = ["plot_gallery", "plot_octave_clips", "plot_octave_shares", "plot_windows"]

_N_FFT, _HOP, _ROWS = 2048, 256, 128
_SPAN_DB = 70.0
_LEAKED = 24  # bins on each side of a tone
_FINER = 32


def plot_octave_clips(
    path: str | os.PathLike[str],
    clips: Mapping[str, np.ndarray],
    bands: Mapping[str, tuple[float, float]] | None = None,
) -> None:
    """Draw the spectrogram of some clips over octaves of frequency, each from its own loudest down by 70 dB.

    Parameters
    ----------
    path : path
        A ``.png``, ``.svg`` or ``.pdf`` file; written whole or not at all.
    clips : mapping
        Title to (n,) float32 at 16 kHz.
    bands : mapping, optional
        Title to a band in Hz that is marked.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    EdgeSerError
        Bad audio, an unknown kind of file, or it cannot be written.
    """
    edges = np.log2([OCTAVES[0], SAMPLE_RATE / 2])
    rows = np.linspace(edges[0], edges[1], _ROWS)
    with figure_at(path, (9.6, 0.4 + 1.9 * len(clips)), 90) as figure:
        grid = figure.subplots(len(clips), 1, squeeze=False)[:, 0]
        for axes, (title, wave) in zip(grid, clips.items(), strict=True):
            power = spectrogram(wave, n_fft=_N_FFT, hop_length=_HOP, power=2.0)
            loudest = max(float(power.max()), 1e-30)  # of silence
            db = 10 * np.log10(np.maximum(power / loudest, 1e-9))
            places = 2**rows * _N_FFT / SAMPLE_RATE
            low = np.floor(places).astype(int)
            part = (places - low)[None]
            levels = db[:, low] * (1 - part) + db[:, np.minimum(low + 1, db.shape[1] - 1)] * part
            extent = (0.0, len(wave) / SAMPLE_RATE, float(edges[0]), float(edges[1]))
            picture = draw_image(axes, levels, extent, (-_SPAN_DB, 0.0))
            ticks = [hz for hz in OCTAVES if 32 < hz < SAMPLE_RATE / 2]
            axes.set_yticks(np.log2(ticks), format_hz(ticks))
            axes.set_ylabel("Hz")
            axes.set_title(title, size=10)
            for hz in (bands or {}).get(title, ()):
                axes.axhline(np.log2(min(hz, 0.99 * SAMPLE_RATE / 2)), color="white", lw=1.2, ls="--")
            draw_bar(figure, axes, picture, "dB")
        grid[-1].set_xlabel("s")


def plot_octave_shares(path: str | os.PathLike[str], shares: Mapping[str, Sequence[float]]) -> None:
    """Draw how much of the energy each octave of `edge_ser.dsp.reading.OCTAVES` has, side by side.

    Parameters
    ----------
    path : path
        As in `plot_octave_clips`.
    shares : mapping
        Name to a share for each octave, 0..1.

    Raises
    ------
    MissingExtraError, EdgeSerError
        As in `plot_octave_clips`.
    """
    names = list(shares)
    width = 0.8 / len(names)
    at = np.arange(len(OCTAVES) - 1)
    with figure_at(path, (9.6, 3.4), 90) as figure:
        axes = figure.subplots()
        for k, (name, colour) in enumerate(zip(names, colours_of(names), strict=True)):
            axes.bar(at + (k - (len(names) - 1) / 2) * width, shares[name], width, label=name, color=colour)
        labels = [f"{a}-{b}" for a, b in zip(format_hz(OCTAVES[:-1]), format_hz(OCTAVES[1:]), strict=True)]
        axes.set_xticks(at, labels)
        axes.set(xlabel="Hz", ylabel="share of the energy")
        axes.grid(axis="y", color=FAINT, lw=0.7)
        axes.set_axisbelow(True)
        axes.legend()


def plot_windows(path: str | os.PathLike[str], names: Sequence[str], *, bins: int = _LEAKED) -> None:
    """Draw the spectra of windows, and the bins of a tone midway between two of them.

    Parameters
    ----------
    path : path
        As in `plot_octave_clips`.
    names : sequence of str
        See `edge_ser.dsp.filters.window`.
    bins : int
        Drawn on each side.

    Raises
    ------
    MissingExtraError, EdgeSerError
        As in `plot_octave_clips`.
    """
    length = 1024
    with figure_at(path, (9.6, 3.8), 90) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        for name, colour in zip(names, colours_of(names), strict=True):
            response = window_response(name, length, finer=_FINER)[: bins * _FINER]
            left.plot(np.arange(len(response)) / _FINER, 20 * np.log10(np.maximum(response, 1e-8)), color=colour,
                      lw=1.2, label=name)  # fmt: skip
            levels = tone_spectrum(name, 0.5, length)
            places = np.arange(length // 4 - bins, length // 4 + bins + 1)
            right.plot(places - length // 4 - 0.5, levels[places], color=colour, marker="o", ms=2.5, lw=0.9)
        left.set(xlabel="bins from the middle", ylabel="dB", title="spectrum of the window", ylim=(-120, 4))
        right.set(xlabel="bins from the tone", title="a tone midway between two bins")
        for axes in (left, right):
            axes.grid(color=FAINT, lw=0.7)
            axes.axhline(0, color=INK, lw=0.6)
        left.legend(loc="upper right")


def plot_gallery(path: str | os.PathLike[str], pictures: Mapping[str, np.ndarray]) -> None:
    """Draw grey pictures of spectrograms side by side, two in a row.

    Parameters
    ----------
    path : path
        As in `plot_octave_clips`.
    pictures : mapping
        Title to (rows, columns), the first row at the top.

    Raises
    ------
    MissingExtraError, EdgeSerError
        As in `plot_octave_clips`.
    """
    lines = -(-len(pictures) // 2)
    with figure_at(path, (9.6, 0.3 + 2.6 * lines), 90) as figure:
        grid = figure.subplots(lines, 2, squeeze=False).ravel()
        for axes, (title, picture) in zip(grid, pictures.items(), strict=False):
            axes.imshow(picture, cmap="gray", aspect="auto", interpolation="nearest")
            axes.set_title(title, size=10)
        for axes in grid:
            axes.set_axis_off()
