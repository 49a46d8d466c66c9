"""The public face: a model by name, recordings in, answers out."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from edge_ser.bundle import DEFAULT_MODEL, Bundle, load_bundle
from edge_ser.errors import EdgeSerError
from firmware_py.engines import AUTO, Engine, open_engine
from firmware_py.pipeline import Pipeline
from firmware_py.prediction import Prediction

__all__ = ["Recognizer", "RecognizerStream"]


class Recognizer:
    """Says arousal, dominance, valence and emotion of speech.

    Parameters
    ----------
    bundle : Bundle
        The model.
    engine : Engine
        Opened from it.

    Attributes
    ----------
    bundle : Bundle
        The model with its labels, calibration, training data and licence.
    engine : Engine
        What runs it; ``engine.name`` tells what ``auto`` became.

    Examples
    --------
    >>> from edge_ser.audio import load_audio
    >>> recognizer = Recognizer.load()                       # doctest: +SKIP
    >>> answer = recognizer.predict(load_audio("clip.wav"))  # doctest: +SKIP
    >>> answer.label, answer.arousal                         # doctest: +SKIP
    ('angry', 0.81)
    """

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self.bundle, self.engine = bundle, engine

    @classmethod
    def load(
        cls,
        name: str | os.PathLike[str] = DEFAULT_MODEL,
        engine: str = AUTO,
        precision: str | None = None,
    ) -> Recognizer:
        """Load a model.

        Parameters
        ----------
        name : str or path
            A name from `edge_ser.bundle.bundle_names`, or a bundle's folder.
        engine : str
            ``numpy``, ``litert``, ``onnx``, or ``auto``: the first of LiteRT, ONNX Runtime and NumPy that is installed
            and that the model has a file for.
        precision : str, optional
            One that the model has, see `Bundle.variants`; left out, the one that it prefers, which is fp32 where it
            does not say.

        Raises
        ------
        EdgeSerError
            No such model, engine or precision, or the bundle is damaged.
        MissingExtraError
            The engine's package is not installed.
        """
        bundle = load_bundle(name)
        return cls(bundle, open_engine(bundle, engine, precision))

    @property
    def labels(self) -> tuple[str, ...]:
        """Emotions that it tells apart."""
        return self.bundle.labels

    @property
    def sample_rate(self) -> int:
        """Hz of the audio that it takes."""
        return self.bundle.spec.sample_rate

    def predict(self, wave: npt.ArrayLike) -> Prediction:
        """The answer at the end of a clip: what `stream` gives after its last whole step of 250 ms.

        Parameters
        ----------
        wave : (n,) floating point
            Mono audio in -1..1 at `sample_rate`; at least one step (0.25 s). The tail shorter than a step is not used,
            and of a long recording the answer tells of the model's window at its end.

        Returns
        -------
        Prediction

        Raises
        ------
        EdgeSerError
            Shorter than a step, not mono, not floating point, or with samples that are not finite.
        """
        return self.predictions(wave)[-1]

    def predictions(self, wave: npt.ArrayLike) -> list[Prediction]:
        """All answers to a clip, one a step; parameters and errors as in `predict`."""
        stream = self.stream()
        answers = stream.push(wave)
        if not answers:
            step = stream.step_samples
            raise EdgeSerError(
                f"a clip of {np.size(wave) / self.sample_rate:.4f} s is shorter than one step; "
                f"give at least {step / self.sample_rate:g} s"
            )
        return answers

    def stream(self, *, adapt: bool = False, turns: bool = False) -> RecognizerStream:
        """A new stream, from silence. Streams of one recognizer are independent; use them from one thread.

        Parameters
        ----------
        adapt : bool
            Get used to the one person who speaks, see `firmware_py.adaptation`.
        turns : bool
            Begin anew after each pause, as ``edge-ser listen`` does, see `firmware_py.turns`.

        Raises
        ------
        EdgeSerError
            `adapt`, and the bundle does not hold what that needs.
        """
        return RecognizerStream(Pipeline(self.bundle, self.engine, adapt=adapt, turns=turns))


class RecognizerStream:
    """Answers while audio comes in; the same ones however the audio is split. Made by `Recognizer.stream`."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    @property
    def step_samples(self) -> int:
        """Samples from one answer to the next (4000: 250 ms)."""
        return self._pipeline.step_samples

    def push(self, samples: npt.ArrayLike) -> list[Prediction]:
        """Take the next samples.

        Parameters
        ----------
        samples : (n,) floating point
            Mono audio in -1..1 at the model's sample rate; any `n`, also 0.

        Returns
        -------
        list of Prediction
            One for each step completed, often none. `Prediction.start` and `end` count samples of the stream.

        Raises
        ------
        EdgeSerError
            Not mono, not floating point, or not finite in 32 bits; the stream is unchanged.
        """
        samples = np.asarray(samples)
        if samples.ndim != 1:
            raise EdgeSerError(
                f"audio must be one channel, shape (samples,), not {samples.shape}: mix it down first"
            )
        if not np.issubdtype(samples.dtype, np.floating):
            raise EdgeSerError(
                f"audio must be floating point in -1..1, not {samples.dtype}: divide int16 by 32768"
            )
        with np.errstate(over="ignore"):
            samples = samples.astype(np.float32, copy=False)
        if not np.isfinite(samples).all():
            raise EdgeSerError(
                f"audio holds {int((~np.isfinite(samples)).sum())} samples that are NaN or infinite"
            )
        return self._pipeline.push(samples)
