"""Time of the front end: a whole recording at once, and a step at a time as in listening."""

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from edge_ser.bundle import DEFAULT_MODEL, load_bundle
from edge_ser.dsp import LogMelStream, log_mel

SPEC = load_bundle(DEFAULT_MODEL).spec
RATE = SPEC.sample_rate
AUDIO = np.random.default_rng(0).normal(0, 0.1, 10 * RATE).astype(np.float32)


def test_log_mel_of_10_s(benchmark: BenchmarkFixture) -> None:
    benchmark.extra_info["audio_s"] = 10
    features = benchmark(log_mel, AUDIO, SPEC)
    assert features.shape == (10 * RATE // SPEC.hop_length, SPEC.n_mels)


@pytest.mark.parametrize("hops", [1, 20], ids=["hop", "step_of_20_hops"])
def test_log_mel_stream(benchmark: BenchmarkFixture, hops: int) -> None:
    stream = LogMelStream(SPEC)
    block = AUDIO[: hops * SPEC.hop_length]
    stream.push(AUDIO[:RATE])  # past the beginning, where frames see zeros
    frames = benchmark(stream.push, block)
    assert frames.shape == (hops, SPEC.n_mels)
