"""MelSpec: the one description of a log-mel front end, stored in every bundle."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any

from edge_ser.errors import EdgeSerError, require_fields

__all__ = ["LOGS", "MEL_NORMS", "MEL_SCALES", "PADDINGS", "WINDOWS", "MelSpec"]

WINDOWS = ("hann", "hamming", "blackman", "rectangular")
MEL_SCALES = ("slaney", "htk")
MEL_NORMS = ("slaney", "none")
LOGS = ("db", "log10", "ln", "none")
PADDINGS = ("causal", "none", "center", "reflect")

#: Beyond these, features need not be numbers in float32.
_LEAST_SCALE, _MOST_MEAN, _MOST_FLOOR = 1e-6, 1e6, 1e30
_LARGEST = sys.float_info.max  # a whole number may be beyond it
#: Points, two seconds at 16 kHz, and bands: more take memory only. Rates and hops: compiled code counts in 64 bits.
_MOST = {"n_fft": 1 << 15, "n_mels": 1 << 15, "sample_rate": (1 << 31) - 1, "hop_length": (1 << 31) - 1}


@dataclasses.dataclass(frozen=True)
class MelSpec:
    """A log-mel front end, in librosa's terms; the defaults are those of stream72k.

    Attributes
    ----------
    sample_rate : int
        Hz, below 2**31.
    window : {'hann', 'hamming', 'blackman', 'rectangular'}
        Periodic (``fftbins=True``) window of `win_length` samples, centred in the frame of `n_fft`.
    win_length, n_fft, hop_length : int
        Samples. ``win_length <= n_fft <= 32768``, and ``hop_length`` below 2**31.
    n_mels : int
        Number of bands, at most 32768.
    fmin, fmax : float
        Range of the bands in Hz, ``0 <= fmin < fmax <= sample_rate / 2``.
    mel_scale : {'slaney', 'htk'}
        Slaney's (linear below 1 kHz) or O'Shaughnessy's formula as in HTK.
    mel_norm : {'slaney', 'none'}
        'slaney' divides each triangle by half its width in Hz (area normalisation).
    power : {1.0, 2.0}
        Exponent of the magnitude spectrum before the mel bands.
    log : {'db', 'log10', 'ln', 'none'}
        'db' is ``10 log10`` of a power and ``20 log10`` of a magnitude, without a ``top_db`` limit,
        which would depend on the whole recording and so could not be streamed.
    floor : float
        Mel energies below it are raised to it before the logarithm (librosa's ``amin``); above 0, at most 1e30.
    padding : {'causal', 'none', 'center', 'reflect'}
        'causal': ``n_fft - hop_length`` zeros before the signal, so frame ``k`` ends with sample
        ``(k + 1) * hop_length - 1`` and ``n`` samples give ``n // hop_length`` frames; 'none':
        librosa's ``center=False``; 'center' and 'reflect': ``center=True`` with zeros or reflection.
    mean, scale : float
        Output is ``(log_mel - mean) / scale``; ``scale`` at least 1e-6, ``mean`` from -1e6 to 1e6.

    Raises
    ------
    EdgeSerError
        A value is out of its range; the sentence names the field.
    """

    sample_rate: int = 16000
    window: str = "hann"
    win_length: int = 512
    n_fft: int = 512
    hop_length: int = 200
    n_mels: int = 64
    fmin: float = 20.0
    fmax: float = 8000.0
    mel_scale: str = "slaney"
    mel_norm: str = "slaney"
    power: float = 2.0
    log: str = "db"
    floor: float = 1e-10
    padding: str = "causal"
    mean: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("sample_rate", "win_length", "n_fft", "hop_length", "n_mels"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise EdgeSerError(f"MelSpec.{name} must be a whole number of at least 1, not {value!r}")
        for name in ("fmin", "fmax", "power", "floor", "mean", "scale"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= _LARGEST:
                raise EdgeSerError(f"MelSpec.{name} must be a finite number, not {value!r}")
        choices = (
            ("window", WINDOWS),
            ("mel_scale", MEL_SCALES),
            ("mel_norm", MEL_NORMS),
            ("log", LOGS),
            ("padding", PADDINGS),
            ("power", (1.0, 2.0)),
        )
        for name, known in choices:
            if getattr(self, name) not in known:
                raise EdgeSerError(f"MelSpec.{name} must be one of {known}, not {getattr(self, name)!r}")
        for name, most in _MOST.items():
            if getattr(self, name) > most:
                raise EdgeSerError(f"MelSpec.{name} must be at most {most}, not {getattr(self, name)}")
        if self.win_length > self.n_fft:
            raise EdgeSerError(f"MelSpec.win_length {self.win_length} is longer than n_fft {self.n_fft}")
        if self.padding == "causal" and self.hop_length > self.n_fft:
            raise EdgeSerError(
                f"MelSpec.hop_length {self.hop_length} leaves gaps between frames of {self.n_fft}"
            )
        if not 0 <= self.fmin < self.fmax <= self.sample_rate / 2:
            raise EdgeSerError(
                f"MelSpec needs 0 <= fmin < fmax <= {self.sample_rate / 2:g} Hz, not {self.fmin:g} and {self.fmax:g}"
            )
        if not 0 < self.floor <= _MOST_FLOOR:
            raise EdgeSerError(
                f"MelSpec.floor must be above 0 and at most {_MOST_FLOOR:g}, not {self.floor:g}"
            )
        if self.scale < _LEAST_SCALE:
            raise EdgeSerError(f"MelSpec.scale must be at least {_LEAST_SCALE:g}, not {self.scale:g}")
        if abs(self.mean) > _MOST_MEAN:
            raise EdgeSerError(f"MelSpec.mean must lie within {_MOST_MEAN:g} of 0, not at {self.mean:g}")

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop_length

    def frames(self, samples: int) -> int:
        """Frames of a recording of so many samples, as `log_mel` gives them."""
        if self.padding == "causal":
            return samples // self.hop_length
        padded = samples if self.padding == "none" else samples + 2 * (self.n_fft // 2)
        return max(0, (padded - self.n_fft) // self.hop_length + 1)

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> MelSpec:
        """Build from `to_dict`'s form; every field has to be there, so no default can slip in.

        Raises
        ------
        EdgeSerError
            A field is missing, unknown or out of its range.
        """
        require_fields(cls, fields, "the front end's description")
        return cls(**fields)
