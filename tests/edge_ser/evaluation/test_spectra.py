"""Pictures of spectra: they are drawn, the same each time, and what cannot be drawn is refused."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.spectra import plot_gallery, plot_octave_clips, plot_octave_shares, plot_windows

WAVE = (0.1 * np.random.default_rng(0).standard_normal(16000)).astype(np.float32)


def test_pictures_are_drawn_and_the_same_twice(tmp_path) -> None:
    calls = {
        "clips": lambda path: plot_octave_clips(path, {"a": WAVE, "silence": 0 * WAVE}, {"a": (128, 8192)}),
        "shares": lambda path: plot_octave_shares(path, {"a": [0.125] * 8, "b": [1.0] + [0.0] * 7}),
        "windows": lambda path: plot_windows(path, ("hann", "rectangular"), bins=8),
        "gallery": lambda path: plot_gallery(path, {k: np.eye(4) for k in "abc"}),
    }
    for name, call in calls.items():
        for k in (1, 2):
            call(tmp_path / f"{name}{k}.svg")
        first, second = ((tmp_path / f"{name}{k}.svg").read_bytes() for k in (1, 2))
        assert first == second
        assert first.startswith(b"<?xml")
        assert b"NaN" not in first


def test_what_cannot_be_drawn_is_refused(tmp_path) -> None:
    with pytest.raises(EdgeSerError, match="no kind of picture"):
        plot_windows(tmp_path / "x.txt", ("hann",))
    with pytest.raises(EdgeSerError, match="no window"):
        plot_windows(tmp_path / "x.svg", ("kaiser",))
    with pytest.raises(EdgeSerError, match="one channel"):
        plot_octave_clips(tmp_path / "x.svg", {"a": np.zeros((2, 100))})
    assert not list(tmp_path.iterdir())
