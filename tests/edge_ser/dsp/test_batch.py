"""Batch log-mel is the device's log-mel, faster."""

from __future__ import annotations

import numpy as np
import pytest

from edge_ser.dsp import MelSpec
from edge_ser.dsp import log_mel as device_log_mel
from edge_ser.dsp.batch import log_mel, log_mels
from edge_ser.dsp.compute import within_backend
from edge_ser.dsp.spec import PADDINGS
from edge_ser.errors import EdgeSerError

pytestmark = pytest.mark.usefixtures("features_backend")


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("hop", [37, 160, 400])
def test_it_is_the_devices(padding: str, hop: int) -> None:
    spec = MelSpec(win_length=400, n_fft=480, hop_length=hop, n_mels=40, padding=padding, mean=-30, scale=20)
    for samples in (0, 1, 240, 241, 479, 480, 481, 5000):
        x = noise(samples)
        if padding == "reflect" and samples <= 240:
            with pytest.raises(EdgeSerError, match="reflect"):
                log_mel(x, spec)
            continue
        np.testing.assert_allclose(log_mel(x, spec), device_log_mel(x, spec), atol=1e-4)


def test_gaps_between_frames() -> None:
    spec = MelSpec(win_length=30, n_fft=32, hop_length=50, n_mels=5, padding="none", power=1.0)
    for samples in (31, 32, 81, 82, 1000):
        np.testing.assert_allclose(
            log_mel(noise(samples), spec), device_log_mel(noise(samples), spec), atol=1e-3
        )


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_many_recordings_come_in_their_order(threads: int) -> None:
    spec = MelSpec()
    recordings = [noise(3000 + 500 * i, i) for i in range(12)]
    found = list(log_mels(iter(recordings), spec, threads=threads))
    assert len(found) == 12
    for x, rows in zip(recordings, found, strict=True):
        np.testing.assert_array_equal(rows, log_mel(x, spec))
    assert list(log_mels([], spec, threads=threads)) == []


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_every_thread_computes_as_the_caller_does(backend: str) -> None:
    if backend == "numba":
        pytest.importorskip("numba", reason="numba is not installed (extra 'fast')")
    recordings = [noise(3000, seed) for seed in range(5)]
    with within_backend(backend):
        one, several = (list(log_mels(recordings, MelSpec(), threads=threads)) for threads in (1, 3))
    np.testing.assert_array_equal(one, several)


def test_a_bad_recording_is_refused_at_its_turn() -> None:
    found = log_mels([noise(4000), np.array([np.nan])], MelSpec(), threads=2)
    assert len(next(found)) == 20
    with pytest.raises(EdgeSerError, match="NaN"):
        next(found)
    with pytest.raises(EdgeSerError, match="threads"):
        next(log_mels([], MelSpec(), threads=0))
