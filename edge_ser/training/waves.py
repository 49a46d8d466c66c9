"""What may be done to waveforms in training; see `edge_ser.training.classify.Augmentation`."""

from __future__ import annotations

import numpy as np

from edge_ser.training.classify import Arrays

__all__ = ["shift_and_gain"]

_SHIFT, _GAIN_DB = 0.1, 6.0


def shift_and_gain(inputs: Arrays, rng: np.random.Generator) -> Arrays:
    """A waveform (1, samples) moved by up to a tenth of it, silence at the end it leaves, and up to 6 dB up or down."""
    wave = inputs[0]
    most = int(_SHIFT * wave.shape[-1])
    by = int(rng.integers(-most, most + 1))
    moved = np.zeros_like(wave)
    if by >= 0:
        moved[..., by:] = wave[..., : wave.shape[-1] - by]
    else:
        moved[..., :by] = wave[..., -by:]
    return moved * np.float32(10 ** (rng.uniform(-_GAIN_DB, _GAIN_DB) / 20)), *inputs[1:]
