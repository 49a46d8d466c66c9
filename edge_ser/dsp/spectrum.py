"""Spectra of audio: short-time Fourier transform and mel bands; named as in librosa, frames first.

Arrays are time-major: ``(frames, bins)`` where librosa has ``(bins, frames)``.
"""

from __future__ import annotations

import functools
import math
from typing import Any, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from edge_ser.dsp import filters
from edge_ser.dsp.compute import implementation
from edge_ser.dsp.frames import require_finite
from edge_ser.dsp.spec import MelSpec
from edge_ser.errors import EdgeSerError

__all__ = [
    "Framing",
    "check_largest",
    "checked_rate",
    "checked_signal",
    "checked_spectrogram",
    "fft_frequencies",
    "given_or_computed",
    "mel_filter_bank",
    "melspectrogram",
    "pad_signal",
    "spectrogram",
    "stft",
    "whole",
]

Floats = npt.NDArray[np.float32]

SAMPLE_RATE = 16000
_LOUDEST = 1e12  # far above any audio; beyond some 1e14, powers of long frames overflow in single precision
_LARGEST = 1e17  # magnitudes of the loudest audio in long frames; sums of their squares are finite, too
_MOST_WHOLE = (1 << 31) - 1  # compiled code counts in 64 bits, in which products of two such are whole, too
_MOST_WEIGHT = 1e6  # of a window; squares of spectra are to be numbers in single precision
_PAD_MODES = ("constant", "edge", "reflect", "symmetric", "wrap")


class Framing(TypedDict, total=False):
    """How audio is cut into windowed frames, for features that are given ``y``.

    Attributes
    ----------
    hop_length : int
        Samples from frame to frame; 512.
    win_length : int, optional
        Samples that the window covers, centred in the frame; ``n_fft``.
    window : str or array
        'hann', 'hamming', 'blackman', 'rectangular' (periodic), or ``win_length`` real numbers from -1e6 to 1e6.
    center : bool
        Frame ``k`` is centred at sample ``k * hop_length`` of the recording, which is padded by ``n_fft // 2``
        at both ends; otherwise it begins there. True.
    pad_mode : {'constant', 'edge', 'reflect', 'symmetric', 'wrap'}
        What the padding holds: zeros, or as in `numpy.pad`. 'constant'.
    threads : int
        Threads that share the frames; 1. The numbers do not depend on it.
    """

    hop_length: int
    win_length: int | None
    window: str | npt.ArrayLike
    center: bool
    pad_mode: str
    threads: int


def checked_signal(y: npt.ArrayLike) -> Floats:
    """Audio as contiguous float32.

    Parameters
    ----------
    y : (n,) floating point
        Audio in -1..1, one channel.

    Returns
    -------
    (n,) float32

    Raises
    ------
    EdgeSerError
        Not one channel, not floating point, NaN or infinite samples, or any beyond 1e12.
    """
    y = np.asarray(y)
    if y.ndim != 1:
        raise EdgeSerError(f"audio must be one channel, shape (samples,), not {y.shape}: mix it down first")
    if y.dtype.kind != "f":
        raise EdgeSerError(f"audio must be floating point in -1..1, not {y.dtype}: divide int16 by 32768")
    with np.errstate(over="ignore"):  # beyond float32's range is found by the next line
        x = np.ascontiguousarray(y, np.float32)
    peak = max(x.max(initial=0.0), -x.min(initial=0.0))
    if not peak <= _LOUDEST:  # said so that NaN is not either
        require_finite(x)
        raise EdgeSerError(f"audio must be in -1..1, at most {_LOUDEST:g}, but reaches {peak:g}")
    return x


def checked_spectrogram(S: npt.ArrayLike, name: str = "S") -> Floats:
    """A spectrogram as contiguous float32, (frames, bins), finite and real.

    Raises
    ------
    EdgeSerError
        It is none.
    """
    S = np.asarray(S)
    if S.ndim != 2 or S.shape[1] == 0:
        raise EdgeSerError(f"{name} must have the shape (frames, bins), not {S.shape}")
    if S.dtype.kind not in "fiu":
        raise EdgeSerError(f"{name} must hold real numbers, not {S.dtype}: take the magnitude first")
    with np.errstate(over="ignore"):  # beyond float32's range is found by the next line
        S = np.ascontiguousarray(S, np.float32)
    if not np.isfinite(S).all():
        raise EdgeSerError(f"{name} holds NaN or infinite numbers")
    return S


def check_largest(S: Floats, power: float) -> None:
    """An EdgeSerError where magnitudes, or their powers, are so large that sums of their squares are no numbers."""
    most = _LARGEST if power == 1 else _LARGEST**2
    if (peak := np.abs(S).max(initial=0.0)) > most:
        raise EdgeSerError(f"S must be at most {most:g}, but reaches {peak:g}: scale it down")


def checked_rate(value: float, name: str = "sr") -> float:
    """`value`, a finite sample rate above 0; otherwise EdgeSerError names it."""
    if not 0 < value < math.inf:
        raise EdgeSerError(f"{name} must be a sample rate above 0 Hz, not {value!r}")
    return value


