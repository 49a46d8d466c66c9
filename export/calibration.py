"""What quantisation learns ranges from: step features of speech that the model was trained on, drawn with a seed."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from edge_ser.audio import load_audio
from edge_ser.corpora import Clip, load_corpus
from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.parity import features_of, hard_sounds, recordings

__all__ = [
    "CLIPS",
    "SAMPLE",
    "CalibrationSet",
    "Say",
    "calibrate_on_clips",
    "calibrate_on_sample",
    "choose_calibration",
]

Say = Callable[[str], None]

#: Clips drawn where none says otherwise: with twice as many the ranges of stream72k no longer grow by a tenth.
CLIPS = 64
#: What ``--calibrate`` calls the sounds that come with the package.
SAMPLE = "sample"


@dataclasses.dataclass(frozen=True)
class CalibrationSet:
    """Features to run a model on, and what they are.

    Attributes
    ----------
    features : tuple of (steps, step_frames, n_mels) float32
        One array a recording, each a stream of its own from the initial state; what a model's state holds between
        steps follows from them.
    record : mapping
        For bundle.json: ``source``, ``clips`` (of each corpus), ``steps`` (all that was run), ``seed``, ``sounds``
        (the SHA-256 of each recording's samples as 16 kHz float32, its first 16 digits: file names may say who
        speaks); of a corpus also ``speakers``, ``passed_over`` and the ``held_out_fold`` that no clip is of.
    waves : tuple of (n,) float32
        The recordings themselves, for models that hear a window as a whole.
    method : str
        How ranges follow from what is met; of `export.ranges.METHODS`.
    """

    features: tuple[np.ndarray, ...]
    record: Mapping[str, Any]
    waves: tuple[np.ndarray, ...] = ()
    method: str = "minmax"


def choose_calibration(
    training: Mapping[str, Any],
    spec: MelSpec,
    step_frames: int,
    *,
    which: str | None = None,
    count: int = CLIPS,
    seed: int = 0,
    say: Say = lambda text: None,
) -> CalibrationSet:
    """What to calibrate a checkpoint on.

    Parameters
    ----------
    training : mapping
        The checkpoint's record of its training.
    spec, step_frames
        The model's front end and step.
    which : str, optional
        A corpus as `load_corpus` takes it, or `SAMPLE`. Left out, it is the corpora of the training, as far as they
        are here, and the sample where none is.
    count, seed : int
        See `calibrate_on_clips`.
    say : callable
        Told of what is missing.

    Raises
    ------
    EdgeSerError
        The corpus that is asked for is not here, or has no clip that may be used.
    """
    if which == SAMPLE:
        return calibrate_on_sample(spec, step_frames)
    held_out = training.get("held_out_fold")
    data = (training.get("recipe") or {}).get("data") or {}
    clips: list[Clip] = []
    for name in [which] if which is not None else data.get("corpora") or ():
        try:
            corpus = load_corpus(name)
        except EdgeSerError as error:
            if which is not None:
                raise
            say(f"int8 is calibrated without a corpus of the training: {error}")
            continue
        clips += [c for c in corpus.clips if held_out is None or (c.fold is not None and c.fold != held_out)]
    if which is not None and not clips:
        raise EdgeSerError(
            f"{which} has no clip that is known to be outside the held-out fold {held_out}; fill in its folds, or "
            f"calibrate on another corpus or on `{SAMPLE}`"
        )
    if clips:
        return calibrate_on_clips(clips, spec, step_frames, held_out_fold=held_out, count=count, seed=seed)
    say("int8 is calibrated on the package's sample and generated sounds: no corpus of the training is here")
    return calibrate_on_sample(spec, step_frames)


def calibrate_on_clips(
    clips: Sequence[Clip],
    spec: MelSpec,
    step_frames: int,
    *,
    held_out_fold: int | None,
    count: int = CLIPS,
    seed: int = 0,
) -> CalibrationSet:
    """Draw clips at random and take their features.

    Parameters
    ----------
    clips : sequence of Clip
        The training speakers' alone; in any order.
    spec, step_frames
        The model's front end and step.
    held_out_fold : int or None
        The fold that `clips` must not be of; None where the model was trained on everything.
    count, seed : int
        How many to draw, and the seed. Clips that cannot be read or are shorter than a step are passed over, and
        the record counts them.

    Raises
    ------
    EdgeSerError
        A clip is of the held-out fold, or none can be used.
    """
    if held_out_fold is not None and any(clip.fold is None or clip.fold == held_out_fold for clip in clips):
        raise EdgeSerError(
            f"clips of the held-out fold {held_out_fold} are among those to calibrate on; give the training clips"
        )
    ordered = sorted(clips, key=lambda clip: (clip.corpus, clip.path.name, str(clip.path)))
    features: list[np.ndarray] = []
    waves: list[np.ndarray] = []
    taken: list[Clip] = []
    passed_over = 0
    for index in np.random.default_rng(seed).permutation(len(ordered)):
        if len(taken) == count:
            break
        clip = ordered[index]
        try:
            wave = load_audio(clip.path)
            features += features_of({clip.path.name: wave}, spec, step_frames).values()
        except EdgeSerError:
            passed_over += 1
            continue
        taken.append(clip)
        waves.append(wave)
    if not taken:
        raise EdgeSerError(f"none of {len(clips)} clips can be calibrated on; choose another corpus")
    generated = hard_sounds(sample_rate=spec.sample_rate)
    features += _generated(generated, spec, step_frames)
    return CalibrationSet(
        tuple(features),
        {
            "source": "training speech and generated sounds",
            "clips": dict(sorted(Counter(clip.corpus for clip in taken).items())),
            "passed_over": passed_over,
            "speakers": len({clip.speaker for clip in taken}),
            "held_out_fold": held_out_fold,
            "steps": sum(map(len, features)),
            "seed": seed,
            "sounds": [_digest(wave) for wave in waves],
        },
        (*waves, *generated.values()),
    )


def calibrate_on_sample(spec: MelSpec, step_frames: int) -> CalibrationSet:
    """The package's sample recording and generated sounds: for where no corpus is at hand; the record says so."""
    spoken, generated = recordings(), hard_sounds(sample_rate=spec.sample_rate)
    features = [
        *features_of(spoken, spec, step_frames).values(),
        *_generated(generated, spec, step_frames),
    ]
    record = {
        "source": "the package's sample and generated sounds, no training speech",
        "clips": dict.fromkeys(spoken, 1),
        "steps": sum(map(len, features)),
        "seed": None,
        "sounds": [_digest(wave) for wave in spoken.values()],
    }
    return CalibrationSet(tuple(features), record, (*spoken.values(), *generated.values()))


def _digest(wave: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(wave, "<f4").tobytes()).hexdigest()[:16]


def _generated(sounds: Mapping[str, np.ndarray], spec: MelSpec, step_frames: int) -> list[np.ndarray]:
    """Silence, full scale, a click and the like, which a device meets and speech corpora do not.

    Without them a click in digital silence is answered with probabilities .5 off; with them .03, and speech is
    answered as before within .001.
    """
    return list(features_of(sounds, spec, step_frames).values())
