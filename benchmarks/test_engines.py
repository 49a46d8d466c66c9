"""Time of a 250 ms step: the model alone on each engine, and all that listening does with it."""

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from edge_ser.bundle import DEFAULT_MODEL, load_bundle
from edge_ser.errors import MissingExtraError
from firmware_py.engines import Engine, open_engine
from firmware_py.pipeline import Pipeline

BUNDLE = load_bundle(DEFAULT_MODEL)
VARIANTS = BUNDLE.variants()


@pytest.fixture(params=VARIANTS, ids=[f"{engine}_{precision}" for engine, precision in VARIANTS])
def engine(request: pytest.FixtureRequest) -> Engine:
    try:
        return open_engine(BUNDLE, *request.param)
    except MissingExtraError as error:
        pytest.skip(str(error))


def test_engine_step(benchmark: BenchmarkFixture, engine: Engine) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (BUNDLE.step_frames, BUNDLE.spec.n_mels)).astype(np.float32)
    state = engine.initial_state()
    for _ in range(BUNDLE.config["window_segments"]):
        _, state = engine.step(features, state)
    outputs, _ = benchmark(engine.step, features, state)
    assert np.isfinite(outputs.logits).all()


def test_pipeline_step(benchmark: BenchmarkFixture, engine: Engine) -> None:
    pipeline = Pipeline(BUNDLE, engine)
    block = np.random.default_rng(0).normal(0, 0.1, pipeline.step_samples).astype(np.float32)
    [prediction] = benchmark(pipeline.push, block)
    assert 0 <= prediction.arousal <= 1
