"""Fixtures for everybody: bundles made once a session, and never written to by a test."""

from __future__ import annotations

import pytest

from tests.support import make_bundle


@pytest.fixture(scope="session")
def numpy_bundle(tmp_path_factory):
    """A bundle of random weights for the NumPy engine alone; needs no torch."""
    return make_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def full_bundle(tmp_path_factory):
    """A bundle of random weights for every engine; skips where the export extra is not installed."""
    for module in ("torch", "onnxscript", "litert_torch"):
        pytest.importorskip(module, reason=f"{module} is not installed (extra 'export')")
    return make_bundle(tmp_path_factory.mktemp("bundles") / "full", formats=("numpy", "onnx", "tflite"))


@pytest.fixture(scope="session")
def int8_bundle(tmp_path_factory):
    """A bundle of random weights, fp32 for NumPy and int8 for every engine; skips as `full_bundle` does."""
    for module in ("torch", "onnxscript", "litert_torch", "ai_edge_quantizer"):
        pytest.importorskip(module, reason=f"{module} is not installed (extra 'export')")
    formats = ("numpy", "numpy-int8", "onnx-int8", "tflite-int8")
    return make_bundle(tmp_path_factory.mktemp("bundles") / "rounded", formats=formats)


@pytest.fixture(scope="session")
def host_bundle(tmp_path_factory):
    """A bundle of random weights for the engines of hosts, and full int8; skips as `full_bundle` does."""
    for module in ("torch", "litert_torch", "ai_edge_quantizer", "tflite_micro"):
        pytest.importorskip(module, reason=f"{module} is not installed (extras 'export' and 'micro')")
    formats = ("numpy", "tflite-int8-full", "c-int8-full", "pt2")
    return make_bundle(tmp_path_factory.mktemp("bundles") / "host", formats=formats)


@pytest.fixture
def homeless(monkeypatch):
    """A user without a home folder, as a bare number in a container is."""
    pwd = pytest.importorskip("pwd", reason="users are looked up otherwise here")

    def unknown(user):
        raise KeyError(f"nobody is called {user}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
