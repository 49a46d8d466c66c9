"""Windows at one level: any voice as loud as any other, and silence still silent."""

from __future__ import annotations

import numpy as np
import pytest

from edge_ser.dsp.normalise import unit_power


@pytest.mark.parametrize("level", [0.01, 0.1, 1.0])
def test_level_and_mean_do_not_count(level: float) -> None:
    wave = np.random.default_rng(0).standard_normal(4000) * 0.2
    heard = unit_power(level * wave + 0.3)
    assert heard.dtype == np.float32
    assert np.mean(heard) == pytest.approx(0, abs=1e-5)
    assert np.mean(heard.astype(np.float64) ** 2) == pytest.approx(1, abs=0.03)


def test_silence_stays_silent() -> None:
    assert not unit_power(np.zeros(100, np.float32)).any()
    assert not unit_power(np.full(100, 0.5, np.float32)).any()
    whisper = np.random.default_rng(0).standard_normal(4000).astype(np.float32) * 1e-5
    assert np.std(unit_power(whisper)) < 0.05
