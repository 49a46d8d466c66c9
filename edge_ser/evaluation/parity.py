"""Does another form of a model give the model's answers? Sounds to ask with, and the comparison.

An answer is a row of numbers: arousal, dominance, valence, then the logits. Everything here is NumPy, but for
the functions that take a torch module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edge_ser.audio import SAMPLE_RATE, load_audio
from edge_ser.dsp import MelSpec, log_mel
from edge_ser.errors import EdgeSerError

if TYPE_CHECKING:
    from edge_ser.manifest import Manifest
    from edge_ser.models.base import Network
    from edge_ser.models.stream72k import Stream72k
    from firmware_py.engines import Engine
    from firmware_py.engines.window import WindowEngine

__all__ = [
    "LIMITS",
    "Difference",
    "Limit",
    "compare",
    "compare_all",
    "device_answers",
    "engine_answers",
    "errors",
    "features_of",
    "hard_sounds",
    "inputs_of",
    "largest_error",
    "one_pass_answers",
    "recordings",
    "step_answers",
    "torch_answers",
    "window_answers",
    "window_engine_answers",
]

_SAMPLES = Path(__file__).parent.parent / "samples"

#: An emotion counts as torch's own where torch gives its best one at most this much more: near a tie the name of
#: the best says nothing.
_TIE = 0.05


class Limit(NamedTuple):
    """How far the answers of a file may be from torch's.

    Attributes
    ----------
    largest : float
        Of the absolute errors of a sound's answers.
    mean : float or None
        Of the mean absolute error of a sound's answers.
    agreement : float or None
        The least share of all steps at which the same emotion is named.
    rounded : bool
        The file computes with rounded numbers: A/D/V and probabilities are compared, which are what people get,
        rather than logits.
    """

    largest: float
    mean: float | None = None
    agreement: float | None = None
    rounded: bool = False


class Difference(NamedTuple):
    """Answers against a reference; see `Limit`."""

    largest: float
    mean: float
    agreement: float

    def within(self, limit: Limit) -> bool:
        """No part of the limit is passed."""
        return (
            self.largest <= limit.largest
            and (limit.mean is None or self.mean <= limit.mean)
            and (limit.agreement is None or self.agreement >= limit.agreement)
        )


#: What a file of each precision must keep. Rounding is felt most where a sound begins or ends, for a step or two; the
#: int8 files of seven models had at most .07, .009 and .998.
LIMITS = {
    "fp32": Limit(1e-4),
    "fp16": Limit(1e-3, rounded=True),
    "int8": Limit(0.2, mean=0.015, agreement=0.97, rounded=True),
}
LIMITS |= {"int8-weights": LIMITS["int8"], "int8-dynamic": LIMITS["int8"]}
#: Every value between layers is a byte, states and answers too. A quarter above the mean error (.02) at which the files
#: of five folds lost no UAR over 1439 clips of new speakers (results/int8-folds.json: -.003, 95 % -.010 to .003).
LIMITS["int8-full"] = Limit(0.25, mean=0.025, agreement=0.95, rounded=True)


def hard_sounds(seconds: float = 12.0, sample_rate: int = 16000) -> dict[str, np.ndarray]:
    """Sounds that bring out a difference: nothing, everything, one sample, noise, and a voice-like mixture.

    Parameters
    ----------
    seconds : float
        Length of each; 12 s are 48 steps of 250 ms, more than the pool's window.
    sample_rate : int
        Hz.

    Returns
    -------
    dict of str to (n,) float32
        In -1..1, always the same.
    """
    n = round(seconds * sample_rate)
    t = np.arange(n) / sample_rate
    rng = np.random.default_rng(20261121)
    click = np.zeros(n)
    click[n // 3] = 1.0
    # Harmonics whose pitch glides and whose level rises and falls four times a second, as syllables do.
    phase = 2 * np.pi * np.cumsum(140 + 60 * np.sin(2 * np.pi * 0.7 * t)) / sample_rate
    voice = sum(np.sin(k * phase) / k for k in range(1, 20)) * np.sin(2 * np.pi * 2 * t) ** 2 * 0.3
    sounds = {
        "silence": np.zeros(n),
        "full scale": np.where(np.sin(2 * np.pi * 220 * t) >= 0, 1.0, -1.0),
        "direct current": np.full(n, 0.8),
        "noise": rng.uniform(-0.5, 0.5, n),
        "click": click,
        "steps in level": voice * 10.0 ** -np.floor(4 * t / seconds),
        "voice-like": voice,
    }
    return {name: wave.astype(np.float32) for name, wave in sounds.items()}


def recordings(names: Sequence[str] = (), seconds: float = 60.0) -> dict[str, np.ndarray]:
    """Sound files to ask with, or the package's sample where none is named.

    Parameters
    ----------
    names : sequence of str
        Paths of sound files.
    seconds : float
        Use at most this much of each.

    Returns
    -------
    dict of str to (n,) float32
        By file name; files of one name in two folders are told apart by their paths.
    """
    files = [Path(name) for name in names] or sorted(_SAMPLES.glob("demo.*"))
    alone = [file.name for file in files]
    keys = [file.name if alone.count(file.name) == 1 else str(file) for file in files]
    samples = max(1, round(seconds * SAMPLE_RATE))
    return {key: load_audio(file)[:samples] for key, file in zip(keys, files, strict=True)}


def features_of(sounds: Mapping[str, np.ndarray], spec: MelSpec, step_frames: int) -> dict[str, np.ndarray]:
    """Log-mel of each sound in whole steps: (steps, step_frames, n_mels) float32.

    Raises
    ------
    EdgeSerError
        A sound is shorter than one step.
    """
    result = {}
    for name, wave in sounds.items():
        features = log_mel(np.asarray(wave, np.float32), spec)
        whole = len(features) // step_frames * step_frames
        if not whole:
            seconds = step_frames / spec.frame_rate
            raise EdgeSerError(f"{name} is shorter than one step of {seconds:g} s; choose a longer recording")
        result[name] = features[:whole].reshape(-1, step_frames, spec.n_mels)
    return result


def inputs_of(model: Manifest, sounds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the steps of a bundle's engines take of each sound: features as `features_of`, or (steps, samples) float32.

    Raises
    ------
    EdgeSerError
        A sound is shorter than one step.
    """
    if model.hears == "features":
        return features_of(sounds, model.spec, model.step_frames)
    size = model.step_frames * model.spec.hop_length
    result = {}
    for name, wave in sounds.items():
        whole = len(wave) // size * size
        if not whole:
            raise EdgeSerError(
                f"{name} is shorter than one step of {size / model.spec.sample_rate:g} s; choose a longer recording"
            )
        result[name] = np.asarray(wave[:whole], np.float32).reshape(-1, size)
    return result


