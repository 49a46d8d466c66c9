"""How far probabilities can be believed: their error, the temperature that mends it, and when to be unsure.

Where a function takes `weights`, they say how much each clip counts, (n,); without them clips count alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.answers import Answers

__all__ = [
    "abstention",
    "accuracy_at",
    "by_others",
    "calibration",
    "cross_fitted",
    "expected_calibration_error",
    "fit_temperature",
    "logarithms",
    "reliability",
    "risk_coverage",
    "unsure_threshold",
    "with_temperature",
    "without_temperature",
]

Floats = NDArray[np.float64]


def logarithms(scores: Floats) -> Floats:
    """Logarithms of probabilities; of what is as good as nothing, that of 1e-12."""
    return np.asarray(np.log(np.maximum(scores, 1e-12)))


def with_temperature(scores: Floats, temperature: float) -> Floats:
    """Probabilities (n, labels) sharpened (below 1) or softened (above 1) by a temperature."""
    logs = logarithms(scores) / temperature
    powers = np.exp(logs - logs.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def without_temperature(answers: Answers) -> Floats:
    """Probabilities (n, labels) as the model itself gives them, before the temperature of a bundle that answered.

    Raises
    ------
    EdgeSerError
        A bundle's answers that do not say their temperature, as they were written once.
    """
    if "temperature" not in answers.about and "seen_in_training" in answers.about:
        raise EdgeSerError(
            f"the answers of {answers.about['model']} to {answers.about['corpus']} do not say with which temperature "
            "the bundle gave them; run edge-ser evaluate --report again"
        )
    # what says none was never a bundle: networks and pipelines answer with their own probabilities
    temperature = answers.about.get("temperature", 1.0)
    return answers.scores if temperature == 1.0 else with_temperature(answers.scores, 1 / temperature)


def fit_temperature(scores: Floats, truth: NDArray[np.int64], weights: Floats | None = None) -> float:
    """The temperature of the least negative log-likelihood (Guo et al., ICML 2017).

    Parameters
    ----------
    scores : (n, labels) float64
        Probabilities of speakers that the model did not learn from.
    truth : (n,) int64
    weights : (n,) float64, optional
        How much each clip counts; alike when left out.

    Returns
    -------
    float
        0.05 to 20, by golden section over its logarithm; the likelihood has one optimum.

    Raises
    ------
    EdgeSerError
        No clips, or a true class outside.
    """
    _checked(scores, truth)

    def loss(log_t: float) -> float:
        shares = with_temperature(scores, float(np.exp(log_t)))
        logs = np.log(np.maximum(shares[np.arange(len(truth)), truth], 1e-300))
        return -float(np.average(logs, weights=weights))

    low, high = np.log(0.05), np.log(20.0)
    golden = (np.sqrt(5) - 1) / 2
    for _ in range(60):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if loss(left) <= loss(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def reliability(scores: Floats, truth: NDArray[np.int64], bins: int = 15) -> list[dict[str, Any]]:
    """How often answers of each confidence are right: equal-width bins over 0..1, empty ones left out.

    Returns
    -------
    list of dict
        ``low``, ``high``, ``clips``, ``confidence`` (mean), ``accuracy``.
    """
    _checked(scores, truth)
    confidence, right, place = _in_bins(scores, truth, bins)
    return [
        {
            "low": b / bins,
            "high": (b + 1) / bins,
            "clips": int(np.sum(place == b)),
            "confidence": float(confidence[place == b].mean()),
            "accuracy": float(right[place == b].mean()),
        }
        for b in range(bins)
        if np.any(place == b)
    ]


def expected_calibration_error(
    scores: Floats, truth: NDArray[np.int64], bins: int = 15, weights: Floats | None = None
) -> float:
    """Mean distance of confidence from accuracy over bins, weighted by clips (Naeini et al., AAAI 2015); 0..1."""
    _checked(scores, truth)
    confidence, right, place = _in_bins(scores, truth, bins)
    weights = _or_alike(weights, len(truth))
    return float(np.abs(np.bincount(place, weights * (confidence - right))).sum() / weights.sum())


def risk_coverage(confidence: Floats, right: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Accuracy of what is answered when only the most confident share is (El-Yaniv and Wiener, JMLR 2010).

    Returns
    -------
    coverage, accuracy : (n,) float64
        Coverage from 1/n to 1.
    """
    order = np.argsort(-np.asarray(confidence), kind="stable")
    n = np.arange(1, len(order) + 1)
    return n / len(order), np.cumsum(np.asarray(right, float)[order]) / n


def accuracy_at(confidence: Floats, right: NDArray[np.bool_], threshold: float) -> tuple[float, float | None]:
    """Coverage and accuracy of the answers of at least this confidence; None where there are none."""
    sure = confidence >= threshold
    return float(sure.mean()), float(right[sure].mean()) if sure.any() else None


def unsure_threshold(confidence: Floats, coverage: float, weights: Floats | None = None) -> float:
    """The largest confidence that leaves at least this share of answers at or above it.

    Raises
    ------
    EdgeSerError
        No answers, or a coverage that is not above 0 and at most 1.
    """
    if not 0 < coverage <= 1:
        raise EdgeSerError(f"a coverage lies above 0 and is at most 1, not {coverage:g}")
    if not len(confidence):
        raise EdgeSerError("a threshold of confidence needs answers")
    weights = _or_alike(weights, len(confidence))
    order = np.argsort(-confidence, kind="stable")
    kept = np.cumsum(weights[order]) / weights.sum()
    # Not the ceiling of coverage times answers, as 0.28 * 25 is a little over 7. Sums of weights are rounded too.
    return float(confidence[order[np.searchsorted(kept, coverage - 1e-9)]])


