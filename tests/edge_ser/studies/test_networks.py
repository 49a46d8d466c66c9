"""What studies of networks share."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from edge_ser.studies.networks import course


def _records(*shares: float) -> list[dict[str, float]]:
    return [{"epoch": n + 1, "valid_accuracy": share} for n, share in enumerate(shares)]


@pytest.mark.parametrize(
    ("shares", "asked", "epoch", "said"),
    [
        ((0.2, 0.4, 0.3), 10, 2, "stopped by itself after 3 of 10 epochs, best in 2"),
        (
            (0.2, 0.3, 0.4, 0.4, 0.5, 0.6),
            6,
            6,
            "6 epochs, best in 6, still rising (the last third added +0.200)",
        ),
        (
            (0.2, 0.5, 0.4, 0.5, 0.5, 0.4),
            6,
            2,
            "6 epochs, best in 2, no longer rising (the last third added +0.000)",
        ),
        ((0.3,), 1, 1, "1 epochs, best in 1, no longer rising (the last third added +0.000)"),
    ],
)
def test_a_curve_says_whether_it_was_the_length(
    shares: tuple[float, ...], asked: int, epoch: int, said: str
) -> None:
    assert course(_records(*shares), asked, epoch) == said