def device_answers(engine: Engine, inputs: np.ndarray, every: int = 1) -> np.ndarray:
    """`engine_answers` of an engine that streams, `window_engine_answers` of one that does not."""
    from firmware_py.engines.window import WindowEngine

    if isinstance(engine, WindowEngine):
        return window_engine_answers(engine, inputs, every)
    return engine_answers(engine, inputs)


def torch_answers(model: Network, about: Manifest, inputs: np.ndarray, every: int = 1) -> np.ndarray:
    """What `device_answers` has to be: a torch module's one pass, or its answers to windows."""
    from edge_ser.models.stream72k import Stream72k

    if isinstance(model, Stream72k):
        return one_pass_answers(model, inputs)
    return window_answers(model, about, inputs, every)


def window_engine_answers(engine: WindowEngine, inputs: np.ndarray, every: int = 1) -> np.ndarray:
    """A window engine's answers after every `every`-th step and the last; shapes as `engine_answers`.

    Parameters
    ----------
    engine : WindowEngine
        What hears a window as a whole costs as much at each step as for a whole clip, so not all are asked.
    inputs : (steps, ...) float32
        Of `inputs_of`.
    every : int
    """
    state = engine.initial_state()
    rows = []
    for number, step in enumerate(inputs, 1):
        state = engine.hear(np.ascontiguousarray(step), state)
        if number % every == 0 or number == len(inputs):
            outputs = engine.answer(state)
            rows.append(np.concatenate([outputs.adv, outputs.logits]))
    return np.array(rows)


def window_answers(model: Network, about: Manifest, inputs: np.ndarray, every: int = 1) -> np.ndarray:
    """A torch module's answers to the windows that `window_engine_answers` asks with; shapes as there.

    Parameters
    ----------
    model : Network
        In inference mode. It hears each window as it hears a recording in training: `heard`, `clip`.
    about : Manifest
        Says what a window is.
    inputs, every
        As there.
    """
    import torch

    from firmware_py.engines.window import filled

    assert about.window is not None
    spec, samples = about.spec, about.window.samples
    length = spec.frames(samples) if about.hears == "features" else samples
    whole = all(file.form == "clip" for file in about.files if file.engine is not None)
    rows = []
    with torch.inference_mode():
        for number in range(1, len(inputs) + 1):
            if number % every and number != len(inputs):
                continue
            heard = inputs[:number].reshape(-1, *inputs.shape[2:])[-length:]
            if not whole:
                heard = filled(heard, length)
            if about.hears == "samples":
                heard = model.heard(heard, spec)
            features = torch.from_numpy(np.ascontiguousarray(heard))[None]
            adv, logits = model.clip(features, torch.tensor([features.shape[1]]))
            rows.append(torch.cat([adv, logits], 1)[0].numpy())
    return np.array(rows)


