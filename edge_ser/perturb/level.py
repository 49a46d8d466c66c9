"""What changes a wave's samples one by one: level, polarity, offset, overload, lost packets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_ser.audio import SAMPLE_RATE
from edge_ser.errors import EdgeSerError
from edge_ser.perturb.waves import Floats, as_wave, decibels, in_range

__all__ = ["clip", "dc", "gain_db", "invert", "lose_packets"]


def gain_db(wave: npt.ArrayLike, db: float) -> Floats:
    """Make it louder or softer.

    Parameters
    ----------
    wave : array_like of shape (samples,)
        16 kHz mono, full scale -1..1.
    db : float
        -120 to 120; 6.02 doubles the amplitude. Nothing is clipped.

    Returns
    -------
    ndarray of shape (samples,), float32

    Raises
    ------
    EdgeSerError
        `wave` is no wave, or `db` out of range.
    """
    factor = decibels(in_range(db, -120, 120, "the gain in dB"))
    return as_wave(wave) * np.float32(factor)


def invert(wave: npt.ArrayLike) -> Floats:
    """The other polarity, as of a microphone wired the other way round.

    Parameters
    ----------
    wave : array_like of shape (samples,)

    Returns
    -------
    ndarray of shape (samples,), float32
    """
    return -as_wave(wave)


def dc(wave: npt.ArrayLike, offset: float) -> Floats:
    """Add a constant, as cheap converters do.

    Parameters
    ----------
    wave : array_like of shape (samples,)
    offset : float
        -1 to 1, in full scale.

    Returns
    -------
    ndarray of shape (samples,), float32
    """
    return as_wave(wave) + np.float32(in_range(offset, -1, 1, "the offset"))


def clip(wave: npt.ArrayLike, level: float) -> Floats:
    """Cut off what goes beyond a share of the wave's own peak (hard clipping).

    The share makes overload independent of level: ``clip(g * wave, level)`` is ``g * clip(wave, level)``.

    Parameters
    ----------
    wave : array_like of shape (samples,)
    level : float
        Above 0, at most 1, as a share of the largest absolute sample; 1 changes nothing.

    Returns
    -------
    ndarray of shape (samples,), float32
    """
    if not 0 < level <= 1:
        raise EdgeSerError(f"the level to clip at must be above 0 and at most 1, not {level:g}")
    wave = as_wave(wave)
    limit = np.float32(level) * np.abs(wave).max()
    return np.clip(wave, -limit, limit)


def lose_packets(
    wave: npt.ArrayLike, share: float, rng: np.random.Generator, *, packet_s: float = 0.02, burst: float = 1.5
) -> Floats:
    """Silence in place of packets that a network lost, in bursts (Gilbert's two states, Bell Syst. Tech. J. 1960).

    Parameters
    ----------
    wave : array_like of shape (samples,)
    share : float
        0 to 0.9: expected share of packets that are lost.
    rng : numpy.random.Generator
    packet_s : float
        Seconds of a packet, 0.001 to 1.
    burst : float
        Expected packets of one loss, 1 or more; for large shares a longer one may be needed for the share.

    Returns
    -------
    ndarray of shape (samples,), float32
        A whole packet is as it was, or zero.
    """
    wave = as_wave(wave).copy()
    in_range(share, 0, 0.9, "the share of lost packets")
    in_range(burst, 1, 1000, "the length of a burst")
    size = round(in_range(packet_s, 0.001, 1, "a packet's seconds") * SAMPLE_RATE)
    if share == 0:
        return wave
    # In the stationary state the chances of entering and of leaving a loss balance: enter (1 - share) = leave share.
    leave = min(1 / burst, (1 - share) / share)
    enter = leave * share / (1 - share)
    lost = bool(rng.random() < share)
    for start, chance in zip(range(0, len(wave), size), rng.random(-(-len(wave) // size)), strict=True):
        if lost:
            wave[start : start + size] = 0
        lost = chance >= leave if lost else chance < enter
    return wave
