"""What a transmission leaves of a wave: G.711, ADPCM, GSM, Vorbis, Opus, MP3, and a telephone line."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edge_ser.audio import SAMPLE_RATE
from edge_ser.errors import EdgeSerError, require
from edge_ser.perturb.waves import Floats, as_wave, in_range, to_length

__all__ = ["BAND_HZ", "CODECS", "GRADED", "a_law", "codec", "mu_law", "telephone"]

Shorts = npt.NDArray[np.int16]

#: Name to libsndfile's container and subtype, and the rate in Hz that it is used at.
_STORED: dict[str, tuple[str, str, int]] = {
    "adpcm": ("WAV", "IMA_ADPCM", 16000),
    "gsm": ("WAV", "GSM610", 8000),
    "mp3": ("MP3", "MPEG_LAYER_III", 16000),
    "opus": ("OGG", "OPUS", 16000),
    "vorbis": ("OGG", "VORBIS", 16000),
}
#: What `codec` knows.
CODECS = ("a-law", "mu-law", *_STORED)
#: Those of them that can be squeezed.
GRADED = ("mp3", "opus", "vorbis")
_BLOCK = 16000  # libvorbis puts a whole write on the stack, and a long one ends the process

BAND_HZ = (300.0, 3400.0)
_TAPS = 401  # 50 ms at 8 kHz: 40 dB are reached 50 Hz outside the band


def mu_law(wave: npt.ArrayLike) -> Floats:
    """Through eight bits of G.711's mu-law, as in North American and Japanese telephony.

    Parameters
    ----------
    wave : array_like of shape (samples,)
        Full scale -1..1; what is beyond is clipped.

    Returns
    -------
    ndarray of shape (samples,), float32
        Within ``(abs(wave) + 0.004) / 32`` of `wave`, but for full scale, which ends at 0.98.
    """
    return _looked_up(as_wave(wave), _mu_law_table())


def a_law(wave: npt.ArrayLike) -> Floats:
    """Through eight bits of G.711's A-law, as in European telephony.

    Parameters
    ----------
    wave : array_like of shape (samples,)
        Full scale -1..1; what is beyond is clipped.

    Returns
    -------
    ndarray of shape (samples,), float32
        Within ``max(abs(wave) / 32, 0.00025)`` of `wave`, and a 16-bit step; full scale ends at 0.98.
    """
    return _looked_up(as_wave(wave), _a_law_table())


def telephone(wave: npt.ArrayLike) -> Floats:
    """As heard on a telephone: 300 to 3400 Hz, at 8 kHz in mu-law (ITU-T G.711, G.712).

    Parameters
    ----------
    wave : array_like of shape (samples,)
        16 kHz mono, full scale -1..1; what is beyond is clipped.

    Returns
    -------
    ndarray of shape (samples,), float32
        Without delay. 6 dB are lost at the band's ends, 30 dB and more from 50 Hz outside it.

    Raises
    ------
    MissingExtraError
        scipy or soxr is not installed.
    """
    wave = as_wave(wave)
    signal = require("scipy.signal", extra="train", purpose="a telephone's band")
    return _at_rate(
        wave, 8000, lambda x: mu_law(signal.oaconvolve(x, _band(), mode="full")[_TAPS // 2 :][: len(x)])
    )


def codec(wave: npt.ArrayLike, name: str, squeeze: float | None = None) -> Floats:
    """Encode and decode.

    Parameters
    ----------
    wave : array_like of shape (samples,)
        16 kHz mono, full scale -1..1; what is beyond is clipped.
    name : str
        One of `CODECS`: ``"mu-law"`` and ``"a-law"`` (G.711 at 16 kHz), ``"adpcm"`` (IMA, 4 bits a sample),
        ``"gsm"`` (full rate 06.10, 13 kbit/s at 8 kHz), ``"vorbis"``, ``"opus"``, ``"mp3"``.
    squeeze : float, optional
        For the last three: 0 (best) to 1 (smallest; Opus 6 kbit/s, Vorbis about 20); the encoder's default
        otherwise.

    Returns
    -------
    ndarray of shape (samples,), float32
        Without the codec's delay.

    Raises
    ------
    EdgeSerError
        `wave` is no wave, an unknown name, `squeeze` out of range or with a codec that has no such thing, or a
        codec that the installed libsndfile lacks.
    MissingExtraError
        soundfile or soxr is not installed.
    """
    wave = as_wave(wave)
    if name not in CODECS:
        raise EdgeSerError(f"there is no codec {name!r}; there are {', '.join(CODECS)}")
    if squeeze is not None:
        if name not in GRADED:
            raise EdgeSerError(f"{name} has one size only; squeeze is for {', '.join(GRADED)}")
        in_range(squeeze, 0, 1, "squeeze")
    if name in ("mu-law", "a-law"):
        return mu_law(wave) if name == "mu-law" else a_law(wave)
    return _at_rate(np.clip(wave, -1, 1), _STORED[name][2], lambda x: _stored(x, name, squeeze))


def _stored(wave: Floats, name: str, squeeze: float | None) -> Floats:
    """The wave after a sound file in memory."""
    soundfile = require("soundfile", extra="audio", purpose=f"coding waveforms as {name}")
    container, subtype, rate = _STORED[name]
    if not soundfile.check_format(container, subtype):
        raise EdgeSerError(
            f"the installed libsndfile ({soundfile.__libsndfile_version__}) does not write {name}; "
            "install a newer soundfile, or leave this codec out"
        )
    # The encoder of MP3 in libsndfile does not take the very smallest of its own grades.
    options = {} if squeeze is None else {"compression_level": min(squeeze, 0.99)}
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate, 1, subtype, format=container, **options) as writer:
        for start in range(0, len(wave), _BLOCK):
            writer.write(wave[start : start + _BLOCK])
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    return to_length(decoded, len(wave))


def _at_rate(wave: Floats, rate: int, work: Callable[[Floats], Floats]) -> Floats:
    """Do the work at another sample rate."""
    if rate == SAMPLE_RATE:
        return work(wave)
    soxr = require("soxr", extra="audio", purpose=f"bringing {SAMPLE_RATE} Hz to {rate} Hz and back")
    followed = np.concatenate([wave, np.zeros(64, np.float32)])
    there = work(soxr.resample(followed, SAMPLE_RATE, rate, quality="HQ"))
    return to_length(soxr.resample(there, rate, SAMPLE_RATE, quality="HQ"), len(wave))


@functools.cache
def _band() -> Floats:
    signal = require("scipy.signal", extra="train", purpose="a telephone's band")
    return signal.firwin(_TAPS, BAND_HZ, pass_zero=False, window=("kaiser", 3.6), fs=8000).astype(np.float32)


def _looked_up(wave: Floats, table: Floats) -> Floats:
    return table[np.clip(np.rint(wave * np.float32(32768)), -32768, 32767).astype(np.int64) + 32768]


@functools.cache
def _mu_law_table() -> Floats:
    """What each 16-bit sample, from -32768 on, is after mu-law."""
    sample = np.arange(-32768, 32768)
    # G.711's segments in the scale of 16 bits: with 132 added, one an octave, each of 16 steps
    biased = np.minimum(np.abs(sample), 32635) + 132
    step = 1 << (_octave(biased) - 4)
    middle = biased // step * step + step // 2
    return (np.sign(sample) * (middle - 132) / 32768).astype(np.float32)


@functools.cache
def _a_law_table() -> Floats:
    """What each 16-bit sample, from -32768 on, is after A-law."""
    sample = np.arange(-32768, 32768)
    # The lowest two of G.711's segments have one step; a negative sample counts from -1, so that no code is zero.
    size = np.where(sample < 0, -1 - sample, sample)
    step = 1 << (np.maximum(_octave(np.maximum(size, 1)), 8) - 4)
    middle = size // step * step + step // 2
    return (np.where(sample < 0, -1, 1) * middle / 32768).astype(np.float32)


def _octave(x: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The place of the highest bit of numbers of at least 1."""
    return np.frexp(x)[1].astype(np.int64) - 1
