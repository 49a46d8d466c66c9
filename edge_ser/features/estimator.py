"""Feature vectors as a step of scikit-learn: from sound files or waveforms to a matrix."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edge_ser.audio import SAMPLE_RATE
from edge_ser.errors import EdgeSerError, require
from edge_ser.features.cache import Cache
from edge_ser.features.extraction import extract
from edge_ser.features.spec import VectorSpec, load_spec
from edge_ser.features.vector import feature_vector, vector_names

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator, TransformerMixin
else:
    _base = require("sklearn.base", extra="features", purpose="FeatureTable")
    BaseEstimator, TransformerMixin = _base.BaseEstimator, _base.TransformerMixin

__all__ = ["FeatureTable"]


class FeatureTable(TransformerMixin, BaseEstimator):
    """Transformer from recordings to feature vectors.

    It learns nothing: `fit` checks its parameters and what it is given.

    Parameters
    ----------
    spec : str, path or VectorSpec
        What to compute, see `edge_ser.features.load_spec`.
    cache : bool, path or Cache
        Keep the vectors of files on disk: in the usual folder (True), in this one, or not (False). Vectors of
        waveforms are not kept.
    n_jobs : int
        Processes for files, see `edge_ser.features.extract`.

    Attributes
    ----------
    spec_ : VectorSpec
        What is computed.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn.svm import SVC
    >>> model = make_pipeline(FeatureTable("speech", cache=True), StandardScaler(), SVC())
    >>> model.fit([clip.path for clip in train], [clip.emotion for clip in train])   # doctest: +SKIP
    """

    def __init__(
        self,
        spec: str | Path | VectorSpec = "speech",
        *,
        cache: bool | str | Path | Cache = False,
        n_jobs: int = 1,
    ) -> None:
        self.spec = spec
        self.cache = cache
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> FeatureTable:
        """Check the parameters and the form of `X`.

        Parameters
        ----------
        X : sequence
            As `transform` takes it.
        y : ignored

        Returns
        -------
        FeatureTable
            Itself.

        Raises
        ------
        EdgeSerError
            A parameter is not what it should be, or there are no recordings.
        TypeError
            `X` is no sequence of files or waveforms.
        """
        self.spec_ = load_spec(self.spec)
        _recordings(X)
        return self

    def transform(self, X: Any) -> npt.NDArray[np.float32]:
        """Feature vectors.

        Parameters
        ----------
        X : sequence of path, or of (n,) floating point, or (clips, n) floating point
            Sound files, or waveforms in -1..1 at ``spec.frames.sample_rate``.

        Returns
        -------
        (len(X), features) float32

        Raises
        ------
        EdgeSerError
            A recording that cannot be done; it says which.
        """
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        recordings = _recordings(X)
        spec: VectorSpec = self.spec_
        if isinstance(recordings[0], Path):
            rows = self._of_files(recordings, spec)
        else:
            rows = []
            for i, wave in enumerate(recordings):
                try:
                    rows.append(feature_vector(wave, spec))
                except EdgeSerError as error:
                    raise EdgeSerError(f"recording {i}: {error}") from error
        return np.stack(rows)

    def _of_files(self, paths: list[Path], spec: VectorSpec) -> list[npt.NDArray[Any]]:
        if spec.frames.sample_rate != SAMPLE_RATE:
            raise EdgeSerError(
                f"files are read at {SAMPLE_RATE} Hz, the features want {spec.frames.sample_rate} Hz"
            )
        cache = self.cache
        if not isinstance(cache, Cache | bool):
            cache = Cache(cache)
        store = cache if isinstance(cache, Cache) else Cache() if cache else None
        results = list(
            extract(
                paths,
                partial(feature_vector, spec=spec),
                {"vector": spec.to_dict()},
                cache=store,
                jobs=self.n_jobs,
            )
        )
        failed = [result.error for result in results if result.error is not None]
        if failed:
            more = f" (and {len(failed) - 1} more of {len(paths)} files)" if len(failed) > 1 else ""
            raise EdgeSerError(f"{failed[0]}{more}")
        return [result.values for result in results if result.values is not None]

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """Names of the columns; `input_features` is there for scikit-learn's sake."""
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        return np.asarray(vector_names(self.spec_), dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True  # paths
        tags.no_validation = True  # recordings of any length: n_features_in_ has no meaning
        tags.transformer_tags.preserves_dtype = []
        return tags


def _recordings(X: Any) -> list[Any]:
    """All paths or all waveforms."""
    if isinstance(X, str | os.PathLike):
        raise EdgeSerError(f"{os.fspath(X)!r} is one file; give a list of files, or of waveforms")
    if hasattr(X, "toarray"):
        raise TypeError("sparse input is no recording; give a list of sound files or of waveforms")
    if hasattr(X, "to_numpy"):  # a column or a table of pandas
        X = X.to_numpy()
    if not isinstance(X, Sequence | np.ndarray) or (isinstance(X, np.ndarray) and X.ndim == 0):
        raise TypeError(f"a list of sound files or of waveforms is needed, not {type(X).__name__}")
    if not len(X):
        raise EdgeSerError("there are 0 recordings; at least one is needed")
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "OU":  # a table, of one column of paths
        if X.shape[1] == 1:
            X = X[:, 0]
        elif any(isinstance(item, str | os.PathLike) for item in X.flat):
            raise EdgeSerError(
                f"a table of {X.shape[1]} columns is no list of sound files; give the column that names them"
            )
    paths = [isinstance(item, str | os.PathLike) for item in X]
    if all(paths):
        return [Path(item) for item in X]
    if any(paths):
        raise EdgeSerError("either sound files or waveforms, not both at once")
    return [np.asarray(item) for item in X]
