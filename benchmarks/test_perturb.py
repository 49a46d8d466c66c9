"""Time of each perturbation of 4 s of sound, and of a whole view."""

import functools
from collections.abc import Callable

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

pytest.importorskip("scipy")
pytest.importorskip("soxr")
pytest.importorskip("soundfile")

from edge_ser.perturb import (
    CODECS,
    Perturb,
    add_noise,
    codec,
    formants,
    microphone,
    pink_noise,
    pitch,
    reverberate,
    room_response,
    speed,
    telephone,
    tempo,
)

RNG = np.random.default_rng(0)
WAVE = np.resize(RNG.normal(0, 0.1, 16000) * np.hanning(16000), 64000).astype(np.float32)
ROOM = room_response(2.0, 0.0, RNG)

STEPS: dict[str, Callable[[], np.ndarray]] = {
    "speed": lambda: speed(WAVE, 1.07),
    "tempo slower": lambda: tempo(WAVE, 0.85),
    "tempo faster": lambda: tempo(WAVE, 1.15),
    "pitch": lambda: pitch(WAVE, 2.0),
    "formants": lambda: formants(WAVE, 1.1),
    "room of 2 s": lambda: reverberate(WAVE, ROOM),
    "pink noise": lambda: add_noise(WAVE, pink_noise(len(WAVE), RNG), 10.0, RNG),
    "microphone": lambda: microphone(WAVE, 3.0, RNG),
    "telephone": lambda: telephone(WAVE),
    **{name: functools.partial(codec, WAVE, name) for name in CODECS},
}


@pytest.mark.parametrize("name", STEPS)
def test_step(benchmark: BenchmarkFixture, name: str) -> None:
    assert np.isfinite(benchmark(STEPS[name])).all()


def test_view(benchmark: BenchmarkFixture) -> None:
    """A new view each time, so that the mean is over the chains."""
    numbers = iter(range(1, 1_000_000))
    view = benchmark.pedantic(
        lambda: Perturb().view(WAVE, "clip", next(numbers)), rounds=200, warmup_rounds=5
    )
    assert np.isfinite(view).all()
