"""librosa 0.11's numbers, for every feature it has, on both backends and on recordings of five corpora.

Relative errors are at most 1e-5: of a number where a frame has one, of the frame's largest where it has many.
librosa is given double precision where it takes it, so the error is ours. The exceptions, with their limits below:

- mel from audio is in single precision: 1e-5 of the frame's largest band, as for all, but MFCC and onsets come from
  its decibels, in which a band far below the largest one counts as much: 1e-4 of the frame's largest.
- contrast is a difference of decibels: where it is less than 1 dB the error is compared with 1 dB.
- slopes and onsets are differences of levels of up to 80 dB in single precision: as much, with 0.1 dB. Contrast of
  magnitudes is a difference, too: as much, with 1e-6.
- yin takes the shortest period below the threshold: of two equally good troughs, or in a frame next to silence,
  another one may be taken, at most in 6 % of the frames.
- roll-off is a bin: where the running sum comes within rounding of the threshold it is the next one, at most in
  2 % of the frames. The same spectrogram gives the same bin.
- the estimated tuning is a histogram's mode, so the cases that use it give librosa the same single precision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from edge_ser.audio import load_audio
from edge_ser.dsp import features as ours
from tests.support import corpus_folder

librosa: Any = pytest.importorskip("librosa", reason="librosa is not installed (extra 'dev')")

CORPORA = ("ravdess", "emodb", "emotale", "nemo", "aesdd")
SR = 16000

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore:divide by zero:RuntimeWarning")


class Case(NamedTuple):
    ours: Callable[[np.ndarray], Any]
    librosa: Callable[[np.ndarray], Any]
    limit: float = 1e-5
    others: float = 0.0  # share of frames that may differ altogether
    least: float = 1e-12  # smaller numbers are compared as if they were this large
    single: bool = False  # librosa is given single precision


def row(result: Any) -> np.ndarray:
    """librosa's (dims, frames) or (1, frames) as ours."""
    result = np.asarray(result)
    return result[0] if result.ndim == 2 and result.shape[0] == 1 else result.T


FRAMINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "speech": {"n_fft": 512, "hop_length": 160, "win_length": 400},
    "tiny": {"n_fft": 64, "hop_length": 32, "window": "hamming", "center": False},
    "odd": {"n_fft": 675, "hop_length": 201, "window": "blackman", "pad_mode": "reflect"},
    "smooth": {"n_fft": 1000, "hop_length": 500, "win_length": 999, "pad_mode": "edge"},
}


