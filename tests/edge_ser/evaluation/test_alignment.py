"""The picture of a text over its spectrogram."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.alignment import Span, plot_alignment

pytest.importorskip("matplotlib")
SPEC = MelSpec(hop_length=160, n_mels=8)
LEVELS = np.random.default_rng(0).normal(0, 1, (120, 8)).astype(np.float32)
CHANCES = np.full((60, 4), 0.1)
CHANCES[:, 0] = 0.7
CHANCES[20:23, 2] = 0.9
SPANS = [Span("b", 0.4, 0.46), Span(" ", 0.6, 0.62), Span("<c>", 0.8, 0.9)]


def test_the_letters_stand_in_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    plot_alignment(path, LEVELS, SPEC, SPANS, CHANCES, "ab ", title="ravdess-01 & others")
    text = path.read_text()
    assert "<!-- b -->" in text and "<!-- ravdess-01 &amp; others -->" in text
    plot_alignment(tmp_path / "b.svg", LEVELS, SPEC, SPANS, CHANCES, "ab ", title="ravdess-01 & others")
    assert (tmp_path / "b.svg").read_text() == text


def test_nothing_heard_is_drawn_too(tmp_path: Path) -> None:
    plot_alignment(tmp_path / "a.png", LEVELS, SPEC, [], CHANCES, "ab ")
    assert (tmp_path / "a.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("levels", "chances", "words"),
    [
        (LEVELS[:, :5], CHANCES, r"\(frames, 8\), not \(120, 5\)"),
        (LEVELS[:0], CHANCES, r"\(frames, 8\)"),
        (LEVELS, CHANCES[:, :3], r"\(steps, 4\), not \(60, 3\)"),
        (LEVELS, CHANCES[:0], r"\(steps, 4\)"),
    ],
)
def test_shapes_that_do_not_fit(tmp_path: Path, levels: np.ndarray, chances: np.ndarray, words: str) -> None:
    with pytest.raises(EdgeSerError, match=words):
        plot_alignment(tmp_path / "a.png", levels, SPEC, SPANS, chances, "ab ")
    assert not (tmp_path / "a.png").exists()
