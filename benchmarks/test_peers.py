"""Log-mel in ours and in other libraries, by pytest-benchmark; `benchmarks.front_end` compares them round by round."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.front_end import SPEC, speech_like
from benchmarks.peers import BATCH, HOP, Maker, Run
from edge_ser.errors import EdgeSerError


def made(maker: Maker) -> Run:
    try:
        return maker(SPEC)
    except (ImportError, EdgeSerError) as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", BATCH)
def test_recording_of_10_s(benchmark: BenchmarkFixture, name: str) -> None:
    benchmark.group = "a recording of 10 s"
    run, x = made(BATCH[name]), speech_like(10)
    frames = benchmark(run, x)
    assert abs(max(getattr(frames, "shape", (len(frames),))) - 998) <= 2


@pytest.mark.parametrize("name", HOP)
def test_hop_of_10_ms(benchmark: BenchmarkFixture, name: str) -> None:
    benchmark.group = "a hop of 10 ms"
    run, x = made(HOP[name]), speech_like(0.01)
    for _ in range(10):
        run(x)
    benchmark(run, x)
