"""What studies of networks share."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from edge_ser.evaluation.class_answers import ClassAnswers, Figure
from edge_ser.studies import Line
from edge_ser.studies.networks import course, short_of, splits_note, splits_reason


def _records(*shares: float) -> list[dict[str, float]]:
    return [{"epoch": n + 1, "valid_accuracy": share} for n, share in enumerate(shares)]


@pytest.mark.parametrize(
    ("shares", "asked", "epoch", "said"),
    [
        ((0.2, 0.4, 0.3), 10, 2, "stopped by itself after 3 of 10 epochs, best in 2"),
        (
            (*[0.4] * 8, 0.5, 0.6, 0.5, 0.5),
            12,
            10,
            "12 epochs, best in 10, still rising (the last third added +0.200)",
        ),
        ((0.5, *[0.4] * 11), 12, 1, "12 epochs, best in 1, no longer rising (the last third added +0.000)"),
        ((0.3, 0.4), 2, 2, "2 epochs, best in 2, too few to tell what more would do"),
    ],
)
def test_a_curve_says_whether_it_was_the_length(
    shares: tuple[float, ...], asked: int, epoch: int, said: str
) -> None:
    assert course(_records(*shares), asked, epoch) == said


def test_a_figure_under_the_published_one_says_why() -> None:
    good, bad = Line("a", "a net", 0.7, Figure(0.68)), Line("b", "a forest", 0.7, Figure(0.6))
    none = Line("c", "another", None, Figure(0.1))
    assert short_of([none], {}) is None
    assert (
        short_of([good, none], {"a": "never said"})
        == "As published 1 of 1 published figures are reached, less 0.03."
    )
    said = short_of([good, bad, none], {"b": "too short"})
    assert said is not None and said.endswith(
        "Short of theirs fall a forest with 0.600 of 0.700 (too short)."
    )
    assert said.startswith("As published 1 of 2")
    few = short_of([Line("b", "a forest", 0.7, Figure(0.5, n=100))], {})
    assert few is not None and few.endswith(
        "a forest with 0.500 of 0.700 (chance alone ±0.098 of 100 clips)."
    )


def _split(right: int, seed: int) -> ClassAnswers:
    """Ten clips of two classes, of which so many are answered right."""
    truth = np.arange(10) % 2
    said = np.where(np.arange(10) < right, truth, 1 - truth)
    return ClassAnswers.of(("a", "b"), truth, np.eye(2)[said], [str(i) for i in range(10)], fold=0, seed=seed)


def test_random_splits_say_between_what_they_lie_and_whether_they_explain_a_figure() -> None:
    two = ClassAnswers.joined([_split(6, 0), _split(8, 1)])
    assert splits_note(two) == "2 random splits, 0.600 to 0.800 (published: one)"
    assert (
        splits_reason(two, 0.82) == "0.600 to 0.800 over 2 random splits, so the split alone may explain it"
    )
    assert splits_reason(two, 0.85).endswith("so it is not the split")
    assert splits_note(_split(6, 0)) == splits_reason(_split(6, 0), 0.9) == splits_reason(two, None) == ""