def engine_answers(engine: Engine, features: np.ndarray) -> np.ndarray:
    """A device engine's answers, step after step from its initial state.

    Parameters
    ----------
    engine : Engine
        Opened on a bundle.
    features : (steps, step_frames, n_mels) float32

    Returns
    -------
    (steps, 3 + labels) float32
    """
    state = engine.initial_state()
    rows = []
    for step in features:
        outputs, state = engine.step(np.ascontiguousarray(step), state)
        rows.append(np.concatenate([outputs.adv, outputs.logits]))
    return np.array(rows)


def step_answers(model: Stream72k, features: np.ndarray) -> np.ndarray:
    """A torch module's answers, step after step; shapes as `engine_answers`."""
    import torch

    state: Sequence[torch.Tensor] = model.initial_state(1)
    rows = []
    with torch.inference_mode():
        for step in features:
            adv, logits, *state = model.step(torch.from_numpy(np.ascontiguousarray(step))[None], *state)
            rows.append(torch.cat([adv, logits], 1)[0].numpy())
    return np.array(rows)


def one_pass_answers(model: Stream72k, features: np.ndarray) -> np.ndarray:
    """A torch module's answers from the whole recording at once; shapes as `engine_answers`."""
    import torch

    with torch.inference_mode():
        whole = torch.from_numpy(features.reshape(1, -1, features.shape[-1]))
        adv, logits = model(whole)
        return torch.cat([adv, logits], 2)[0].numpy()


def compare(answers: np.ndarray, reference: np.ndarray, *, rounded: bool = False) -> Difference:
    """How far one set of answers is from another.

    Parameters
    ----------
    answers, reference : (steps, 3 + labels)
        As `engine_answers` gives them.
    rounded : bool
        Compare A/D/V and probabilities instead of A/D/V and logits.

    Returns
    -------
    Difference
        Infinite, with no agreement, where one holds no number or their shapes differ.
    """
    if answers.shape != reference.shape or not (np.isfinite(answers).all() and np.isfinite(reference).all()):
        return Difference(np.inf, np.inf, 0.0)
    if not len(answers):
        return Difference(0.0, 0.0, 1.0)
    mine, theirs = _shares(answers), _shares(reference)
    named = np.take_along_axis(theirs, mine.argmax(1)[:, None], 1)[:, 0]
    agreement = float(np.mean(theirs.max(1) - named <= _TIE))
    error = errors(answers, reference, rounded=rounded)
    return Difference(float(error.max()), float(error.mean()), agreement)


def errors(answers: np.ndarray, reference: np.ndarray, *, rounded: bool = False) -> np.ndarray:
    """Absolute errors (steps, 3 + labels) of what `compare` compares."""
    if rounded:
        answers = np.concatenate([answers[:, :3], _shares(answers)], 1)
        reference = np.concatenate([reference[:, :3], _shares(reference)], 1)
    return np.abs(answers.astype(np.float64) - reference)


def compare_all(
    answers: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray], *, rounded: bool = False
) -> tuple[Difference, str]:
    """`compare` over sounds: the largest error and the largest mean of any sound, agreement over all steps.

    Agreement is not one sound's: steady noise is one answer many times, and may lie near a tie.

    Returns
    -------
    Difference
    worst : str
        The sound with the largest error.
    """
    found = {name: compare(answers[name], wanted, rounded=rounded) for name, wanted in reference.items()}
    worst = max(found, key=lambda name: found[name].largest)
    weights = [len(wanted) for wanted in reference.values()]
    agreement = np.average([one.agreement for one in found.values()], weights=weights)
    mean = max(one.mean for one in found.values())
    return Difference(found[worst].largest, mean, float(agreement)), worst


def _shares(answers: np.ndarray) -> np.ndarray:
    """Probabilities of the labels."""
    logits = answers[:, 3:].astype(np.float64)
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def largest_error(answers: np.ndarray, reference: np.ndarray) -> float:
    """Largest absolute difference of two sets of answers; infinite where one holds no number or their shapes differ."""
    if answers.shape != reference.shape:
        return float("inf")
    with np.errstate(invalid="ignore"):  # infinity minus infinity is no number, and so no agreement
        difference = float(np.max(np.abs(answers.astype(np.float64) - reference), initial=0.0))
    return difference if np.isfinite(difference) else float("inf")
