"""A model of feature vectors on a host: a whole recording in, one answer out."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edge_ser.bundle import Bundle
from edge_ser.errors import EdgeSerError
from edge_ser.features import VectorSpec, feature_vector
from firmware_py.engines import AUTO, Engine, open_engine
from firmware_py.prediction import Prediction, probabilities

__all__ = ["VectorRecognizer"]

_SILENT_DB = -120.0


class VectorRecognizer:
    """Says the emotion of a recording from its feature vector.

    Parameters
    ----------
    bundle : Bundle
        Of the form ``vector``.
    engine : Engine
        Opened from it.
    """

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        if bundle.vector is None:
            raise EdgeSerError(f"{bundle.name} hears no feature vectors; use Recognizer")
        self.bundle, self.engine = bundle, engine
        self._spec = VectorSpec.from_dict(bundle.vector.description)

    @classmethod
    def open(cls, bundle: Bundle, engine: str = AUTO, precision: str | None = None) -> VectorRecognizer:
        """Open an engine on a bundle; see `firmware_py.engines.open_engine`."""
        return cls(bundle, open_engine(bundle, engine, precision))

    @property
    def sample_rate(self) -> int:
        """Hz of the audio that it takes."""
        return self._spec.frames.sample_rate

    def predict(self, wave: npt.ArrayLike) -> Prediction:
        """The answer to a whole recording.

        Parameters
        ----------
        wave : (n,) floating point
            Mono audio in -1..1 at `sample_rate`; at least one frame of the features.

        Returns
        -------
        Prediction
            Arousal, dominance and valence are NaN: such a model says nothing of them.

        Raises
        ------
        EdgeSerError
            Audio that the features refuse.
        """
        x = np.asarray(wave)
        outputs, _ = self.engine.step(feature_vector(x, self._spec), ())
        shares = probabilities(outputs.logits, self.bundle.calibration.temperature)
        power = float(np.mean(np.square(x, dtype=np.float64)))
        return Prediction(
            start=0,
            end=len(x),
            sample_rate=self.sample_rate,
            arousal=math.nan,
            dominance=math.nan,
            valence=math.nan,
            emotion=dict(zip(self.bundle.labels, map(float, shares), strict=True)),
            state="unsure" if shares.max() < self.bundle.calibration.unsure_below else "speech",
            level_db=max(_SILENT_DB, 10 * np.log10(power)) if power > 0 else _SILENT_DB,
        )
