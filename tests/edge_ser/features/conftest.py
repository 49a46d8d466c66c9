"""Features by NumPy: nothing is compiled, here or in worker processes; the kernels have tests of their own."""

from __future__ import annotations

import numpy as np
import pytest

from edge_ser.audio import write_wav


@pytest.fixture(autouse=True)
def numpy_backend(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGE_SER_FEATURES", "numpy")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))  # nobody's own cache is touched
    for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(threads, "1")


@pytest.fixture
def sounds(tmp_path):
    """Six sounds of different lengths, between them one that is none."""
    folder = tmp_path / "sounds"
    folder.mkdir()
    rng = np.random.default_rng(5)
    for i in range(6):
        t = np.arange(4000 + 800 * i) / 16000
        tone = 0.3 * np.sin(2 * np.pi * (120 + 20 * i) * t) + rng.normal(0, 0.02, len(t))
        write_wav(folder / f"{i}.wav", tone)
    (folder / "2-bad.wav").write_text("no sound")
    return folder
