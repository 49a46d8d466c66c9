"""What may be done to pictures of spectrograms in training: what photographs bear, and what sound does.

Each function changes the first input of one example, (1, rows, columns) with rows of frequency, and draws from the
generator it is given; see `edge_ser.training.classify.Augmentation`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edge_ser.errors import require
from edge_ser.features.images import resized
from edge_ser.training.classify import Arrays, Augmentation
from edge_ser.training.image_augment import masked

__all__ = ["AUGMENTATIONS", "crop", "flip_frequency", "flip_time", "mask", "photograph", "rotate"]

_CROP = 0.8  # least share of the sides that is kept
_DEGREES = 15.0
_MASKS, _ROWS, _COLUMNS = 2, 0.16, 0.2  # how many of each, and their widest share of the side


def crop(inputs: Arrays, rng: np.random.Generator) -> Arrays:
    """A part of the picture, at least 80 % of each side, stretched to its size."""
    image = inputs[0][0]
    sides = [max(1, round(size * rng.uniform(_CROP, 1.0))) for size in image.shape]
    top, left = (int(rng.integers(0, size - side + 1)) for size, side in zip(image.shape, sides, strict=True))
    part = image[top : top + sides[0], left : left + sides[1]]
    return resized(part, *image.shape)[None], *inputs[1:]


def flip_time(inputs: Arrays, rng: np.random.Generator) -> Arrays:
    """Backwards, every other time."""
    return (inputs[0][:, :, ::-1] if rng.random() < 0.5 else inputs[0]), *inputs[1:]


def flip_frequency(inputs: Arrays, rng: np.random.Generator) -> Arrays:
    """Upside down, every other time: high becomes low."""
    return (inputs[0][:, ::-1] if rng.random() < 0.5 else inputs[0]), *inputs[1:]


def rotate(inputs: Arrays, rng: np.random.Generator) -> Arrays:
    """Turned by up to 15 degrees; what comes in at the corners is black."""
    ndimage = require("scipy.ndimage", extra="train", purpose="rotating pictures")
    turned = ndimage.rotate(
        inputs[0][0], rng.uniform(-_DEGREES, _DEGREES), reshape=False, order=1, cval=float(inputs[0].min())
    )
    return turned[None].astype(np.float32), *inputs[1:]


def mask(inputs: Arrays, rng: np.random.Generator) -> Arrays:
    """Two stretches of frequency and two of time become the picture's mean (SpecAugment, arXiv 1904.08779)."""
    image = inputs[0][0]
    for axis, share in ((0, _ROWS), (1, _COLUMNS)):
        for _ in range(_MASKS):
            image = masked(image, axis, round(share * image.shape[axis]), rng, float(inputs[0].mean()))
    return image[None], *inputs[1:]


def photograph(inputs: Arrays, rng: np.random.Generator) -> Arrays:
    """Cropped, flipped in time and turned, as pictures of things are."""
    return rotate(flip_time(crop(inputs, rng), rng), rng)


#: Name to what it does; None does nothing.
AUGMENTATIONS: Mapping[str, Augmentation | None] = {
    "none": None,
    "crop": crop,
    "flip time": flip_time,
    "flip frequency": flip_frequency,
    "rotate": rotate,
    "crop, flip time, rotate": photograph,
    "SpecAugment": mask,
}
