"""Pipelines of scikit-learn under the same protocols: described in TOML, fitted anew for each split.

A pickled pipeline can run any code when it is read, and has heard nobody knows whom; a description does neither.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_ser.corpora import Clip, Corpus, LeftOut
from edge_ser.errors import EdgeSerError, require
from edge_ser.evaluation.answers import Answers, Exclusion
from edge_ser.evaluation.figures import learning_curve
from edge_ser.evaluation.metrics import uar
from edge_ser.evaluation.protocols import Plan, Split, plan
from edge_ser.evaluation.score import Scored, summarise
from edge_ser.files import parse_toml

__all__ = ["KINDS", "PipelineSpec", "evaluate_pipeline", "fitted", "read_pipeline", "shares_of", "vectors_of"]

#: What a step may be: scikit-learn's class, and whether it answers (and is last).
KINDS: Mapping[str, tuple[str, bool]] = {
    "standardise": ("sklearn.preprocessing.StandardScaler", False),
    "quantiles": ("sklearn.preprocessing.QuantileTransformer", False),
    "pca": ("sklearn.decomposition.PCA", False),
    "best": ("sklearn.feature_selection.SelectKBest", False),
    "svm": ("sklearn.svm.SVC", True),
    "linear_svm": ("sklearn.svm.LinearSVC", True),
    "logistic": ("sklearn.linear_model.LogisticRegression", True),
    "forest": ("sklearn.ensemble.RandomForestClassifier", True),
    "boosting": ("sklearn.ensemble.HistGradientBoostingClassifier", True),
    "neighbours": ("sklearn.neighbors.KNeighborsClassifier", True),
    "mlp": ("sklearn.neural_network.MLPClassifier", True),
    "bayes": ("sklearn.naive_bayes.GaussianNB", True),
    "trivial": ("sklearn.dummy.DummyClassifier", True),
}
_SEEDED = ("forest", "boosting", "mlp", "logistic", "linear_svm", "svm", "pca", "quantiles", "trivial")


@dataclasses.dataclass(frozen=True)
class PipelineSpec:
    """A pipeline by its description.

    Attributes
    ----------
    name : str
    features : str
        As `edge_ser.features.load_spec` takes it.
    steps : tuple of (str, mapping)
        Kinds of `KINDS` with scikit-learn's parameters; the last one answers, no other does.
    """

    name: str
    features: str
    steps: tuple[tuple[str, Mapping[str, Any]], ...]

    def build(self) -> Any:
        """A new scikit-learn pipeline on feature vectors."""
        require("sklearn", extra="features", purpose="pipelines of scikit-learn")
        from sklearn.pipeline import make_pipeline

        made = []
        for kind, parameters in self.steps:
            module, _, name = KINDS[kind][0].rpartition(".")
            seeded = {"random_state": 0} if kind in _SEEDED else {}
            try:
                made.append(getattr(importlib.import_module(module), name)(**{**seeded, **parameters}))
            except TypeError as error:
                raise EdgeSerError(f"the step {kind} of the pipeline {self.name}: {error}") from error
        return make_pipeline(*made)


def read_pipeline(path: str | Path) -> PipelineSpec:
    """Read a description.

    Raises
    ------
    EdgeSerError
        No such file, not TOML, an unknown kind of step, or none that answers at the end.
    """
    source = Path(path)
    if not source.exists():
        raise EdgeSerError(f"there is no pipeline {source}")
    try:
        document = parse_toml(source)
    except EdgeSerError as error:
        raise EdgeSerError(f"{error}; a pickled pipeline is not read, describe it") from error
    unknown = sorted(set(document) - {"name", "features", "steps"})
    steps = document.get("steps")
    if unknown or not isinstance(steps, list) or not steps or not all(isinstance(s, dict) for s in steps):
        raise EdgeSerError(
            f"{source} holds name, features and [[steps]] with a kind each; it has {sorted(document)}"
        )
    for step in steps:
        if not isinstance(step.get("kind"), str) or step["kind"] not in KINDS:
            raise EdgeSerError(
                f"{source}: there is no step {step.get('kind')!r}; there are {', '.join(KINDS)}"
            )
    answering = [KINDS[step["kind"]][1] for step in steps]
    if answering != [False] * (len(steps) - 1) + [True]:
        raise EdgeSerError(f"{source}: the last step, and no other, has to be one that answers")
    return PipelineSpec(
        str(document.get("name", source.stem)),
        str(document.get("features", "speech")),
        tuple((step["kind"], {k: v for k, v in step.items() if k != "kind"}) for step in steps),
    )


def evaluate_pipeline(
    spec: PipelineSpec, corpus: Corpus, protocol: str = "folds", *, curve: bool = False, jobs: int = 1
) -> tuple[dict[str, Any], Answers]:
    """Fit and score a pipeline on each split of a protocol.

    Parameters
    ----------
    spec : PipelineSpec
    corpus : Corpus
    protocol : str
        Of `edge_ser.evaluation.protocols.PROTOCOLS`.
    curve : bool
        Fit on fewer speakers too: ``learning_curve``.
    jobs : int
        Processes that compute features, which are kept on disk.

    Returns
    -------
    result : dict
        As `edge_ser.evaluation.evaluate.evaluate_checkpoints` gives it, with ``leaks`` and ``left_out``; ``params``
        is None.
    answers : Answers

    Raises
    ------
    EdgeSerError
        The protocol does not suit the corpus, a recording cannot be read by the features, or scikit-learn refuses.
    """
    made = plan(corpus, protocol)
    paths = sorted({clip.path for split in made.splits for clip in (*split.train, *split.test)})
    vectors, excluded = vectors_of(spec, paths, jobs)
    labels = tuple(x for x in corpus.labels if any(c.emotion == x for s in made.splits for c in s.test))
    scored: list[Scored] = []
    left = list(made.left_out)
    for number, split in enumerate(made.splits):
        left += _empty_side(split, vectors)
        scored += _fold(spec, split, vectors, labels, number)
    if not scored:
        reasons = [f"{one.what}: {one.reason}" for one in left] + [one.reason for one in excluded[:1]]
        raise EdgeSerError(f"no clip could be answered; {'; '.join(reasons)}")
    result = {
        "corpus": corpus.name,
        "protocol": f"{made.statement}; fitted on the other side of each split",
        "model": spec.name,
        "params": None,
        "leaks": made.leaks,
        "splits": [split.name for split in made.splits],
        "left_out": [dataclasses.asdict(one) for one in left],
        "excluded": [dataclasses.asdict(one) for one in excluded],
        **summarise(scored, labels),
    }
    if curve:
        result["learning_curve"] = _curve(spec, made, vectors)
    return result, Answers.of(result, scored, labels)


def vectors_of(
    spec: PipelineSpec, paths: Sequence[Path], jobs: int = 1
) -> tuple[dict[Path, np.ndarray], list[Exclusion]]:
    """A vector for each recording that can be read, kept on disk; the others, with the reason."""
    from functools import partial

    from edge_ser.features import Cache, extract, feature_vector, load_spec

    what = load_spec(spec.features)
    vectors, excluded = {}, []
    work = partial(feature_vector, spec=what)
    for path, one in zip(
        paths, extract(paths, work, {"vector": what.to_dict()}, cache=Cache(), jobs=jobs), strict=True
    ):
        if one.values is None:
            excluded.append(Exclusion(path.as_posix(), str(one.error)))
        elif not np.isfinite(one.values).all():
            excluded.append(Exclusion(path.as_posix(), "a feature of it is not a number"))
        else:
            vectors[path] = one.values
    return vectors, excluded


def _matrix(clips: Sequence[Clip], vectors: Mapping[Path, np.ndarray]) -> tuple[list[Clip], np.ndarray]:
    there = [clip for clip in clips if clip.path in vectors]
    return there, np.stack([vectors[clip.path] for clip in there]) if there else np.zeros((0, 0))


def fitted(spec: PipelineSpec, clips: Sequence[Clip], x: np.ndarray) -> Any:
    """A new scikit-learn pipeline that learnt the emotions of clips from their vectors (clips, features).

    Raises
    ------
    EdgeSerError
        scikit-learn refuses.
    """
    model = spec.build()
    try:
        return model.fit(x, [clip.emotion for clip in clips])
    except (ValueError, TypeError) as error:
        raise _refused(spec, error) from error


def _refused(spec: PipelineSpec, error: Exception) -> EdgeSerError:
    return EdgeSerError(f"scikit-learn refuses the pipeline {spec.name}: {error}")


def _shares(spec: PipelineSpec, model: Any, x: np.ndarray) -> np.ndarray:
    """`shares_of`; some parameters (more neighbours than clips) are looked at only here."""
    try:
        return shares_of(model, x)
    except (ValueError, TypeError) as error:
        raise _refused(spec, error) from error


def _empty_side(split: Split, vectors: Mapping[Path, np.ndarray]) -> list[LeftOut]:
    """What has no part in the figures where no clip to test, or none to train on, could be read."""
    test = sum(clip.path in vectors for clip in split.test)
    if split.test and not test:
        return [LeftOut(split.name, f"none of its {len(split.test)} clips could be read")]
    if test and not any(clip.path in vectors for clip in split.train):
        return [LeftOut(f"{test} clips of {split.name}", "none of the clips to train on could be read")]
    return []


def _fold(
    spec: PipelineSpec, split: Split, vectors: Mapping[Path, np.ndarray], labels: tuple[str, ...], number: int
) -> list[Scored]:
    train, x = _matrix(split.train, vectors)
    test, held = _matrix(split.test, vectors)
    if not train or not test:
        return []  # as `_empty_side` says
    model = fitted(spec, train, x)
    shares = np.zeros((len(test), len(labels)))
    given = _shares(spec, model, held)
    for column, name in enumerate(model.classes_):
        if name in labels:
            shares[:, labels.index(name)] = given[:, column]
    shares = np.maximum(shares, 1e-9)
    shares /= shares.sum(1, keepdims=True)
    return [
        Scored(
            dataclasses.replace(clip, arousal=None, dominance=None, valence=None),  # it rates nothing
            labels[int(np.argmax(row))], (0.5, 0.5, 0.5), number, 0, tuple(map(float, row)),
        )
        for clip, row in zip(test, shares, strict=True)
    ]  # fmt: skip


def shares_of(model: Any, x: np.ndarray) -> np.ndarray:
    """Probabilities, or the softmax of decisions where a classifier has none: ranks are its own, sizes are not."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(x))
    z = np.asarray(model.decision_function(x), np.float64)
    if z.ndim == 1:
        z = np.stack([-z, z], axis=1)
    powers = np.exp(z - z.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def _curve(spec: PipelineSpec, made: Plan, vectors: Mapping[Path, np.ndarray]) -> list[dict[str, Any]]:
    """UAR of each split by the number of speakers in training, doubled from 2 to all."""
    reached: dict[int, list[float]] = {}
    for number, split in enumerate(made.splits):
        speakers = sorted({clip.speaker for clip in split.train})
        order = np.random.default_rng(number).permutation(len(speakers))
        sizes = [2**k for k in range(1, 10) if 2**k < len(speakers)] + [len(speakers)]
        test, held = _matrix(split.test, vectors)
        for size in sizes:
            chosen = {speakers[i] for i in order[:size]}
            train, x = _matrix([clip for clip in split.train if clip.speaker in chosen], vectors)
            if test and len({clip.emotion for clip in train}) > 1:
                model = fitted(spec, train, x)
                # As in `_fold`: where a classifier's own `predict` goes another way, the curve would end elsewhere.
                said = model.classes_[np.argmax(_shares(spec, model, held), axis=1)]
                truth = [str(clip.emotion) for clip in test]
                reached.setdefault(size, []).append(uar(truth, said))
    return learning_curve(reached)