def cross_fitted(answers: Answers, coverage: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Calibrated probabilities and who stays sure, each fold by the temperature and threshold of the other folds.

    Parameters
    ----------
    answers : Answers
        Of two folds or more, every clip with an emotion; a fold's speakers are in no other.
    coverage : float
        Share that is to stay sure.

    Returns
    -------
    scores : (n, labels) float64
    sure : (n,) bool

    Raises
    ------
    EdgeSerError
        One fold only, or a speaker in two folds.
    """
    folds = sorted(set(answers.folds.tolist()))
    if len(folds) < 2:
        raise EdgeSerError("calibration across folds needs answers of two folds or more")
    homes: dict[str, int] = {}
    for speaker, fold in zip(answers.speakers.tolist(), answers.folds.tolist(), strict=True):
        if homes.setdefault(speaker, fold) != fold:
            raise EdgeSerError(
                f"{speaker} stands in the folds {homes[speaker]} and {fold}; keep speakers apart"
            )
    return by_others(answers.scores, answers.truth, answers.folds, coverage)


def by_others(
    scores: Floats,
    truth: NDArray[np.int64],
    groups: NDArray[np.int64],
    coverage: float,
    weights: Floats | None = None,
) -> tuple[Floats, NDArray[np.bool_]]:
    """As `cross_fitted`, of probabilities (n, labels), classes (n,) and groups (n,) of whole speakers."""
    weights = _or_alike(weights, len(truth))
    calibrated, sure = np.empty_like(scores), np.empty(len(scores), bool)
    for group in np.unique(groups):
        inside, outside = groups == group, groups != group
        temperature = fit_temperature(scores[outside], truth[outside], weights[outside])
        calibrated[inside] = with_temperature(scores[inside], temperature)
        others = with_temperature(scores[outside], temperature).max(1)
        sure[inside] = calibrated[inside].max(1) >= unsure_threshold(others, coverage, weights[outside])
    return calibrated, sure


def abstention(
    scores: Floats, truth: NDArray[np.int64], sure: NDArray[np.bool_], weights: Floats | None = None
) -> dict[str, Any]:
    """Of calibrated answers, some of them sure: ``ece``, ``coverage``, and ``accuracy`` and ``gain`` of the sure."""
    weights = _or_alike(weights, len(truth))
    right = scores.argmax(1) == truth
    accuracy = float(np.average(right[sure], weights=weights[sure])) if sure.any() else None
    return {
        "ece": expected_calibration_error(scores, truth, weights=weights),
        "coverage": float(np.average(sure, weights=weights)),
        "accuracy": accuracy,
        "gain": None if accuracy is None else accuracy - float(np.average(right, weights=weights)),
    }


def calibration(answers: Answers, coverage: float = 0.8) -> dict[str, Any]:
    """Figures of calibration and abstention of clips with an emotion.

    Returns
    -------
    dict
        ``ece`` and ``reliability`` as answered, ``accuracy``, ``risk_coverage`` (at tenths). With two folds or more
        ``fitted``, each fold by the others: ``ece``, ``reliability``, ``coverage``, ``accuracy`` of the sure
        ones, ``gain`` of that over all; and ``temperature`` and ``unsure_below`` fitted on all, for a bundle (not on
        top of the temperature that one answered with, but in its place).
    """
    known = answers.take(answers.truth >= 0)
    truth, right = known.truth, known.said == known.truth
    covered, accurate = risk_coverage(known.confidence, right)
    places = [max(0, int(np.ceil(c * len(known))) - 1) for c in np.arange(1, 11) / 10]
    result: dict[str, Any] = {
        "ece": expected_calibration_error(known.scores, truth),
        "reliability": reliability(known.scores, truth),
        "accuracy": float(right.mean()),
        "risk_coverage": [{"coverage": float(covered[i]), "accuracy": float(accurate[i])} for i in places],
    }
    if len(set(known.folds.tolist())) > 1:
        scores, sure = cross_fitted(known, coverage)
        own = without_temperature(known)
        temperature = fit_temperature(own, truth)
        confidence = with_temperature(own, temperature).max(1)
        result["fitted"] = {
            **abstention(scores, truth, sure),
            "reliability": reliability(scores, truth),
            "asked_coverage": coverage,
            "temperature": temperature,
            "unsure_below": unsure_threshold(confidence, coverage),
        }
    return result


def _in_bins(
    scores: Floats, truth: NDArray[np.int64], bins: int
) -> tuple[Floats, NDArray[np.bool_], NDArray[np.int64]]:
    """Confidence of each clip, whether it is right, and its bin."""
    confidence = scores.max(1)
    return confidence, scores.argmax(1) == truth, np.minimum((confidence * bins).astype(int), bins - 1)


def _or_alike(weights: Floats | None, clips: int) -> Floats:
    return np.ones(clips) if weights is None else weights


def _checked(scores: Floats, truth: NDArray[np.int64]) -> None:
    if not len(truth) or len(scores) != len(truth):
        raise EdgeSerError(f"calibration needs as many scores as clips: {len(scores)} and {len(truth)}")
    if not np.isfinite(scores).all():
        raise EdgeSerError("calibration needs scores that are numbers; there is a NaN or an infinity")
    if truth.min() < 0 or truth.max() >= scores.shape[1]:
        raise EdgeSerError("a clip's class is none that was answered; leave it out first")
