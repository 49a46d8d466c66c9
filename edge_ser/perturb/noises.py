"""Noise of several colours, talk of many, and mixtures at a stated level."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge_ser.audio import SAMPLE_RATE
from edge_ser.errors import EdgeSerError, require
from edge_ser.perturb.waves import Floats, as_wave, decibels, in_range, rms

__all__ = ["add_noise", "babble", "coloured_noise", "excerpt", "mix", "pink_noise", "white_noise"]

_LOWEST = 20.0  # Hz; a coloured noise is white below, where its power would have no bound
_JOINT = SAMPLE_RATE // 100
_LOUD_ENOUGH = 0.1  # of the mean energy; softer stretches of a noise are its pauses, and would be blown up
_LEAST = float(np.finfo(np.float32).tiny)  # numbers below it are not held to single precision
_MOST = float(np.finfo(np.float32).max)


def coloured_noise(samples: int, rng: np.random.Generator, db_per_octave: float) -> Floats:
    """Gaussian noise whose spectrum leans.

    Parameters
    ----------
    samples : int
        At least 1.
    rng : numpy.random.Generator
    db_per_octave : float
        -12 to 12: 0 is white, -3.01 pink, -6.02 brown. White below 20 Hz.

    Returns
    -------
    ndarray of shape (samples,), float32
        RMS 1.
    """
    exponent = in_range(db_per_octave, -12, 12, "the noise's dB per octave") / (20 * math.log10(2))
    if samples < 1:
        raise EdgeSerError(f"noise needs at least 1 sample, not {samples}")
    if exponent == 0:
        noise = rng.standard_normal(samples, np.float32)
    else:
        fft = require("scipy.fft", extra="train", purpose="making coloured noise")
        size = fft.next_fast_len(samples + 1, real=True)
        hz = np.maximum(np.arange(size // 2 + 1) * (SAMPLE_RATE / size), _LOWEST)
        spectrum = fft.rfft(rng.standard_normal(size, np.float32))
        noise = fft.irfft(spectrum * (hz / 1000.0).astype(np.float32) ** np.float32(exponent), size)[:samples]
    return noise / np.float32(rms(noise))


def white_noise(samples: int, rng: np.random.Generator) -> Floats:
    """Noise with the same power in every Hz; as `coloured_noise` at 0 dB per octave."""
    return coloured_noise(samples, rng, 0.0)


def pink_noise(samples: int, rng: np.random.Generator) -> Floats:
    """Noise with the same power in every octave; as `coloured_noise` at -3.01 dB per octave."""
    return coloured_noise(samples, rng, -10 * math.log10(2))


def excerpt(sound: npt.ArrayLike, samples: int, rng: np.random.Generator) -> Floats:
    """A random stretch of a sound, or the sound again and again until it is long enough.

    A stretch has at least a tenth of the mean energy of such stretches: recordings of a bark or a sneeze are mostly
    silence. A sound that is repeated begins anywhere and is faded into itself over 10 ms where it ends.

    Parameters
    ----------
    sound : array_like of shape (n,)
        16 kHz mono.
    samples : int
        At least 1.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (samples,), float32
        At the sound's own level.

    Raises
    ------
    EdgeSerError
        `sound` is no wave, or silent.
    """
    sound = as_wave(sound, "the sound")
    if samples < 1:
        raise EdgeSerError(f"an excerpt needs at least 1 sample, not {samples}")
    if not np.any(sound):
        raise EdgeSerError("the sound is silent, so it has no level that could be changed; leave it out")
    if len(sound) > samples:
        energy = np.concatenate([[0.0], np.cumsum(np.square(sound, dtype=np.float64))])
        energies = energy[samples:] - energy[:-samples]
        starts = np.flatnonzero(energies >= _LOUD_ENOUGH * energies.mean())
        start = int(rng.choice(starts))
        return sound[start : start + samples].copy()
    joint = min(_JOINT, len(sound) // 4)
    angle = 0.5 * np.pi * (np.arange(joint, dtype=np.float32) + np.float32(0.5)) / np.float32(max(joint, 1))
    loop = sound[: len(sound) - joint].copy()
    loop[:joint] = np.sin(angle) * loop[:joint] + np.cos(angle) * sound[len(sound) - joint :]
    if not np.any(loop):
        loop = sound
    return np.resize(np.roll(loop, -int(rng.integers(len(loop)))), samples)


def babble(
    voices: Sequence[npt.ArrayLike], samples: int, rng: np.random.Generator, *, talkers: int = 6
) -> Floats:
    """Many talk at once: excerpts of speech at one level, added up.

    Parameters
    ----------
    voices : sequence of array_like
        Clips of speech, 16 kHz mono; silent ones are an error.
    samples : int
        At least 1.
    rng : numpy.random.Generator
    talkers : int
        1 or more; nobody speaks twice unless there are too few `voices`.

    Returns
    -------
    ndarray of shape (samples,), float32
        RMS 1.
    """
    if not voices or talkers < 1:
        raise EdgeSerError(f"babble needs voices and talkers, not {len(voices)} and {talkers}")
    chosen = np.concatenate([rng.permutation(len(voices)) for _ in range(-(-talkers // len(voices)))])[
        :talkers
    ]
    total = np.zeros(samples, np.float32)
    for i in chosen:
        voice = excerpt(voices[i], samples, rng)
        level = rms(voice)
        total += voice / np.float32(level) if level >= _LEAST else _scaled(voice, 1 / level)
    if not np.any(total):  # they cancel, as single samples may: one of them is left
        total = voice
    return total / np.float32(rms(total))


def add_noise(wave: npt.ArrayLike, noise: npt.ArrayLike, snr_db: float, rng: np.random.Generator) -> Floats:
    """Add a noise at a ratio of power.

    Parameters
    ----------
    wave : array_like of shape (samples,)
        16 kHz mono; keeps its level.
    noise : array_like of shape (n,)
        Of any length and level: `excerpt` cuts or repeats it.
    snr_db : float
        -60 to 120: power of `wave` over power of what is added, both over the whole clip, pauses included. To a
        silent wave nothing is added, as no level is so far below it.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (samples,), float32

    Raises
    ------
    EdgeSerError
        One of them is no wave, `noise` is silent, or `snr_db` out of range.
    """
    wave = as_wave(wave)
    in_range(snr_db, -60, 120, "the signal to noise ratio in dB")
    added = excerpt(noise, len(wave), rng)
    return wave + _scaled(added, rms(wave) / (rms(added) * decibels(snr_db)))


def mix(speech: npt.ArrayLike, other: npt.ArrayLike, share: float) -> Floats:
    """Mixup of two waves, for a teacher to label: ``share`` of one, the rest of the other, as loud as the first.

    Wav2Small's students learn from speech mixed with other sounds (arXiv 2408.13920), which does not say how loud
    each is. Here a share is one of amplitude after both are brought to one level, and the sum is brought back to the
    power of `speech`, as in between-class learning (arXiv 1711.10282; by RMS, without its A-weighting). So a share
    of 0.5 is 0 dB, 0.76 is 10 dB, whatever the recordings' levels.

    Parameters
    ----------
    speech : array_like of shape (samples,)
        16 kHz mono.
    other : array_like of shape (n,)
        Speech or any sound, not silent; cut at its end or repeated.
    share : float
        0 to 1, of `speech`; 1 gives it as it is, 0 gives `other` at its level.

    Returns
    -------
    ndarray of shape (samples,), float32
        Silent where `speech` is.

    Raises
    ------
    EdgeSerError
        One of them is no wave, `other` is silent over this length, or `share` out of range.
    """
    speech, other = as_wave(speech), as_wave(other, "the other sound")
    in_range(share, 0, 1, "the share of the first wave")
    other = np.resize(other, len(speech)).astype(np.float32, copy=False)
    level, beside = rms(speech), rms(other)
    if beside == 0:
        raise EdgeSerError(
            "the sound to mix in is silent over the wave's length; take another or a louder part"
        )
    power = math.hypot(share, 1 - share)
    mixed: Floats = speech * np.float32(share / power)
    mixed += _scaled(other, (1 - share) / power * level / beside)
    return mixed


def _scaled(sound: Floats, factor: float) -> Floats:
    """A sound times a factor, which for the faintest sounds is beyond single precision though the result is not."""
    if factor <= _MOST:
        return sound * np.float32(factor)
    return (sound.astype(np.float64) * factor).astype(np.float32)