def framed(name: str) -> dict[str, Case]:
    f = FRAMINGS[name]
    lf, db = librosa.feature, librosa.power_to_db
    n_fft = f.get("n_fft", 2048)
    mels = {"n_mels": 8 if n_fft < 500 else 40}
    o: dict[str, Any] = {"sr": SR, **f}
    cases = {
        "stft": Case(lambda y: ours.stft(y, **f), lambda y: librosa.stft(y, **f)),
        "power": Case(lambda y: ours.spectrogram(y, power=2, **f), lambda y: abs(stft(y, f)) ** 2),
        "cubed": Case(lambda y: ours.spectrogram(y, power=3, **f), lambda y: abs(stft(y, f)) ** 3),
        "mel": Case(
            lambda y: ours.melspectrogram(y, **o, **mels), lambda y: lf.melspectrogram(y=y, **o, **mels)
        ),
        "mel-htk": Case(
            lambda y: ours.melspectrogram(y, **o, **mels, htk=True, norm=None, power=1, fmin=50, fmax=7000),
            lambda y: lf.melspectrogram(y=y, **o, **mels, htk=True, norm=None, power=1, fmin=50, fmax=7000),
        ),
        "mfcc": Case(
            lambda y: ours.mfcc(y, n_mfcc=8, **o, **mels), lambda y: lf.mfcc(y=y, n_mfcc=8, **o, **mels), 1e-4
        ),
        "centroid": Case(lambda y: ours.spectral_centroid(y, **o), lambda y: lf.spectral_centroid(y=y, **o)),
        "bandwidth": Case(
            lambda y: ours.spectral_bandwidth(y, **o), lambda y: lf.spectral_bandwidth(y=y, **o)
        ),
        "bandwidth-3": Case(
            lambda y: ours.spectral_bandwidth(y, p=3, norm=False, **o),
            lambda y: lf.spectral_bandwidth(y=y, p=3, norm=False, **o),
        ),
        "flatness": Case(lambda y: ours.spectral_flatness(y, **f), lambda y: lf.spectral_flatness(y=y, **f)),
        "flatness-1": Case(
            lambda y: ours.spectral_flatness(y, power=1.5, amin=1e-5, **f),
            lambda y: lf.spectral_flatness(y=y, power=1.5, amin=1e-5, **f),
        ),
        "rolloff": Case(
            lambda y: ours.spectral_rolloff(y, roll_percent=0.6, **o),
            lambda y: lf.spectral_rolloff(y=y, roll_percent=0.6, **o),
            others=0.02,
        ),
    }
    if n_fft > 500:
        bands = {"n_bands": 4, "fmin": 250}
        times = {key: value for key, value in f.items() if key in ("hop_length", "center", "pad_mode")}
        cases |= {
            "contrast": Case(
                lambda y: ours.spectral_contrast(y, **bands, **o),
                lambda y: lf.spectral_contrast(y=y, **bands, **o),
                least=1.0,
            ),
            "contrast-linear": Case(
                lambda y: ours.spectral_contrast(y, linear=True, quantile=0.2, **bands, **o),
                lambda y: lf.spectral_contrast(y=y, linear=True, quantile=0.2, **bands, **o),
                least=1e-6,
            ),
            "chroma": Case(
                lambda y: ours.chroma_stft(y, tuning=0.1, norm=2, octwidth=None, n_chroma=24, **o),
                lambda y: lf.chroma_stft(y=y, tuning=0.1, norm=2, octwidth=None, n_chroma=24, **o),
            ),
            "rms": Case(
                lambda y: ours.rms(y, frame_length=n_fft, **times),
                lambda y: lf.rms(y=y, frame_length=n_fft, **times, dtype=np.float64),
            ),
            "rms-of-S": Case(
                lambda y: ours.rms(S=abs(stft(y, f)).T, frame_length=n_fft),
                lambda y: lf.rms(S=abs(stft(y, f)), frame_length=n_fft),
            ),
            "crossings": Case(
                lambda y: ours.zero_crossing_rate(y, frame_length=n_fft, hop_length=200),
                lambda y: lf.zero_crossing_rate(y, frame_length=n_fft, hop_length=200),
            ),
            "yin": Case(
                lambda y: ours.yin(y, fmin=80, fmax=400, frame_length=n_fft, **times),
                lambda y: librosa.yin(y, fmin=80, fmax=400, sr=SR, frame_length=n_fft, **times),
                others=0.06,
            ),
            "decibels": Case(
                lambda y: ours.power_to_db(abs(stft(y, f)).T ** 2, ref=np.max, top_db=60),
                lambda y: db(abs(stft(y, f)) ** 2, ref=np.max, top_db=60),
            ),
        }
    return cases


def stft(y: np.ndarray, framing: dict[str, Any]) -> np.ndarray:
    return librosa.stft(y, **{"hop_length": 512, **framing})


