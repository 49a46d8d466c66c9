"""All features of a recording at once: one spectrum for all, one row a frame."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.cepstral import delta, mfcc
from edge_ser.dsp.compute import implementation, within_backend
from edge_ser.dsp.levels import power_to_db
from edge_ser.dsp.pitch import yin
from edge_ser.dsp.rhythm import onset_strength
from edge_ser.dsp.spec import WINDOWS
from edge_ser.dsp.spectral import (
    band_energy,
    spectral_bandwidth,
    spectral_centroid,
    spectral_contrast,
    spectral_flatness,
    spectral_rolloff,
)
from edge_ser.dsp.spectrum import Floats, checked_signal, mel_filter_bank, spectrogram
from edge_ser.dsp.temporal import rms, zero_crossing_rate
from edge_ser.dsp.tonal import chroma_stft, tonnetz
from edge_ser.errors import EdgeSerError, require_fields

__all__ = ["FEATURES", "FRAME_FEATURES", "FeatureSpec", "column_names", "frame_features"]


@dataclasses.dataclass(frozen=True)
class FeatureSpec:
    """Settings of `frame_features`, in librosa's terms.

    Attributes
    ----------
    sample_rate : int
        Hz.
    n_fft, hop_length : int
        Samples of a frame and from frame to frame.
    win_length : int or None
        Samples that the window covers; the frame if None.
    window : {'hann', 'hamming', 'blackman', 'rectangular'}
        Periodic.
    n_mels, n_mfcc : int
        Mel bands, and cepstral coefficients, at most as many.
    fmin, fmax : float, float or None
        Range of the mel bands in Hz; half the sample rate if None.
    f0_min, f0_max : float
        Range of the fundamental frequency in Hz. A frame has to hold a period of `f0_min`.
    delta_width : int
        Frames that a slope is fitted to.
    contrast_bands : int
        Octaves above 200 Hz of the spectral contrast.
    edges : tuple of float
        Of the bands whose energy is taken, in Hz.
    top_db : float or None
        See `edge_ser.dsp.levels.power_to_db`; None makes frames independent of each other.
    tuning : float or None
        See `edge_ser.dsp.tonal.chroma_stft`; estimated from the recording if None.
    """

    sample_rate: int = 16000
    n_fft: int = 2048
    hop_length: int = 512
    win_length: int | None = None
    window: str = "hann"
    n_mels: int = 128
    n_mfcc: int = 40
    fmin: float = 0.0
    fmax: float | None = None
    f0_min: float = 65.0
    f0_max: float = 500.0
    delta_width: int = 9
    contrast_bands: int = 6
    edges: tuple[float, ...] = (0.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
    top_db: float | None = 80.0
    tuning: float | None = None

    def __post_init__(self) -> None:
        if self.window not in WINDOWS:
            raise EdgeSerError(f"FeatureSpec.window must be one of {WINDOWS}, not {self.window!r}")
        if not 1 <= self.n_mfcc <= self.n_mels:
            raise EdgeSerError(f"FeatureSpec.n_mfcc must lie in 1..{self.n_mels}, not {self.n_mfcc!r}")
        object.__setattr__(self, "edges", tuple(float(edge) for edge in self.edges))

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> FeatureSpec:
        """Build from `to_dict`'s form.

        Raises
        ------
        EdgeSerError
            A field is missing, unknown or out of its range.
        """
        require_fields(cls, fields, "the features' description")
        return cls(**fields)


class _Recording:
    """What several features share, computed when first asked for."""

    def __init__(self, y: Floats, spec: FeatureSpec, center: bool, threads: int) -> None:
        self.y, self.spec, self.threads = y, spec, threads
        self.framing: dict[str, Any] = {"hop_length": spec.hop_length, "center": center, "threads": threads}

    @functools.cached_property
    def power(self) -> Floats:
        spec = self.spec
        shape: dict[str, Any] = {"win_length": spec.win_length, "window": spec.window}
        return spectrogram(self.y, n_fft=spec.n_fft, power=2, **shape, **self.framing)

    @functools.cached_property
    def magnitude(self) -> Floats:
        return np.sqrt(self.power)

    @functools.cached_property
    def log_mel(self) -> Floats:
        s = self.spec
        fmax = s.sample_rate / 2 if s.fmax is None else s.fmax
        bank = mel_filter_bank(s.sample_rate, s.n_fft, s.n_mels, s.fmin, fmax, False, "slaney")
        return power_to_db(implementation().weigh(self.power, bank, self.threads), top_db=s.top_db)

    @functools.cached_property
    def mfcc(self) -> Floats:
        return mfcc(S=self.log_mel, n_mfcc=self.spec.n_mfcc)

    @functools.cached_property
    def chroma(self) -> Floats:
        s = self.spec
        return chroma_stft(S=self.power, sr=s.sample_rate, n_fft=s.n_fft, tuning=s.tuning)

    @functools.cached_property
    def centroid(self) -> Floats:
        return spectral_centroid(S=self.magnitude, sr=self.spec.sample_rate, n_fft=self.spec.n_fft)

    @functools.cached_property
    def f0(self) -> Floats:
        s = self.spec
        pair = yin(
            self.y,
            fmin=s.f0_min,
            fmax=s.f0_max,
            sr=s.sample_rate,
            frame_length=s.n_fft,
            return_aperiodicity=True,
            **self.framing,
        )
        return np.stack(pair, axis=1)

    def spectral(self, feature: Callable[..., Floats], **options: Any) -> Floats:
        """A feature of the magnitude spectrum."""
        return feature(S=self.magnitude, n_fft=self.spec.n_fft, **options)

    def temporal(self, feature: Callable[..., Floats], **options: Any) -> Floats:
        """A feature of the samples."""
        framing = {name: value for name, value in self.framing.items() if name != "threads"}
        return feature(self.y, frame_length=self.spec.n_fft, **framing, **options)


def _slope(order: int) -> Callable[[_Recording], Floats]:
    def compute(r: _Recording) -> Floats:
        mode = "interp" if len(r.mfcc) >= r.spec.delta_width else "nearest"
        return delta(r.mfcc, width=r.spec.delta_width, order=order, mode=mode)

    return compute


def _contrast(r: _Recording) -> Floats:
    s = r.spec
    return r.spectral(spectral_contrast, sr=s.sample_rate, n_bands=s.contrast_bands, top_db=s.top_db)


def _bands(r: _Recording) -> Floats:
    s = r.spec
    return power_to_db(
        band_energy(S=r.power, sr=s.sample_rate, n_fft=s.n_fft, edges=s.edges), top_db=s.top_db
    )


def _onsets(r: _Recording) -> Floats:
    s = r.spec
    options: dict[str, Any] = {"n_fft": s.n_fft, "hop_length": s.hop_length, "center": r.framing["center"]}
    return onset_strength(S=r.log_mel, sr=s.sample_rate, **options)


FEATURES: Mapping[str, Callable[[_Recording], Floats]] = {
    "log_mel": lambda r: r.log_mel,
    "mfcc": lambda r: r.mfcc,
    "mfcc_delta": _slope(1),
    "mfcc_delta2": _slope(2),
    "chroma": lambda r: r.chroma,
    "tonnetz": lambda r: tonnetz(chroma=r.chroma),
    "spectral_centroid": lambda r: r.centroid,
    "spectral_bandwidth": lambda r: r.spectral(
        spectral_bandwidth, sr=r.spec.sample_rate, centroid=r.centroid
    ),
    "spectral_rolloff": lambda r: r.spectral(spectral_rolloff, sr=r.spec.sample_rate),
    "spectral_flatness": lambda r: r.spectral(spectral_flatness),
    "spectral_contrast": _contrast,
    "band_energy": _bands,
    "zero_crossing_rate": lambda r: r.temporal(zero_crossing_rate),
    "rms": lambda r: r.temporal(rms),
    "f0": lambda r: r.f0[:, 0],
    "aperiodicity": lambda r: r.f0[:, 1],
    "onset_strength": _onsets,
}
"""Every feature of the table, in its order."""

_LOOKS_AROUND = ("mfcc_delta", "mfcc_delta2", "onset_strength", "zero_crossing_rate")
FRAME_FEATURES = tuple(name for name in FEATURES if name not in _LOOKS_AROUND)
"""Those whose frames do not depend on each other (with ``top_db`` None and ``tuning`` given): for a stream."""


def _known(names: Sequence[str] | None) -> Sequence[str]:
    if names is None:
        return tuple(FEATURES)
    if unknown := [name for name in names if name not in FEATURES]:
        raise EdgeSerError(f"no feature is called {', '.join(unknown)}; there are {', '.join(FEATURES)}")
    return names


def frame_features(
    y: npt.ArrayLike,
    spec: FeatureSpec | None = None,
    *,
    names: Sequence[str] | None = None,
    center: bool = True,
    threads: int = 1,
    n_fft: int | None = None,
    hop_length: int | None = None,
) -> dict[str, Floats]:
    """Features of a recording, one row a frame.

    Parameters
    ----------
    y : (n,) floating point
        Audio in -1..1 at ``spec.sample_rate``.
    spec : FeatureSpec, optional
        Settings.
    names : sequence of str, optional
        Which of `FEATURES`; all if not given.
    center : bool
        See `edge_ser.dsp.spectrum.Framing`.
    threads : int
        Threads that share the frames.
    n_fft, hop_length : int, optional
        Instead of those of `spec`; `edge_ser.dsp.streaming.FrameStream` gives them.

    Returns
    -------
    dict of str to (frames, dims) float32
        In the order of `names`; a feature of one number has one column.

    Raises
    ------
    EdgeSerError
        Bad audio, an unknown feature, or a value out of its range.
    """
    spec = spec or FeatureSpec()
    changes: dict[str, Any] = {"n_fft": n_fft, "hop_length": hop_length}
    spec = dataclasses.replace(spec, **{key: value for key, value in changes.items() if value is not None})
    recording = _Recording(checked_signal(y), spec, center, threads)
    columns = {name: FEATURES[name](recording) for name in _known(names)}
    return {name: values if values.ndim == 2 else values[:, None] for name, values in columns.items()}


def column_names(spec: FeatureSpec | None = None, names: Sequence[str] | None = None) -> list[str]:
    """Names of the columns of `frame_features`, joined: ``mfcc_0``, ``mfcc_1``, ..., ``rms``.

    Raises
    ------
    EdgeSerError
        An unknown feature, or a value out of its range.
    """
    spec = spec or FeatureSpec()
    samples = np.zeros((spec.delta_width + 2) * spec.hop_length + spec.n_fft, np.float32)
    with within_backend("numpy"):  # loads in no time, and widths are the same
        found = frame_features(samples, spec, names=names)
    width = {name: values.shape[1] for name, values in found.items()}
    digits = {name: math.ceil(math.log10(max(count, 2))) for name, count in width.items()}
    return [
        name if count == 1 else f"{name}_{i:0{digits[name]}d}"
        for name, count in width.items()
        for i in range(count)
    ]
