"""Both ways to compute a feature: Numba's kernels and their NumPy twins."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from edge_ser.dsp.compute import use_features_backend


@pytest.fixture(params=["numba", "numpy"], scope="module")
def features_backend(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "numba" and importlib.util.find_spec("numba") is None:
        pytest.skip("numba is not installed (extra 'fast')")
    use_features_backend(request.param)
    yield request.param
    use_features_backend(None)
