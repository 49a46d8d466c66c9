"""The detector that tells speech from other sounds: fitted on log-mel that the device has anyway, and measured."""

from __future__ import annotations

import dataclasses
import functools
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.audio import SAMPLE_RATE, load_audio
from edge_ser.corpora import Clip, load_sounds
from edge_ser.dsp import MelSpec, log_mel
from edge_ser.errors import EdgeSerError, require
from edge_ser.manifest import SpeechDetector
from edge_ser.perturb import add_noise, coloured_noise, gain_db
from firmware_py.gate import LevelGate
from firmware_py.speech_statistics import SpeechWindow

__all__ = ["Sample", "fit_detector", "made_sounds", "sound_samples", "speech_samples", "step_statistics"]

Floats = NDArray[np.float32]
FOLDS = 5
_UNITS = 16
_REFUSED = 0.015  # of speech clips, at the threshold that is chosen


@dataclasses.dataclass(frozen=True)
class Sample:
    """A recording for the detector: what it is, whether somebody speaks, and the fold that it is held out in."""

    name: str
    load: Callable[[], Floats]
    speech: bool
    fold: int


def _fold_of(name: str) -> int:
    return zlib.crc32(name.encode()) % FOLDS


def speech_samples(clips: Iterable[Clip], per_speaker: int = 8) -> list[Sample]:
    """Some clips of every speaker; a speaker's are all in one fold."""
    of_speaker: dict[str, list[Clip]] = {}
    for clip in clips:
        of_speaker.setdefault(clip.speaker, []).append(clip)
    samples = []
    for speaker, theirs in sorted(of_speaker.items()):
        chosen = theirs[:: max(1, len(theirs) // per_speaker)][:per_speaker]
        samples += [
            Sample(
                f"{clip.corpus} {clip.path.name}",
                functools.partial(load_audio, clip.path),
                True,
                _fold_of(speaker),
            )
            for clip in chosen
        ]
    return samples


def sound_samples(names: Sequence[str] = ("esc10", "noise")) -> list[Sample]:
    """Collections of sounds that are no speech: by their own folds where they have some, else by file."""
    samples = []
    for name in names:
        for sound in load_sounds(name).sounds:
            fold = _fold_of(sound.path.name) if sound.fold is None else sound.fold % FOLDS
            label = f"{name} {sound.label or ''} {sound.path.name}"
            samples.append(Sample(label, functools.partial(load_audio, sound.path), False, fold))
    return samples


def made_sounds(count: int = 40, seed: int = 0) -> list[Sample]:
    """Sounds that no collection is needed for: noises of several colours and tunes of tones with overtones."""

    def noise(i: int) -> Floats:
        rng = np.random.default_rng((seed, i))
        return coloured_noise(4 * SAMPLE_RATE, rng, float(rng.uniform(-6, 3))) * np.float32(
            10 ** rng.uniform(-2, -1)
        )

    def tune(i: int) -> Floats:
        rng = np.random.default_rng((seed, i))
        pieces: list[NDArray[np.float64]] = []
        while sum(len(piece) for piece in pieces) < 4 * SAMPLE_RATE:
            t = np.arange(int(rng.uniform(0.15, 0.8) * SAMPLE_RATE)) / SAMPLE_RATE
            chord = rng.choice([1.0, 1.25, 1.5], size=int(rng.integers(1, 4)), replace=False)
            hz = 110 * 2 ** (rng.integers(0, 36) / 12) * chord
            tones = sum(
                np.sin(2 * np.pi * f * k * t) / k ** rng.uniform(1, 2) for f in hz for k in range(1, 8)
            )
            pieces.append(tones * np.exp(-t * rng.uniform(0, 6)) * np.minimum(1, t * 100))
        wave = np.concatenate(pieces).astype(np.float32)
        return wave * np.float32(rng.uniform(0.03, 0.4) / np.abs(wave).max())

    return [
        Sample(f"made {kind.__name__} {i}", functools.partial(kind, i), False, i % FOLDS)
        for kind in (noise, tune)
        for i in range(count // 2)
    ]


def step_statistics(wave: Floats, spec: MelSpec, step_frames: int) -> NDArray[np.float64]:
    """Statistics of every step that passes the level gate, as a device makes them: (steps, n), maybe none."""
    gate = LevelGate(spec.hop_length, spec.sample_rate)
    step = step_frames * spec.hop_length
    frames = log_mel(wave, spec)
    rows = []
    window = SpeechWindow(spec.frame_rate)
    for i in range(min(len(wave) // step, len(frames) // step_frames)):
        window.hear(frames[i * step_frames : (i + 1) * step_frames])
        if gate.push(wave[i * step : (i + 1) * step]).open:
            rows.append(window.statistics())
    return np.array(rows) if rows else np.zeros((0, 0))


def fit_detector(
    samples: Sequence[Sample], spec: MelSpec, step_frames: int, *, seed: int = 0
) -> tuple[SpeechDetector, dict[str, Any]]:
    """Fit on everything, and measure on folds of sounds and speakers that the fold's detector never heard.

    Each recording is heard as it is, softer or louder, and speech in a noise of the training folds at 5 to 20 dB. A
    clip is refused where no step of it is taken for speech; the threshold refuses 1.5 % of held-out speech, for a
    fold that of the other folds.

    Parameters
    ----------
    samples : sequence of Sample
        Speech and other sounds, in every fold.
    spec : MelSpec
    step_frames : int
        Of the bundle that is to carry it.
    seed : int

    Returns
    -------
    detector : SpeechDetector
    record : dict
        ``sounds``, ``rejected`` (share of sounds that are given no emotion), ``speech``, ``refused`` (share of
        speech clips), ``by_collection``, all held out. It is in the detector too.

    Raises
    ------
    EdgeSerError
        A fold lacks one of the two kinds.
    MissingExtraError
        scikit-learn is not installed.
    """
    require("sklearn", extra="train", purpose="fitting the detector of speech")
    for fold in range(FOLDS):
        kinds = {sample.speech for sample in samples if sample.fold == fold}
        if kinds != {True, False}:
            raise EdgeSerError(f"fold {fold} lacks speech or other sounds; give more of both")
    waves = [sample.load() for sample in samples]
    plain = [step_statistics(wave, spec, step_frames) for wave in waves]
    noises: list[list[int]] = [
        [i for i, s in enumerate(samples) if not s.speech and s.fold == f and np.any(waves[i])]
        for f in range(FOLDS)
    ]
    varied = []
    for i, sample in enumerate(samples):
        rng = np.random.default_rng((seed, i))
        wave = waves[i]
        if (
            sample.speech
        ):  # a noise of its own fold, so that no fold's noise is heard in training by another way
            wave = add_noise(
                wave, waves[int(rng.choice(noises[sample.fold]))], float(rng.uniform(5, 20)), rng
            )
        varied.append(
            step_statistics(np.clip(gain_db(wave, float(rng.uniform(-18, 12))), -1, 1), spec, step_frames)
        )
    folds = np.array([sample.fold for sample in samples])
    speech = np.array([sample.speech for sample in samples])
    best = np.full(len(samples), -np.inf)
    for fold in range(FOLDS):
        mask = folds != fold
        detector = _fitted([plain, varied], speech, mask, seed)
        for i in np.flatnonzero(~mask).tolist():
            best[i] = max((detector.score(row) for row in plain[i]), default=-np.inf)
    refused = np.zeros(len(samples), bool)
    for fold in range(FOLDS):
        limit = np.quantile(best[(folds != fold) & speech & np.isfinite(best)], _REFUSED)
        refused[folds == fold] = best[folds == fold] < limit
    names = np.array([sample.name.split()[0] for sample in samples])
    record = {
        "protocol": f"{FOLDS} folds, sounds and speakers apart; a clip passes where any step is taken for speech",
        "sounds": int(np.sum(~speech)),
        "rejected": float(refused[~speech].mean()),
        "speech": int(np.sum(speech)),
        "refused": float(refused[speech].mean()),
        "by_collection": {
            str(name): {"clips": int(np.sum(names == name)), "refused": float(refused[names == name].mean())}
            for name in sorted(set(names))
        },
        "passed_sounds": [samples[i].name for i in np.flatnonzero(~speech & ~refused).tolist()],
    }
    final = _fitted([plain, varied], speech, np.ones(len(samples), bool), seed)
    threshold = float(np.quantile(best[speech & np.isfinite(best)], _REFUSED))
    return dataclasses.replace(final, threshold=round(threshold, 5), record=record), record


def _fitted(
    versions: Sequence[Sequence[NDArray[np.float64]]],
    speech: NDArray[np.bool_],
    mask: NDArray[np.bool_],
    seed: int,
) -> SpeechDetector:
    """One hidden layer on the steps of some recordings, speech and other sounds counting as much."""
    from sklearn.neural_network import MLPClassifier

    chosen = [(v[i], speech[i]) for v in versions for i in np.flatnonzero(mask).tolist() if len(v[i])]
    x = np.concatenate([rows for rows, _ in chosen])
    y = np.concatenate([np.full(len(rows), kind) for rows, kind in chosen])
    mean, scale = x.mean(0), x.std(0) + 1e-6
    x = np.clip((x - mean) / scale, -6.0, 6.0)
    fewer = int(y.sum() < len(y) / 2)  # repeated until both are as many
    at = np.flatnonzero(y == fewer)
    more = np.resize(at, abs(len(y) - 2 * len(at)))
    rows = np.random.default_rng(seed).permutation(np.concatenate([np.arange(len(y)), more]))
    model = MLPClassifier((_UNITS,), alpha=1.0, max_iter=40, batch_size=256, random_state=seed, tol=0)
    import warnings

    with warnings.catch_warnings():  # 40 epochs are meant
        warnings.simplefilter("ignore", category=UserWarning)
        model.fit(x[rows], y[rows])
    (hidden, output), (hidden_bias, output_bias) = model.coefs_, model.intercepts_

    def short(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.round(values, 5)

    return SpeechDetector(
        short(mean), np.maximum(short(scale), 1e-5), short(hidden.T), short(hidden_bias), short(output[:, 0]),
        round(float(output_bias[0]), 5), 0.0, {},
    )  # fmt: skip
