"""A mixture, its sources and what was made of it, side by side."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from edge_ser.dsp import MelSpec, log_mel
from edge_ser.dsp import features as dsp
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.canvas import figure_at
from edge_ser.evaluation.images import draw_image, draw_log_mel, level_range

__all__ = ["plot_sources"]


def plot_sources(
    path: str | os.PathLike[str],
    waves: Mapping[str, ArrayLike],
    rate: int,
    *,
    n_fft: int = 512,
    title: str = "",
) -> None:
    """Draw the spectrogram, and below it the mel spectrogram, of several sounds of one length.

    Parameters
    ----------
    path : path
        A ``.png``, ``.svg`` or ``.pdf`` file; written whole or not at all.
    waves : mapping of str to array_like, shape (n,)
        What stands above each, and the sound, in -1..1.
    rate : int
        Samples a second.
    n_fft : int
        Samples of a frame; the hop is a quarter.
    title : str
        Stands above all.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    EdgeSerError
        No sounds, or shorter than a frame, an unknown kind of file, or it cannot be written.
    """
    sounds = {name: np.asarray(wave, np.float32) for name, wave in waves.items()}
    shortest = min((len(wave) for wave in sounds.values()), default=0)
    if shortest < n_fft:
        raise EdgeSerError(f"sounds of {shortest} samples cannot be drawn in frames of {n_fft}")
    hop = n_fft // 4
    spec = MelSpec(
        sample_rate=rate, win_length=n_fft, n_fft=n_fft, hop_length=hop, padding="center",
        n_mels=min(64, n_fft // 8), fmin=0.0, fmax=rate / 2,
    )  # fmt: skip
    seconds = shortest / rate
    spectra = {
        name: dsp.amplitude_to_db(dsp.spectrogram(wave, n_fft=n_fft, hop_length=hop) * np.float32(4 / n_fft),
                                  amin=1e-5, top_db=None)
        for name, wave in sounds.items()
    }  # fmt: skip
    limits = level_range(np.concatenate(list(spectra.values())), 70.0)  # one scale, so that what leaks shows
    with figure_at(path, (2.9 * len(sounds) + 1.0, 5.2), dpi=80) as figure:
        grid = figure.subplots(2, len(sounds), squeeze=False)
        for column, (name, wave) in enumerate(sounds.items()):
            top, bottom = grid[:, column]
            draw_image(top, spectra[name], (0, seconds, 0, rate / 2), limits)
            top.set_title(name, size=10, weight="normal")
            draw_log_mel(figure, bottom, log_mel(wave, spec), spec, seconds)
            bottom.set_xlabel("seconds")
            if column:
                bottom.set_ylabel("")
        grid[0, 0].set_ylabel("Hz")
        if title:
            figure.suptitle(title, x=0.01, ha="left", weight="bold", size=12)
