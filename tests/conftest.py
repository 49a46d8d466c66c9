"""Fixtures for everybody: bundles made once for all workers of a run, and never written to by a test."""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import settings

from edge_ser.bundle import load_bundle
from edge_ser.files import lock
from tests.support import make_bundle

# The same examples every time, however slow the machine; `--hypothesis-profile default` looks for new ones.
settings.register_profile("edge-ser", derandomize=True, deadline=None, database=None)
settings.load_profile("edge-ser")


@pytest.fixture(scope="session")
def shared_bundle(tmp_path_factory):
    """Makes a bundle of random weights under a name, or takes it from the worker that made it: converters are slow."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent

    def bundle(name, formats):
        place = folder / f"bundle-{name}"
        with (folder / f"bundle-{name}.lock").open("w") as file:
            while lock(file.fileno()) is False:
                time.sleep(0.1)
            return load_bundle(place) if place.exists() else make_bundle(place, formats=formats)

    return bundle


@pytest.fixture(scope="session")
def numpy_bundle(tmp_path_factory):
    """A bundle of random weights for the NumPy engine alone; needs no torch."""
    return make_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def full_bundle(shared_bundle):
    """A bundle of random weights for every engine; skips where the export extra is not installed."""
    for module in ("torch", "onnxscript", "litert_torch"):
        pytest.importorskip(module, reason=f"{module} is not installed (extra 'export')")
    return shared_bundle("full", ("numpy", "onnx", "tflite"))


@pytest.fixture(scope="session")
def int8_bundle(shared_bundle):
    """A bundle of random weights, fp32 for NumPy and int8 for every engine; skips as `full_bundle` does."""
    for module in ("torch", "onnxscript", "litert_torch", "ai_edge_quantizer"):
        pytest.importorskip(module, reason=f"{module} is not installed (extra 'export')")
    formats = ("numpy", "numpy-int8", "onnx-int8", "tflite-int8")
    return shared_bundle("rounded", formats)


@pytest.fixture(scope="session")
def host_bundle(shared_bundle):
    """A bundle of random weights for the engines of hosts, and full int8; skips as `full_bundle` does."""
    for module in ("torch", "litert_torch", "ai_edge_quantizer", "tflite_micro"):
        pytest.importorskip(module, reason=f"{module} is not installed (extras 'export' and 'micro')")
    formats = ("numpy", "tflite-int8-full", "c-int8-full", "pt2")
    return shared_bundle("host", formats)


@pytest.fixture
def homeless(monkeypatch):
    """A user without a home folder, as a bare number in a container is."""
    pwd = pytest.importorskip("pwd", reason="users are looked up otherwise here")

    def unknown(user):
        raise KeyError(f"nobody is called {user}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
