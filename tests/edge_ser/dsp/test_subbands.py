"""Sub-bands of a fine mel spectrum against a plain reference written from the formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_ser.dsp import features as f
from edge_ser.errors import EdgeSerError

SR, N_FFT, HOP, BANDS = 16000, 16384, 240, 3401
PARTS = [(300, 627), (628, 1060), (1061, 1633), (1634, 2393), (2394, 3400)]  # both ends inclusive


def mel(hz: float) -> float:
    return hz / (200 / 3) if hz < 1000 else 15 + 27 * math.log(hz / 1000) / math.log(6.4)


def hz_of(m: float) -> float:
    return m * 200 / 3 if m < 15 else 1000 * 6.4 ** ((m - 15) / 27)


@pytest.fixture(scope="module")
def filters() -> list[tuple[int, np.ndarray]]:
    """Of each mel band the first bin and the weights from there, one band at a time."""
    edges = [hz_of(i * mel(SR / 2) / (BANDS + 1)) for i in range(BANDS + 2)]
    bank = []
    for low, centre, high in zip(edges, edges[1:], edges[2:], strict=False):
        bins = range(math.ceil(low * N_FFT / SR), math.floor(high * N_FFT / SR) + 1)
        weights = []
        for k in bins:
            hz = k * SR / N_FFT
            side = (hz - low) / (centre - low) if hz <= centre else (high - hz) / (high - centre)
            weights.append(max(0.0, side) * 2 / (high - low))
        bank.append((bins.start, np.array(weights)))
    return bank


def reference(
    y: np.ndarray, filters: list[tuple[int, np.ndarray]], wanted: list[int]
) -> dict[int, list[tuple[float, float, float]]]:
    """The three numbers of each part in the wanted frames."""
    padded = np.concatenate([np.zeros(N_FFT // 2), y.astype(float), np.zeros(N_FFT // 2)])
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
    answers = {}
    for frame in wanted:
        cut = padded[frame * HOP : frame * HOP + N_FFT]
        if len(cut) < N_FFT:  # there is no such frame: silence
            answers[frame] = [(0.0, 0.0, 0.0)] * len(PARTS)
            continue
        power = np.abs(np.fft.rfft(cut * hann)) ** 2
        bands = [float(np.dot(power[start : start + len(w)], w)) for start, w in filters]
        total = sum(sum(bands[first : last + 1]) for first, last in PARTS)
        rows = []
        for first, last in PARTS:
            energy = sum(bands[k] for k in range(first, last + 1))
            if energy == 0:
                rows.append((0.0, 0.0, 0.0))
                continue
            centroid = sum(k * bands[k] for k in range(first, last + 1)) / energy
            spread = sum((k - centroid) ** 2 * bands[k] for k in range(first, last + 1)) / energy
            rows.append((centroid, math.sqrt(spread), energy / total))
        answers[frame] = rows
    return answers


@pytest.mark.parametrize("samples", [60000, 20000, 300])
def test_sub_bands_equal_the_formulas(samples: int, filters: list[tuple[int, np.ndarray]]) -> None:
    rng = np.random.default_rng(samples)
    t = np.arange(samples) / SR
    y = (
        0.1 * rng.standard_normal(samples)
        + 0.5 * np.sin(2 * np.pi * 440 * t)
        + 0.3 * np.sin(2 * np.pi * 2900 * t * (1 + 0.1 * t))
    ).astype(np.float32)
    found = f.mel_subbands(y, sr=SR)
    wanted = [0, 1, 37, samples // HOP, samples // HOP + 1, 198, 199]
    for frame, rows in reference(y, filters, [k for k in wanted if k < 200]).items():
        for part, (centroid, bandwidth, energy) in enumerate(rows):
            assert found.centroid[frame, part] == pytest.approx(centroid, rel=1e-4), (frame, part)
            assert found.bandwidth[frame, part] == pytest.approx(bandwidth, rel=1e-3), (frame, part)
            assert found.energy[frame, part] == pytest.approx(energy, rel=1e-4, abs=1e-7), (frame, part)


def test_silence_has_no_quotients() -> None:
    for y in (np.zeros(30000, np.float32), np.zeros(0, np.float32)):
        for values in f.mel_subbands(y):
            assert values.shape == (200, 5)
            assert not values.any()


def test_shares_of_the_energy_do_not_know_the_level() -> None:
    y = np.random.default_rng(0).standard_normal(48000).astype(np.float32)
    loud, soft = f.mel_subbands(0.5 * y), f.mel_subbands(0.005 * y)
    for a, b in zip(loud, soft, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)
    np.testing.assert_allclose(loud.energy.sum(axis=1), 1, rtol=1e-5)


def test_only_what_the_frames_hear_counts() -> None:
    y = np.random.default_rng(1).standard_normal(90000).astype(np.float32)
    changed = y.copy()
    changed[199 * HOP + N_FFT // 2 :] = 0
    for a, b in zip(f.mel_subbands(y), f.mel_subbands(changed), strict=True):
        np.testing.assert_array_equal(a, b)


def test_bad_audio_is_refused() -> None:
    with pytest.raises(EdgeSerError, match="one channel"):
        f.mel_subbands(np.zeros((2, 16000), np.float32))
    with pytest.raises(EdgeSerError, match="frames"):
        f.mel_subbands(np.zeros(16000, np.float32), frames=0)
    with pytest.raises(EdgeSerError, match="freq must be 5"):
        f.subbands(np.ones((3, 5)), [(0, 2)], np.arange(4))
