"""Log-mel spectrograms as images of one size, for networks that see pictures."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from edge_ser.dsp import MelSpec, log_mel
from edge_ser.errors import EdgeSerError

__all__ = ["fitted_width", "mel_image", "resized"]

Image = npt.NDArray[np.float32]


def resized(image: npt.ArrayLike, rows: int, columns: int) -> Image:
    """An image in another size, bilinear between the centres of its points.

    Parameters
    ----------
    image : (h, w) float
        At least one point.
    rows, columns : int
        At least 1. Nothing is smoothed before it is made smaller.

    Returns
    -------
    (rows, columns) float32

    Raises
    ------
    EdgeSerError
        No image, or no size.
    """
    values = np.asarray(image, np.float32)
    if values.ndim != 2 or not values.size or rows < 1 or columns < 1:
        raise EdgeSerError(f"an image of shape {values.shape} cannot be made one of {rows} x {columns}")
    for axis, size in ((0, rows), (1, columns)):
        n = values.shape[axis]
        if n == size:
            continue
        at = np.clip((np.arange(size) + 0.5) * n / size - 0.5, 0, n - 1)
        below = at.astype(np.int64)
        share = (at - below).astype(np.float32)
        share = share[:, None] if axis == 0 else share
        above = np.minimum(below + 1, n - 1)
        values = np.take(values, below, axis) * (1 - share) + np.take(values, above, axis) * share
    return np.ascontiguousarray(values)


def fitted_width(image: npt.ArrayLike, columns: int, fill: float) -> Image:
    """A spectrogram of so many frames: a shorter one is padded at its end, a longer one interpolated over time.

    Parameters
    ----------
    image : (bands, frames) float
    columns : int
    fill : float
        What stands in the padding.

    Returns
    -------
    (bands, columns) float32
    """
    values = np.asarray(image, np.float32)
    if values.ndim == 2 and 0 < values.shape[1] < columns:
        return np.pad(values, ((0, 0), (0, columns - values.shape[1])), constant_values=fill)
    return resized(values, values.shape[0] if values.ndim == 2 else 0, columns)


def mel_image(
    wave: npt.ArrayLike,
    spec: MelSpec,
    columns: int | None = None,
    fit: Literal["resize", "pad"] = "resize",
    span_db: float | None = None,
) -> Image:
    """A recording as an image of log-mel bands.

    Use `functools.partial` of it with `edge_ser.studies.StudyRun.features`.

    Parameters
    ----------
    wave : (n,) floating point
        Audio in -1..1 at the front end's rate.
    spec : MelSpec
        Its logarithm is in decibels.
    columns : int, optional
        Frames of the image; as many as there are when left out.
    fit : {"resize", "pad"}
        Interpolate every recording to that width, or see `fitted_width`; padding is silence.
    span_db : float, optional
        The image lies in -1..1, up to its own loudest point and so many decibels down, and does not tell how loud the
        recording is; silence is -1. When left out its values are those of the front end (``mean`` and ``scale``), as
        networks of `edge_ser.models` hear them.

    Returns
    -------
    (n_mels, columns) float32

    Raises
    ------
    EdgeSerError
        The front end has no decibels, the span is not above 0, or the audio is too short or not finite.
    """
    if spec.log != "db" or (span_db is not None and not span_db > 0):
        raise EdgeSerError("a mel image is made of decibels, over a span above 0")
    image = log_mel(wave, spec).T
    if not image.size:
        raise EdgeSerError(f"{np.size(wave)} samples are less than one frame of {spec.n_fft}")
    silence = ((10 if spec.power == 2 else 20) * np.log10(spec.floor) - spec.mean) / spec.scale
    if span_db is not None:
        loudest = image.max()
        image = np.maximum(2.0 * (image - loudest) * spec.scale / span_db + 1.0, -1.0)
        if loudest <= silence + 1e-4 / spec.scale:  # nothing in it is loud
            image = np.full_like(image, -1.0)
        silence = -1.0
    if columns is None:
        return np.ascontiguousarray(image, np.float32)
    return fitted_width(image, columns, silence) if fit == "pad" else resized(image, len(image), columns)
