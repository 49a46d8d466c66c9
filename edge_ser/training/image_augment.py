"""Augmentation of spectrogram images, an example at a time, for `edge_ser.training.classify`."""

from __future__ import annotations

import dataclasses

import numpy as np

from edge_ser.errors import EdgeSerError

__all__ = ["MaskAndNoise", "masked"]


def masked(
    image: np.ndarray, axis: int, widest: int, rng: np.random.Generator, fill: float | None = None
) -> np.ndarray:
    """An image without a stretch of bands (axis 0) or frames (axis 1), 0 to `widest` (SpecAugment, arXiv 1904.08779).

    Parameters
    ----------
    image : (bands, frames) float
    axis : {0, 1}
    widest : int
    rng : numpy.random.Generator
    fill : float, optional
        What stands there instead; the image's mean when left out.
    """
    size = image.shape[axis]
    width = int(rng.integers(0, min(widest, size) + 1))
    start = int(rng.integers(0, size - width + 1))
    out = image.copy()
    stretch = slice(start, start + width)
    out[(stretch, slice(None)) if axis == 0 else (slice(None), stretch)] = (
        image.mean() if fill is None else fill
    )
    return out


@dataclasses.dataclass(frozen=True)
class MaskAndNoise:
    """Masks over bands and frames and Gaussian noise on the first input, each with a probability of its own.

    Attributes
    ----------
    probability : float
        Of each of the three.
    bands, frames : int
        Widest mask of each kind; 0 is none.
    noise : float
        Deviation of what is added to each point; 0 is none.

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """

    probability: float = 1.0
    bands: int = 0
    frames: int = 0
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1 or min(self.bands, self.frames, self.noise) < 0:
            raise EdgeSerError(
                "augmentation needs a probability of 0 to 1, and widths and noise of at least 0"
            )

    def __call__(self, arrays: tuple[np.ndarray, ...], rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """The inputs of one example, the first of them changed."""
        image = arrays[0]
        if self.bands and rng.random() < self.probability:
            image = masked(image, 0, self.bands, rng)
        if self.frames and rng.random() < self.probability:
            image = masked(image, 1, self.frames, rng)
        if self.noise and rng.random() < self.probability:
            image = image + rng.normal(0, self.noise, image.shape).astype(np.float32)
        return (image, *arrays[1:])