def whole(value: Any, name: str, least: int = 1) -> int:
    """`value` as int, at least `least` and below 2**31; otherwise EdgeSerError names it."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise EdgeSerError(f"{name} must be a whole number of at least {least}, not {value!r}")
    if value > _MOST_WHOLE:
        raise EdgeSerError(f"{name} must be at most {_MOST_WHOLE}, not {value}")
    return int(value)


def pad_signal(x: Floats, width: int, mode: str) -> Floats:
    """`x` with `width` samples more at both ends, as `numpy.pad`.

    Raises
    ------
    EdgeSerError
        Unknown mode, or too few samples to pad with.
    """
    if mode not in _PAD_MODES:
        raise EdgeSerError(f"pad_mode must be one of {', '.join(_PAD_MODES)}, not {mode!r}")
    least = {"constant": 0, "reflect": width + 1}.get(mode, 1)
    if len(x) < least and width:
        raise EdgeSerError(f"{len(x)} samples are too few for pad_mode {mode!r}; {least} are needed")
    if mode == "constant":  # several times faster than numpy.pad
        return np.concatenate([np.zeros(width, np.float32), x, np.zeros(width, np.float32)])
    return np.pad(x, width, mode=mode)  # type: ignore[call-overload]


@functools.lru_cache(maxsize=16)
def _named_window(name: str, win_length: int, n_fft: int) -> npt.NDArray[np.float64]:
    return _padded_window(filters.window(name, win_length), n_fft)


def _padded_window(values: npt.NDArray[np.float64], n_fft: int) -> npt.NDArray[np.float64]:
    padded = np.zeros(n_fft)
    left = (n_fft - len(values)) // 2
    padded[left : left + len(values)] = values
    return padded


def _window(window: str | npt.ArrayLike, win_length: int, n_fft: int) -> npt.NDArray[np.float64]:
    if win_length > n_fft:
        raise EdgeSerError(f"win_length {win_length} is longer than n_fft {n_fft}")
    if isinstance(window, str):
        return _named_window(window, win_length, n_fft)
    values = np.asarray(window)
    right = values.shape == (win_length,) and values.dtype.kind in "fiu"
    if not (right and (np.abs(values.astype(np.float64)) <= _MOST_WEIGHT).all()):  # nor is NaN
        raise EdgeSerError(
            f"window must be a name or {win_length} real numbers from {-_MOST_WEIGHT:g} to {_MOST_WEIGHT:g}"
        )
    return _padded_window(values.astype(np.float64), n_fft)


def _spectra(
    y: npt.ArrayLike,
    kind: str,
    n_fft: int,
    hop_length: int = 512,
    win_length: int | None = None,
    window: str | npt.ArrayLike = "hann",
    center: bool = True,
    pad_mode: str = "constant",
    threads: int = 1,
) -> npt.NDArray[Any]:
    x = checked_signal(y)
    n_fft = whole(n_fft, "n_fft")
    shape = _window(window, whole(n_fft if win_length is None else win_length, "win_length"), n_fft)
    if center:
        x = pad_signal(x, n_fft // 2, pad_mode)
    return implementation().spectra(
        x, shape, whole(hop_length, "hop_length"), kind, whole(threads, "threads")
    )


def stft(y: npt.ArrayLike, *, n_fft: int = 2048, **framing: Unpack[Framing]) -> npt.NDArray[np.complex64]:
    """Short-time Fourier transform.

    Parameters
    ----------
    y : (n,) floating point
        Audio in -1..1.
    n_fft : int
        Samples of a frame; any length, powers of two are fastest.
    **framing
        See `Framing`. Without `hop_length`, a quarter of `win_length`, as in librosa.

    Returns
    -------
    (frames, n_fft // 2 + 1) complex64
        ``frames`` is ``(padded - n_fft) // hop_length + 1``, 0 for audio shorter than a frame.

    Raises
    ------
    EdgeSerError
        Bad audio or a value out of its range.
    """
    framing.setdefault("hop_length", max(1, (framing.get("win_length") or n_fft) // 4))
    return _spectra(y, "complex", n_fft, **framing)


def spectrogram(
    y: npt.ArrayLike, *, n_fft: int = 2048, power: float = 1.0, **framing: Unpack[Framing]
) -> Floats:
    """Magnitude (``power=1``) or power spectrogram (``power=2``), or another exponent of the magnitude.

    Parameters
    ----------
    y : (n,) floating point
        Audio in -1..1.
    n_fft : int
        Samples of a frame.
    power : float
        Exponent of the magnitude, above 0 and finite.
    **framing
        See `Framing`.

    Returns
    -------
    (frames, n_fft // 2 + 1) float32

    Raises
    ------
    EdgeSerError
        Bad audio or a value out of its range.
    """
    if not 0 < power < math.inf:
        raise EdgeSerError(f"power must be a finite number above 0, not {power!r}")
    if power in (1, 2):
        return _spectra(y, "magnitude" if power == 1 else "power", n_fft, **framing)
    return _spectra(y, "magnitude", n_fft, **framing) ** np.float32(power)


def given_or_computed(
    y: npt.ArrayLike | None, S: npt.ArrayLike | None, n_fft: int, power: float, framing: Framing
) -> tuple[Floats, int]:
    """The spectrogram that a feature works on, not negative, and the n_fft it belongs to."""
    if S is not None:
        S = checked_spectrogram(S)
        whole(framing.get("threads", 1), "threads")
        if S.min(initial=0.0) < 0:
            raise EdgeSerError("S must not be negative: give magnitudes or powers, not decibels")
        check_largest(S, power)
        return S, n_fft if n_fft // 2 + 1 == S.shape[1] else max(1, 2 * (S.shape[1] - 1))
    if y is None:
        raise EdgeSerError("either audio y or a spectrogram S is needed")
    return spectrogram(y, n_fft=n_fft, power=power, **framing), n_fft


def fft_frequencies(*, sr: float = SAMPLE_RATE, n_fft: int = 2048) -> Floats:
    """Frequencies of the bins of `stft` in Hz, (n_fft // 2 + 1,) float32.

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """
    spacing = checked_rate(sr) / whole(n_fft, "n_fft")
    return (np.arange(n_fft // 2 + 1) * spacing).astype(np.float32)


@functools.lru_cache(maxsize=16)
def mel_filter_bank(
    sr: int, n_fft: int, n_mels: int, fmin: float, fmax: float, htk: bool, norm: str | None
) -> npt.NDArray[np.float64]:
    """Triangular mel filters, (n_mels, n_fft // 2 + 1), as `edge_ser.dsp.filters.mel_filters`."""
    bank = filters.mel_filters(_mel_spec(sr, n_fft, n_mels, fmin, fmax, htk, norm))
    bank.setflags(write=False)
    return bank


def _mel_spec(
    sr: int, n_fft: int, n_mels: int, fmin: float, fmax: float, htk: bool, norm: str | None, **others: Any
) -> MelSpec:
    fields: dict[str, Any] = {"win_length": n_fft, "hop_length": 1, "log": "none", "padding": "none"}
    return MelSpec(
        sample_rate=sr,
        n_fft=n_fft,
        n_mels=n_mels,
        fmin=fmin,
        fmax=fmax,
        mel_scale="htk" if htk else "slaney",
        mel_norm="none" if norm is None else norm,
        **(fields | others),
    )


def melspectrogram(
    y: npt.ArrayLike | None = None,
    *,
    sr: int = SAMPLE_RATE,
    S: npt.ArrayLike | None = None,
    n_fft: int = 2048,
    power: float = 2.0,
    n_mels: int = 128,
    fmin: float = 0.0,
    fmax: float | None = None,
    htk: bool = False,
    norm: str | None = "slaney",
    **framing: Unpack[Framing],
) -> Floats:
    """Mel spectrogram.

    Parameters
    ----------
    y : (n,) floating point, optional
        Audio in -1..1.
    sr : int
        Its sample rate in Hz.
    S : (frames, n_fft // 2 + 1), optional
        Spectrogram to take instead of `y`.
    n_fft : int
        Samples of a frame.
    power : float
        Exponent of the magnitude.
    n_mels : int
        Bands.
    fmin, fmax : float
        Their range in Hz; `fmax` is ``sr / 2`` if not given.
    htk : bool
        HTK's mel formula instead of Slaney's.
    norm : {'slaney', None}
        Triangles of equal area, or of equal height.
    **framing
        See `Framing`.

    Returns
    -------
    (frames, n_mels) float32

    Raises
    ------
    EdgeSerError
        Bad audio or a value out of its range.
    """
    fmax = sr / 2 if fmax is None else fmax
    if S is None and y is not None and power in (1, 2) and isinstance(framing.get("window", "hann"), str):
        return _fused_mel(y, power, (sr, n_fft, n_mels, fmin, fmax, htk, norm), **framing)
    spectra, n_fft = given_or_computed(y, S, n_fft, power, framing)
    bank = mel_filter_bank(sr, n_fft, n_mels, fmin, fmax, htk, norm)
    return implementation().weigh(spectra, bank, framing.get("threads", 1))


def _fused_mel(
    y: npt.ArrayLike,
    power: float,
    bands: tuple[Any, ...],
    hop_length: int = 512,
    win_length: int | None = None,
    window: Any = "hann",
    center: bool = True,
    pad_mode: str = "constant",
    threads: int = 1,
) -> Floats:
    """Mel spectrogram without the spectrogram: the frames stay in the cache."""
    n_fft = bands[1]
    win_length = n_fft if win_length is None else win_length
    spec = _mel_spec(*bands, hop_length=hop_length, win_length=win_length, window=window, power=float(power))
    x = checked_signal(y)
    if center:
        x = pad_signal(x, n_fft // 2, pad_mode)
    return implementation().log_mel_frames(x, spec, whole(threads, "threads"))
