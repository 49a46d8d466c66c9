"""Rooms: a wave through an impulse response, and responses of rooms that nobody built."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edge_ser.audio import SAMPLE_RATE
from edge_ser.errors import EdgeSerError, require
from edge_ser.perturb.waves import Floats, as_wave, decibels, in_range, rms

__all__ = ["GAP_S", "reverberate", "room_response"]

GAP_S = 0.0025  # from the direct sound to the first echo, as of a wall about 0.4 m further


def reverberate(wave: npt.ArrayLike, rir: npt.ArrayLike) -> Floats:
    """Put a wave into a room, or through any device, by its impulse response.

    The response's largest sample is taken for the direct path and comes without delay; what it has before that stays
    before it. The tail after the wave's end is cut off.

    Parameters
    ----------
    wave : array_like of shape (samples,)
        16 kHz mono.
    rir : array_like of shape (n,)
        Impulse response at 16 kHz, of any level and polarity. A single impulse changes nothing.

    Returns
    -------
    ndarray of shape (samples,), float32
        At the power of `wave`.

    Raises
    ------
    EdgeSerError
        One of them is no wave, or `rir` is silent.
    MissingExtraError
        scipy is not installed.
    """
    signal = require("scipy.signal", extra="train", purpose="putting waveforms into rooms")
    wave, rir = as_wave(wave), as_wave(rir, "the impulse response")
    direct = int(np.argmax(np.abs(rir)))
    if rir[direct] == 0:
        raise EdgeSerError("the impulse response is silent; leave it out")
    rir = rir[: direct + len(wave)] / rir[direct]
    heard = signal.oaconvolve(wave, rir)[direct : direct + len(wave)]
    return heard * np.float32(rms(wave) / max(rms(heard), 1e-30))


def room_response(rt60_s: float, direct_db: float, rng: np.random.Generator) -> Floats:
    """The impulse response of a room by its figures: noise that dies away (Polack 1988; Habets 2010 for the ratio).

    Parameters
    ----------
    rt60_s : float
        0.05 to 5: seconds in which the echoes lose 60 dB; 0.3 to 0.6 in furnished rooms, 2 in a hall.
    direct_db : float
        -30 to 60: energy of the direct sound over that of all echoes; 10 close to the microphone, -5 far away.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (n,), float32
        Direct sound 1 at the start, echoes from 2.5 ms on to 60 dB below their beginning.
    """
    in_range(rt60_s, 0.05, 5, "the reverberation time in seconds")
    in_range(direct_db, -30, 60, "the direct sound in dB over its echoes")
    gap = round(GAP_S * SAMPLE_RATE)
    echoes = rng.standard_normal(round(rt60_s * SAMPLE_RATE), np.float32)
    seconds = np.arange(len(echoes), dtype=np.float32) / np.float32(SAMPLE_RATE)
    echoes *= np.exp(seconds * np.float32(-3 * math.log(10) / rt60_s))
    echoes *= np.float32(1 / (decibels(direct_db) * math.sqrt(float(np.square(echoes).sum()))))
    return np.concatenate([np.ones(1, np.float32), np.zeros(gap - 1, np.float32), echoes])
