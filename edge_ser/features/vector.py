"""A recording as one row of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.features import column_names, frame_features, tempo
from edge_ser.errors import EdgeSerError
from edge_ser.features.functionals import summarise
from edge_ser.features.spec import VectorSpec

__all__ = ["feature_vector", "vector_names"]

#: A frame whose aperiodicity is below it has a pitch.
VOICED_BELOW = 0.2

#: Frame features that something of the whole is made of.
_NEEDS: Mapping[str, str] = {"snr": "rms", "voiced": "aperiodicity", "tempo": "onset_strength"}


@lru_cache(maxsize=16)
def vector_names(spec: VectorSpec) -> tuple[str, ...]:
    """Names of `feature_vector`'s numbers: ``mfcc_00_mean``, ``mfcc_00_std``, ..., ``duration``."""
    columns = column_names(spec.frames, spec.names) if spec.names else []
    return (*(f"{column}_{f}" for column in columns for f in spec.functionals), *spec.whole)


def feature_vector(wave: npt.ArrayLike, spec: VectorSpec) -> npt.NDArray[np.float32]:
    """All numbers of a description for one recording.

    Parameters
    ----------
    wave : (n,) floating point
        Audio in -1..1 at ``spec.frames.sample_rate``; at least one frame.
    spec : VectorSpec
        What is wanted.

    Returns
    -------
    (len(vector_names(spec)),) float32
        All finite. ``f0`` is summed up over the frames that have a pitch, and is 0 where none has.

    Raises
    ------
    EdgeSerError
        Audio that is too short, not one channel, not floating point, or not finite.
    """
    x = np.asarray(wave)
    settings = spec.frames
    if x.ndim == 1 and len(x) < settings.n_fft:
        raise EdgeSerError(
            f"{len(x) / settings.sample_rate:.3f} s of audio are too short for these features; "
            f"a frame of them is {settings.n_fft / settings.sample_rate:.3f} s"
        )
    needed = [_NEEDS[name] for name in spec.whole if name in _NEEDS]
    needed += ["aperiodicity"] if "f0" in spec.names else []
    courses = frame_features(x, settings, names=list(dict.fromkeys([*spec.names, *needed])))
    parts = [_summed_up(name, courses, spec) for name in spec.names]
    parts += [np.array([_whole(name, x, courses, spec)]) for name in spec.whole]
    vector = np.concatenate(parts).astype(np.float32)
    if not np.isfinite(vector).all():
        strange = [
            name for name, value in zip(vector_names(spec), vector, strict=True) if not np.isfinite(value)
        ]
        raise EdgeSerError(
            f"the audio gives no finite {', '.join(strange[:5])}; is it speech or sound at all?"
        )
    return vector


def _summed_up(name: str, courses: Mapping[str, np.ndarray], spec: VectorSpec) -> np.ndarray:
    frames = courses[name]
    times = np.arange(len(frames)) * (spec.frames.hop_length / spec.frames.sample_rate)
    if name == "f0":  # an unvoiced frame's means nothing
        voiced = courses["aperiodicity"][:, 0] < VOICED_BELOW
        if not voiced.any():
            return np.zeros(len(spec.functionals))
        frames, times = frames[voiced], times[voiced]
    return summarise(frames, spec.functionals, times).ravel()


def _whole(name: str, x: np.ndarray, courses: Mapping[str, np.ndarray], spec: VectorSpec) -> float:
    settings = spec.frames
    if name == "duration":
        return len(x) / settings.sample_rate
    if name == "level":
        return max(-100.0, 10 * np.log10(np.mean(x.astype(np.float64) ** 2) + 1e-20))
    course = courses[_NEEDS[name]][:, 0].astype(np.float64)
    if name == "snr":
        tenth = max(1, len(course) // 10)
        powers = np.sort(course**2)
        return float(
            min(100.0, 10 * np.log10((powers[-tenth:].mean() + 1e-20) / (powers[:tenth].mean() + 1e-20)))
        )
    if name == "voiced":
        return float((course < VOICED_BELOW).mean())
    return tempo(onset_envelope=course, sr=settings.sample_rate, hop_length=settings.hop_length)
