"""A recording as features see it: waveform, spectra under several windows, mel, MFCC, chroma, centroid."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from edge_ser.audio import SAMPLE_RATE
from edge_ser.dsp import MelSpec, log_mel
from edge_ser.dsp import features as dsp
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.canvas import FAINT, figure_at, literal
from edge_ser.evaluation.images import (
    MOST_COLUMNS,
    draw_bar,
    draw_image,
    draw_log_mel,
    format_hz,
    level_range,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PANELS", "plot_recording"]

_BLUE, _SKY = "#2f6f9f", "#7fd4ff"
_WINDOWS = ("hann", "hamming", "rectangular")
_NOTES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")
_QUIET_DB = 45.0  # what is this much below the loudest has the shape of noise, which is not drawn


class _Sound:
    """A recording and what panels share of it."""

    def __init__(self, wave: ArrayLike, n_fft: int, hop_length: int, window: str) -> None:
        self.wave = np.asarray(wave, np.float32)
        self.n_fft, self.hop_length, self.window = n_fft, hop_length, window
        self.seconds = len(self.wave) / SAMPLE_RATE

    def levels(self, window: str) -> np.ndarray:
        """Spectrogram in dB of a full-scale sine, (frames, bins), whatever the window."""
        gain = 2.0 / dsp.window(window, self.n_fft).sum()
        magnitude = dsp.spectrogram(self.wave, n_fft=self.n_fft, hop_length=self.hop_length, window=window)
        return dsp.amplitude_to_db(magnitude * np.float32(gain), amin=1e-6, top_db=None)

    @cached_property
    def own_levels(self) -> np.ndarray:
        return self.levels(self.window)

    @cached_property
    def quiet(self) -> np.ndarray:
        """(frames,) bool."""
        loudness = self.own_levels.max(axis=1)
        return loudness <= loudness.max() - _QUIET_DB

    @property
    def frame_seconds(self) -> float:
        return self.hop_length / SAMPLE_RATE

    def spectrogram(
        self, axes: Axes, levels: np.ndarray, limits: tuple[float, float], cmap: str = "magma"
    ) -> Any:
        """Draw levels over linear Hz."""
        # A frame is centred at its time, so an image's outer columns reach half a hop beyond.
        half = self.frame_seconds / 2
        right = (len(levels) - 1) * self.frame_seconds + half
        picture = draw_image(axes, levels, (-half, right, 0, SAMPLE_RATE / 2), limits, cmap=cmap)
        axes.set_xlim(0, self.seconds)
        ticks = [0, 2000, 4000, 6000, 8000]
        axes.set_yticks(ticks, format_hz(ticks))
        return picture


def _waveform(figure: Figure, row: Sequence[Axes], sound: _Sound) -> None:
    axes, wave = row[0], sound.wave
    step = -(-len(wave) // MOST_COLUMNS)
    starts = np.arange(0, len(wave), step)
    times = (starts + min(step, len(wave)) / 2) / SAMPLE_RATE
    if step == 1:
        axes.plot(times, wave, color=_BLUE, lw=0.8)
    else:  # the course of the extremes: what a line through all samples would cover
        low, high = np.minimum.reduceat(wave, starts), np.maximum.reduceat(wave, starts)
        axes.fill_between(times, low, high, color=_BLUE, lw=0.4)
    peak = max(float(np.abs(wave).max()), 1e-4)
    axes.set_ylim(-1.08 * peak, 1.08 * peak)
    axes.set_xlim(0, sound.seconds)
    axes.axhline(0, color=FAINT, lw=0.7, zorder=0)
    axes.set_ylabel("amplitude")


def _spectrogram(figure: Figure, row: Sequence[Axes], sound: _Sound) -> None:
    picture = sound.spectrogram(row[0], sound.own_levels, level_range(sound.own_levels))
    row[0].set_ylabel("Hz")
    draw_bar(figure, row[0], picture, "dBFS")


def _windows(figure: Figure, row: Sequence[Axes], sound: _Sound) -> None:
    spectra = [sound.levels(name) for name in _WINDOWS]
    limits = level_range(spectra[0])  # one scale for all, so that leakage shows as what it is
    for axes, name, levels in zip(row, _WINDOWS, spectra, strict=True):
        picture = sound.spectrogram(axes, levels, limits)
        axes.set_title(name.capitalize(), size=10, weight="normal")
        if axes is not row[0]:
            axes.tick_params(labelleft=False)
    row[0].set_ylabel("Hz")
    bar = figure.colorbar(picture, cax=row[-1].inset_axes((1.04, 0.0, 0.04, 1.0)))
    bar.set_label("dBFS")
    bar.outline.set_visible(False)


def _mel(figure: Figure, row: Sequence[Axes], sound: _Sound) -> None:
    spec = MelSpec(
        window=sound.window,
        win_length=sound.n_fft,
        n_fft=sound.n_fft,
        hop_length=sound.hop_length,
        padding="center",
        n_mels=min(64, sound.n_fft // 8),
    )
    draw_log_mel(figure, row[0], log_mel(sound.wave, spec), spec, sound.seconds)


def _mfcc(figure: Figure, row: Sequence[Axes], sound: _Sound) -> None:
    count = 20
    coefficients = dsp.mfcc(
        sound.wave,
        n_mfcc=count,
        n_fft=sound.n_fft,
        hop_length=sound.hop_length,
        window=sound.window,
        n_mels=min(64, sound.n_fft // 8),
    )[:, 1:]  # the first is the level, and would take all the contrast
    reach = float(np.quantile(np.abs(coefficients), 0.995))
    extent = (0, sound.seconds, 0.5, count - 0.5)
    picture = draw_image(row[0], coefficients, extent, (-reach, reach), cmap="RdBu_r")
    row[0].set_yticks([1, 5, 10, 15, count - 1])
    row[0].set_ylabel("MFCC")
    draw_bar(figure, row[0], picture, "coefficient")


def _chroma(figure: Figure, row: Sequence[Axes], sound: _Sound) -> None:
    # Semitones of a voice are a few Hz apart: a longer frame than that of the other panels.
    n_fft = max(2048, sound.n_fft)
    chroma = dsp.chroma_stft(sound.wave, n_fft=n_fft, hop_length=sound.hop_length, window=sound.window)
    chroma = np.where(sound.quiet[:, None], np.nan, chroma)
    picture = draw_image(row[0], chroma, (0, sound.seconds, -0.5, 11.5), (0, 1), cmap="viridis")
    row[0].set_yticks(range(12), [note if "♯" not in note else "" for note in _NOTES])
    row[0].set_ylabel("pitch class")
    draw_bar(figure, row[0], picture, "share of the strongest")


def _centroid(figure: Figure, row: Sequence[Axes], sound: _Sound) -> None:
    axes = row[0]
    levels = sound.own_levels
    picture = sound.spectrogram(axes, levels, level_range(levels), cmap="Greys")
    axes.set_ylabel("Hz")
    draw_bar(figure, axes, picture, "dBFS")
    framing: Any = {"n_fft": sound.n_fft, "hop_length": sound.hop_length, "window": sound.window}
    centroid = dsp.spectral_centroid(sound.wave, **framing)
    bandwidth = dsp.spectral_bandwidth(sound.wave, centroid=centroid, **framing)
    centroid = np.where(sound.quiet, np.nan, centroid)
    times = np.arange(len(centroid)) * sound.frame_seconds
    low, high = np.maximum(centroid - bandwidth, 0), np.minimum(centroid + bandwidth, SAMPLE_RATE / 2)
    axes.fill_between(times, low, high, color="#d1343b", alpha=0.2, lw=0, label="± bandwidth")
    axes.plot(times, centroid, color="#d1343b", lw=1.6, label="centroid")
    axes.set_ylim(0, SAMPLE_RATE / 2)
    axes.legend(loc="upper right", ncols=2, frameon=True, framealpha=0.85, edgecolor="none", fontsize=9)


class _Panel(NamedTuple):
    draw: Callable[[Figure, Sequence[Axes], _Sound], None]
    title: str
    height: float
    columns: int = 1


#: Name -> how it is drawn, its title, its height, and into how many axes side by side.
PANELS: Mapping[str, _Panel] = {
    "waveform": _Panel(_waveform, "Waveform", 1.0),
    "spectrogram": _Panel(_spectrogram, "Spectrogram", 1.7),
    "windows": _Panel(_windows, "Spectrogram under three windows", 1.9, len(_WINDOWS)),
    "mel": _Panel(_mel, "Mel spectrogram", 1.7),
    "mfcc": _Panel(_mfcc, "MFCC", 1.4),
    "chroma": _Panel(_chroma, "Chroma", 1.4),
    "centroid": _Panel(_centroid, "Centroid and bandwidth", 1.7),
}


def plot_recording(
    path: str | os.PathLike[str],
    wave: ArrayLike,
    *,
    what: Sequence[str] = tuple(PANELS),
    n_fft: int = 512,
    hop_length: int | None = None,
    window: str = "hann",
    title: str = "",
) -> None:
    """Draw features of a recording over time, one panel under the other.

    Parameters
    ----------
    path : path
        A ``.png``, ``.svg`` or ``.pdf`` file; written whole or not at all.
    wave : array_like, shape (n,)
        16 kHz, -1..1, at least `n_fft` samples.
    what : sequence of str
        Keys of `PANELS`, in the order wanted.
    n_fft : int
        Samples of a frame, at least 128.
    hop_length : int, optional
        Samples from frame to frame; an eighth of a frame if not given.
    window : {'hann', 'hamming', 'blackman', 'rectangular'}
        Of all panels but ``windows``.
    title : str
        Stands above.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    EdgeSerError
        An unknown panel, a frame or recording too short, an unknown kind of file, or it cannot be written.
    """
    if unknown := [name for name in what if name not in PANELS]:
        raise EdgeSerError(
            f"there is no picture {', '.join(map(repr, unknown))}; there are {', '.join(PANELS)}"
        )
    if not what:
        raise EdgeSerError(f"say what to draw: {', '.join(PANELS)}")
    if n_fft < 128:
        raise EdgeSerError(f"a frame of {n_fft} samples shows no spectrum; take at least 128")
    sound = _Sound(wave, n_fft, max(1, n_fft // 8) if hop_length is None else hop_length, window)
    if len(sound.wave) < n_fft:
        raise EdgeSerError(
            f"the recording lasts {sound.seconds:.3f} s, and a frame {n_fft / SAMPLE_RATE:.3f} s; "
            "there is nothing to draw"
        )
    panels = [PANELS[name] for name in what]
    columns = max(panel.columns for panel in panels)
    heights = [panel.height + (0.15 if panel.columns > 1 else 0.0) for panel in panels]
    width = min(18.0, max(10.0, 8.0 + 0.4 * sound.seconds))
    with figure_at(path, (width, 0.9 + 1.35 * sum(heights)), dpi=130) as figure:
        grid = figure.add_gridspec(len(panels), columns, height_ratios=heights)
        for i, panel in enumerate(panels):
            row = (
                [figure.add_subplot(grid[i, k]) for k in range(panel.columns)]
                if panel.columns > 1
                else [figure.add_subplot(grid[i, :])]
            )
            panel.draw(figure, row, sound)
            last = i == len(panels) - 1
            for axes in row:
                axes.set_xlim(0, sound.seconds)
                axes.tick_params(labelbottom=last or panel.columns > 1 or panels[i + 1].columns > 1)
                if last or panel.columns > 1:
                    axes.set_xlabel("seconds")
            if panel.columns == 1:
                row[0].set_title(panel.title, size=10, weight="normal", pad=4)
        figure.align_ylabels([axes for axes in figure.axes if axes.get_subplotspec() is not None])
        if title:
            figure.suptitle(literal(title), x=0.01, ha="left", weight="bold", size=12)
