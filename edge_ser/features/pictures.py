"""Spectrograms as pictures: grey PNG files in a folder for each class, and arrays that networks see."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.spectrum import melspectrogram, spectrogram
from edge_ser.errors import EdgeSerError, require
from edge_ser.files import write_atomic

__all__ = ["mel_picture", "read_pictures", "scaled_to", "window_picture", "write_pictures"]

Grey = npt.NDArray[np.uint8]
Picture = npt.NDArray[np.float32]

_LEAST = 1e-9
_SPAN_DB = 80.0


def mel_picture(
    wave: npt.ArrayLike,
    *,
    n_mels: int = 128,
    n_fft: int = 1024,
    hop_length: int = 240,
    frames: int | None = None,
) -> Grey:
    """Logarithm of a mel spectrogram of magnitudes, stretched over all greys, low frequencies at the bottom.

    Parameters
    ----------
    wave : (n,) floating point
        16 kHz audio in -1..1.
    n_mels, n_fft, hop_length : int
        As `edge_ser.dsp.spectrum.melspectrogram` takes them.
    frames : int, optional
        The first so many; a shorter recording is followed by silence.

    Returns
    -------
    (n_mels, frames) uint8
        The least of ``log(x + 1e-9)`` is 0, the largest 255: how loud a recording is cannot be seen.

    Raises
    ------
    EdgeSerError
        Bad audio, or no frame of it.
    """
    if not np.size(wave) or (frames is not None and frames < 1):
        raise EdgeSerError("the recording has no frame to draw")
    bands = melspectrogram(wave, n_fft=n_fft, hop_length=hop_length, n_mels=n_mels, power=1.0)
    if frames is not None:
        bands = bands[:frames]
        bands = np.concatenate([bands, np.zeros((frames - len(bands), n_mels), np.float32)])
    logs = np.log(bands.astype(np.float64) + _LEAST)
    low, high = float(logs.min()), float(logs.max())
    grey = np.rint(255 * (logs - low) / (high - low)) if high > low else np.zeros(logs.shape)
    return np.ascontiguousarray(grey.T[::-1].astype(np.uint8))


def window_picture(
    wave: npt.ArrayLike, window: str = "hann", *, side: int = 224, n_fft: int = 1024, hop_length: int = 256
) -> Picture:
    """Spectrogram under a window as a square picture of mean 0 and deviation 1.

    Parameters
    ----------
    wave : (n,) floating point
        16 kHz audio in -1..1.
    window : str
        See `edge_ser.dsp.filters.window`.
    side : int
        Rows (linear Hz, low ones at the bottom) and columns (all of the recording).
    n_fft, hop_length : int
        Samples of a frame and from frame to frame.

    Returns
    -------
    (side, side) float32
        Levels down to 80 dB below the loudest; all 0 for silence.

    Raises
    ------
    EdgeSerError
        Bad audio, no frame of it, an unknown window, or no side.
    """
    if not np.size(wave) or side < 1:
        raise EdgeSerError("a picture of a spectrogram needs a frame of sound and a side of at least 1")
    power = spectrogram(wave, n_fft=n_fft, hop_length=hop_length, window=window, power=2.0).astype(np.float64)
    loudest = max(float(power.max()), 1e-20)
    levels = 10 * np.log10(np.maximum(power, loudest * 10 ** (-_SPAN_DB / 10)))
    picture = scaled_to(levels.T[::-1].astype(np.float32), side, side)
    deviation = float(picture.std())
    return (picture - picture.mean()) / np.float32(deviation if deviation > 1e-6 else 1.0)


def scaled_to(picture: npt.NDArray[Any], rows: int, columns: int) -> npt.NDArray[Any]:
    """A picture (uint8 or float32) in another size, smoothed where it becomes smaller, as Pillow's bilinear does."""
    image = require("PIL.Image", extra="plot", purpose="pictures of spectrograms")
    if rows < 1 or columns < 1:
        raise EdgeSerError(f"a picture cannot be made one of {rows} x {columns}")
    made = image.fromarray(np.ascontiguousarray(picture))
    return np.array(made.resize((columns, rows), image.Resampling.BILINEAR))


def write_pictures(
    folder: str | Path, pictures: Sequence[Grey], labels: Sequence[str], names: Sequence[str]
) -> Path:
    """Write grey PNG files as ``LABEL/NAME.png``.

    Parameters
    ----------
    folder : path
        Made if it is not there.
    pictures : sequence of (rows, columns) uint8
    labels, names : sequence of str
        Class and file name of each; no two alike.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    EdgeSerError
        Two pictures under one name.
    MissingExtraError
        Pillow is not installed.
    """
    image = require("PIL.Image", extra="plot", purpose="pictures of spectrograms")
    target = Path(folder)
    places = [target / label / f"{name}.png" for label, name in zip(labels, names, strict=True)]
    if len(set(places)) < len(places):
        raise EdgeSerError(f"two pictures in {target} would have one name")
    for place, picture in zip(places, pictures, strict=True):
        place.parent.mkdir(parents=True, exist_ok=True)
        data = io.BytesIO()
        image.fromarray(np.ascontiguousarray(picture)).save(data, format="PNG")
        write_atomic(place, data.getvalue())
    return target


def read_pictures(
    folder: str | Path, rows: int = 50, columns: int = 150
) -> tuple[Picture, npt.NDArray[np.int64], tuple[str, ...], list[Path]]:
    """Grey pictures in a folder for each class.

    Parameters
    ----------
    folder : path
    rows, columns : int
        What they are resized to.

    Returns
    -------
    pictures : (n, 1, rows, columns) float32
        -1 is black, 1 white.
    truth : (n,) int64
        Classes.
    labels : tuple of str
        Their names, in alphabetical order.
    paths : list of Path
        Sorted within each class.

    Raises
    ------
    EdgeSerError
        No such folder, fewer than two classes, or a file that is no picture.
    MissingExtraError
        Pillow is not installed.
    """
    image = require("PIL.Image", extra="plot", purpose="pictures of spectrograms")
    root = Path(folder)
    labels = sorted({path.parent.name for path in root.glob("*/*.png")}) if root.is_dir() else []
    if len(labels) < 2:
        raise EdgeSerError(f"{root} should hold a folder of PNG files for each of two classes at least")
    pictures, truth, paths = [], [], []
    for number, label in enumerate(labels):
        for path in sorted((root / label).glob("*.png")):
            try:
                with image.open(path) as opened:
                    grey = np.array(opened.convert("L"))
            except (OSError, SyntaxError, ValueError) as error:  # Pillow calls a broken chunk bad syntax
                raise EdgeSerError(f"{path} is no picture that can be read: {error}") from error
            pictures.append((scaled_to(grey, rows, columns).astype(np.float32) / 255 - 0.5) / 0.5)
            truth.append(number)
            paths.append(path)
    stacked = np.stack(pictures).astype(np.float32)[:, None]
    return stacked, np.array(truth, np.int64), tuple(labels), paths
