"""Faster and slower, higher and lower: resampling, stretching in time, and both."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_ser.audio import SAMPLE_RATE
from edge_ser.errors import require
from edge_ser.perturb.waves import Floats, as_wave, in_range, to_length

__all__ = ["pitch", "speed", "tempo"]

_HOP = 160  # samples of output that one decision is for, and of a crossfade: 10 ms
_FAR = 160  # at most so many samples does the sound read stray from where it should be; 10 ms
_SEARCH = 200  # a splice goes at most so far from there
_NEAR = 40  # from so far on a splice is looked for
_ALIKE = 0.7  # correlation at which it is made before it must be
_HOMESICK = 0.1  # correlation that a place so far from its due as _FAR has to have more


def speed(wave: npt.ArrayLike, factor: float) -> Floats:
    """Play it faster or slower: tempo, pitch and formants together, by resampling (soxr, HQ).

    Parameters
    ----------
    wave : array_like of shape (samples,)
        16 kHz mono.
    factor : float
        0.25 to 4; above 1 is faster and higher. What would lie above 8 kHz is filtered away.

    Returns
    -------
    ndarray of shape (round(samples / factor),), float32
        At least one sample.

    Raises
    ------
    MissingExtraError
        soxr is not installed.
    """
    wave = as_wave(wave)
    return _resampled(wave, _length(wave, factor, "the factor of speed"), factor)


def tempo(wave: npt.ArrayLike, factor: float) -> Floats:
    """Make it faster or slower at the same pitch.

    Waveform similarity overlap-add (WSOLA, Verhelst and Roelands, ICASSP 1993), with three changes: the sound is
    copied as it is while it runs within 10 ms of where it should be; a splice is made early where sound of the same
    shape (normalised correlation 0.7) lies on the other side; and a crossfade keeps the power of what is not alike.

    Parameters
    ----------
    wave : array_like of shape (samples,)
        16 kHz mono.
    factor : float
        0.25 to 4; above 1 is faster. Best at 0.7 to 1.4.

    Returns
    -------
    ndarray of shape (round(samples / factor),), float32
        At least one sample; at a factor of 1 the wave itself.
    """
    wave = as_wave(wave)
    return _stretched(wave, _length(wave, factor, "the factor of tempo"))


def pitch(wave: npt.ArrayLike, semitones: float) -> Floats:
    """Make it higher or lower at the same tempo: `speed`, then `tempo` back. Formants move along.

    Parameters
    ----------
    wave : array_like of shape (samples,)
        16 kHz mono.
    semitones : float
        -12 to 12.

    Returns
    -------
    ndarray of shape (samples,), float32
    """
    wave = as_wave(wave)
    factor = 2 ** (in_range(semitones, -12, 12, "the semitones") / 12)
    return _stretched(_resampled(wave, _length(wave, factor, "the factor of pitch"), factor), len(wave))


def _length(wave: Floats, factor: float, what: str) -> int:
    return max(1, round(len(wave) / in_range(factor, 0.25, 4, what)))


def _resampled(wave: Floats, length: int, factor: float) -> Floats:
    if factor == 1:
        return wave.copy()
    soxr = require("soxr", extra="audio", purpose="changing the speed of waveforms")
    # soxr takes what follows the wave to be silence as well; so much of it that never too little comes back
    followed = np.concatenate([wave, np.zeros(32, np.float32)])
    return to_length(soxr.resample(followed, SAMPLE_RATE * factor, SAMPLE_RATE, quality="HQ"), length)


def _stretched(wave: Floats, length: int) -> Floats:
    """The wave in `length` samples at the same pitch."""
    if length == len(wave):
        return wave.copy()
    mean = wave.mean()  # a constant correlates with itself anywhere, and would hide what does not
    sound = to_length(wave - mean, max(len(wave), _HOP) + _HOP)
    energy = np.concatenate([[0.0], np.cumsum(np.square(sound, dtype=np.float64))])
    fade = (0.5 - 0.5 * np.cos(np.pi * (np.arange(_HOP) + 0.5) / _HOP)).astype(np.float32)
    hops = -(-length // _HOP)
    result = np.empty(hops * _HOP, np.float32)
    end = len(sound) - 2 * _HOP  # the last place with a whole hop
    step = _HOP * end / max(length - _HOP, 1)  # so that the first and the last hop of both are the same
    at = 0  # where the sound goes on
    for hop in range(hops):
        due = min(round(hop * step), end)
        most = end if hop == hops - 1 else max(end - _HOP, 0)  # so that it can go on for another hop
        must = abs(at - due) > _FAR or at > most
        piece = sound[at : at + _HOP]
        if must or abs(at - due) >= _NEAR:
            to, alike = _splice(sound, energy, at, due, most, must)
            if must or alike >= _ALIKE:
                piece, at = _crossfade(piece, sound[to : to + _HOP], fade, max(alike, 0.0)), to
        result[hop * _HOP : (hop + 1) * _HOP] = piece
        at += _HOP
    return result[:length] + mean


def _splice(
    sound: Floats, energy: npt.NDArray[np.float64], at: int, due: int, most: int, must: bool
) -> tuple[int, float]:
    """The place about `due` whose next hop is most like that at `at`, and the correlation of the two.

    Unless it must be, only the other side of `due` is looked at, as from there the sound runs longest before the
    next splice; and a likeness that still grows where the search ends counts as none: taken, each such splice would
    shift a low voice's phase the same way, and so its pitch.
    """
    high = min(due + _SEARCH, most)
    low = high - 2 * _SEARCH
    if not must:
        low, high = (due - _SEARCH, due) if at > due else (due, high)
    low, high = max(low, 0), max(high, low, 0)
    found = np.correlate(sound[low : high + _HOP], sound[at : at + _HOP], "valid")
    energies = energy[low + _HOP : high + _HOP + 1] - energy[low : high + 1]
    own = energy[at + _HOP] - energy[at]
    # the product of the energies of a hop of 24-bit silence, so that nothing is like silence
    alike = found / np.sqrt(np.maximum(energies * own, 1e-24))
    best = int(np.argmax(alike - _HOMESICK * np.abs(np.arange(low, high + 1) - due) / _FAR))
    if not must and not 0 < best < high - low:
        return at, 0.0
    return low + best, min(float(alike[best]), 1.0)


def _crossfade(old: Floats, new: Floats, fade: Floats, alike: float) -> Floats:
    """From `old` to `new`, at the power of both however much they are `alike` (0..1)."""
    rest = 1 - fade
    power = np.square(rest) + np.square(fade) + 2 * alike * rest * fade
    return (rest * old + fade * new) / np.sqrt(power).astype(np.float32)
