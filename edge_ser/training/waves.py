"""What may be done to waveforms in training; see `edge_ser.training.classify.Augmentation`."""

from __future__ import annotations

import numpy as np

from edge_ser.training.classify import Arrays

__all__ = ["speed_shift_and_gain"]

_SPEED, _SHIFT, _GAIN_DB = 1.18, 0.1, 3.0


def speed_shift_and_gain(inputs: Arrays, rng: np.random.Generator) -> Arrays:
    """A waveform (1, samples) as if another had said it elsewhere: faster or slower, moved, louder or softer.

    Up to 18 % in speed, with which pitch and formants move, up to a tenth of its length in time, silence at the ends
    that it leaves, and up to 3 dB.
    """
    wave = inputs[0][0]
    n = len(wave)
    at = np.arange(n) * _SPEED ** rng.uniform(-1, 1) + rng.uniform(-_SHIFT, _SHIFT) * n
    played = np.interp(at, np.arange(n), wave, left=0.0, right=0.0)
    gain = 10 ** (rng.uniform(-_GAIN_DB, _GAIN_DB) / 20)
    return (gain * played).astype(np.float32)[None], *inputs[1:]