def whole_recordings() -> dict[str, Case]:
    lf = librosa.feature

    def mels(y: np.ndarray) -> np.ndarray:
        power = lf.melspectrogram(y=y.astype(np.float32), sr=SR)
        return librosa.power_to_db(power).astype(np.float64)  # the same numbers for both

    def magnitude(y: np.ndarray) -> np.ndarray:
        return abs(librosa.stft(y.astype(np.float32)))

    def chroma(y: np.ndarray) -> np.ndarray:
        return lf.chroma_stft(y=y.astype(np.float32), sr=SR)

    def energies(y: np.ndarray) -> np.ndarray:
        return lf.melspectrogram(y=y.astype(np.float32), sr=SR) * np.float32(2**31)

    def onsets(y: np.ndarray) -> np.ndarray:
        return librosa.onset.onset_strength(S=mels(y), sr=SR)

    cases = {
        "contrast-as-it-comes": Case(
            ours.spectral_contrast, lambda y: lf.spectral_contrast(y=y, sr=SR), least=1.0
        ),
        "chroma-tuned": Case(ours.chroma_stft, lambda y: lf.chroma_stft(y=y, sr=SR), single=True),
        "tuning": Case(
            lambda y: ours.estimate_tuning(magnitude(y).T),
            lambda y: librosa.estimate_tuning(S=magnitude(y), sr=SR),
        ),
        "tonnetz": Case(lambda y: ours.tonnetz(chroma=chroma(y).T), lambda y: lf.tonnetz(chroma=chroma(y))),
        "amplitude": Case(
            lambda y: ours.amplitude_to_db(magnitude(y).T), lambda y: librosa.amplitude_to_db(magnitude(y))
        ),
        "pcen": Case(lambda y: ours.pcen(energies(y).T), lambda y: librosa.pcen(energies(y), sr=SR)),
        "pcen-log": Case(
            lambda y: ours.pcen(energies(y).T, power=0, gain=0.8, b=0.1),
            lambda y: librosa.pcen(energies(y), sr=SR, power=0, gain=0.8, b=0.1),
        ),
        "pcen-root": Case(
            lambda y: ours.pcen(energies(y).T, bias=0), lambda y: librosa.pcen(energies(y), sr=SR, bias=0)
        ),
        "onsets": Case(lambda y: ours.onset_strength(S=mels(y).T), onsets, least=0.1),
        "onsets-lag": Case(
            lambda y: ours.onset_strength(S=mels(y).T, lag=3, center=False),
            lambda y: librosa.onset.onset_strength(S=mels(y), sr=SR, lag=3, center=False),
            least=0.1,
        ),
        "onsets-audio": Case(
            ours.onset_strength, lambda y: librosa.onset.onset_strength(y=y, sr=SR), 1e-4, least=0.1
        ),
        "tempogram": Case(
            lambda y: ours.tempogram(onsets(y), win_length=100),
            lambda y: lf.tempogram(onset_envelope=onsets(y), sr=SR, win_length=100),
        ),
        "tempo": Case(ours.tempo, lambda y: lf.tempo(y=y, sr=SR)[0]),
        "rolloff-of-S": Case(
            lambda y: ours.spectral_rolloff(S=magnitude(y).T),
            lambda y: lf.spectral_rolloff(S=magnitude(y), sr=SR),
            0.0,
        ),
    }
    for kind in (1, 2, 3):
        for norm in ("ortho", None):
            for lifter in (0, 22):
                options: dict[str, Any] = {"n_mfcc": 40, "dct_type": kind, "norm": norm, "lifter": lifter}
                cases[f"mfcc-{kind}-{norm}-{lifter}"] = Case(
                    lambda y, options=options: ours.mfcc(S=mels(y).T, **options),
                    lambda y, options=options: lf.mfcc(S=mels(y), **options),
                )
    for order, width, mode in (
        (1, 9, "interp"),
        (2, 9, "interp"),
        (1, 3, "nearest"),
        (2, 7, "mirror"),
        (1, 5, "wrap"),
    ):
        how: dict[str, Any] = {"order": order, "width": width, "mode": mode}
        cases[f"delta-{order}-{width}-{mode}"] = Case(
            lambda y, how=how: ours.delta(mels(y).T, **how),
            lambda y, how=how: lf.delta(mels(y), **how),
            least=0.1,
        )
    return cases


CASES = {
    f"{framing}-{name}": case for framing in FRAMINGS for name, case in framed(framing).items()
} | whole_recordings()


@pytest.fixture(scope="module")
def recordings() -> dict[str, np.ndarray]:
    found = {}
    for corpus in CORPORA:
        folder = corpus_folder(corpus)
        files = sorted((folder / "audio").rglob("*.*")) if folder else []
        if not files:
            continue
        found[corpus] = load_audio(files[len(files) // 3])[:32000]
    rng = np.random.default_rng(3)
    chirp = np.sin(2 * np.pi * np.cumsum(100 + 80 * np.linspace(0, 1, 24000)) / SR)
    found["synthetic"] = (
        0.4 * np.sign(chirp) * np.abs(chirp) ** 0.5 + 0.02 * rng.standard_normal(24000)
    ).astype(np.float32)
    return found


def error(a: np.ndarray, b: np.ndarray, least: float) -> np.ndarray:
    """Of each frame: relative, or relative to the frame's largest number."""
    difference, size = np.abs(a.astype(b.dtype) - b), np.abs(b)
    if b.ndim == 2:
        difference, size = difference.max(axis=1), size.max(axis=1)
    return difference / np.maximum(size, least)


@pytest.mark.parametrize("name", CASES)
def test_librosa_has_the_same_numbers(
    features_backend: str, recordings: dict[str, np.ndarray], name: str
) -> None:
    case = CASES[name]
    for corpus, y in recordings.items():
        theirs = row(case.librosa(y if case.single else y.astype(np.float64)))
        mine = np.asarray(case.ours(y))
        assert mine.shape == theirs.shape, corpus
        assert mine.dtype in (np.float32, np.complex64, np.float64)
        errors = error(mine, theirs, case.least)
        assert (errors > case.limit).mean() <= case.others, f"{corpus}: {errors.max():.2e} > {case.limit:.0e}"


def test_recordings_of_five_corpora_were_compared(recordings: dict[str, np.ndarray]) -> None:
    missing = [corpus for corpus in CORPORA if corpus not in recordings]
    if missing:
        pytest.skip(f"{', '.join(missing)}: not among the recordings here (EDGE_SER_DATA)")
    assert len(recordings) == len(CORPORA) + 1
