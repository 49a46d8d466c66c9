"""Chroma's filters and the tuning of what is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge_ser.dsp import features as f
from edge_ser.dsp.tonal import chroma_filters

pytestmark = pytest.mark.usefixtures("features_backend")


@pytest.mark.parametrize(
    ("n_fft", "options"),
    [
        (512, {}),
        (2048, {"n_chroma": 7, "base_c": False, "norm": np.inf}),
        (501, {"n_chroma": 36, "tuning": 0.3, "norm": None}),
        (2, {"octwidth": None, "ctroct": 3.0, "norm": 1}),
    ],
)
def test_filters_are_librosas(n_fft: int, options: dict[str, Any]) -> None:
    librosa: Any = pytest.importorskip("librosa", reason="librosa is not installed (extra 'dev')")
    theirs = librosa.filters.chroma(sr=16000, n_fft=n_fft, **options, dtype=np.float64)
    np.testing.assert_allclose(chroma_filters(16000, n_fft, **options), theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("cents", [-40, -10, 0, 25, 49])
def test_a_chord_tells_its_tuning(cents: float) -> None:
    seconds = np.arange(32000) / 16000
    hz = 440 * 2 ** (np.array([0, 4, 7]) / 12 + cents / 1200)
    chord = (0.2 * np.sin(2 * np.pi * hz[:, None] * seconds)).sum(axis=0)
    S = f.spectrogram(chord, n_fft=8192)
    assert f.estimate_tuning(S) == pytest.approx(cents / 100, abs=0.02)
    assert f.estimate_tuning(S, bins_per_octave=24) == pytest.approx((cents / 50 + 0.5) % 1 - 0.5, abs=0.04)


@pytest.mark.parametrize("shape", [(0, 513), (5, 1), (5, 2), (5, 3), (5, 513)])
def test_what_has_no_peaks_is_in_tune(shape: tuple[int, int]) -> None:
    assert f.estimate_tuning(np.ones(shape)) == 0
    assert f.estimate_tuning(np.ones(shape), sr=100) == 0  # no bin reaches 150 Hz


def test_peaks_at_the_ends_of_the_range_count() -> None:
    S = np.zeros((1, 101))  # bins of 10 Hz
    S[0, [14, 15, 16]] = 1, 4, 1
    assert f.estimate_tuning(S, sr=2000) != 0
    lower = np.roll(S, -1, axis=1)
    assert f.estimate_tuning(lower, sr=2000) == 0  # 140 Hz is too low
