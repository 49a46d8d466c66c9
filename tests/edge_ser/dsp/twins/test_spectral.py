"""What is computed from spectra against its definition, number by number, in both forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_ser.dsp.compute import implementation

SETTINGS = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])

pytestmark = pytest.mark.usefixtures("features_backend")


def steps(frames: int, bins: int, levels: int, seed: int) -> np.ndarray:
    """Spectra of few levels, so that neighbours are often the same."""
    return np.random.default_rng(seed).integers(0, levels, (frames, bins)).astype(np.float32)


@SETTINGS
@given(
    frames=st.integers(0, 20),
    bins=st.integers(3, 40),
    levels=st.sampled_from([1, 2, 3, 10, 10_000]),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_peaks_are_refined_by_a_parabola(
    frames: int, bins: int, levels: int, share: float, seed: int, data: st.DataObject
) -> None:
    spectra = steps(frames, bins, levels, seed)
    low = data.draw(st.integers(1, bins - 2))
    high = data.draw(st.integers(low + 1, bins - 1))
    expected = []
    for row in spectra.astype(np.float64):
        for k in range(low, high):
            before, here, after = row[k - 1 : k + 2]
            if not (here > share * row.max() and here > before and here >= after):
                continue
            a, b = (after + before) / 2 - here, (after - before) / 2
            shift = -b / (2 * a)  # of less than a bin, as no side rises
            expected.append((k + shift, here + b * shift / 2))
    places, heights = implementation().peaks(spectra, low, high, share)
    assert (places.dtype, heights.dtype) == (np.float64, np.float32)
    np.testing.assert_allclose(np.stack([places, heights], axis=1), np.reshape(expected, (-1, 2)), rtol=1e-6)


def test_a_plateau_has_one_peak_where_it_begins() -> None:
    spectra = np.array([[0, 1, 1, 0, 2, 2, 2, 0], [3, 3, 0, 0, 0, 0, 3, 3]], np.float32)
    places, heights = implementation().peaks(spectra, 1, 7, 0.1)
    np.testing.assert_allclose(places, [1.5, 4.5, 6.5])
    np.testing.assert_allclose(heights, [1.125, 2.25, 3.375])


@SETTINGS
@given(
    frames=st.integers(0, 40),
    levels=st.sampled_from([1, 3, 10_000]),
    bands=st.lists(
        st.tuples(st.integers(0, 19), st.integers(1, 20), st.integers(1, 20)), min_size=1, max_size=9
    ),
    seed=st.integers(0, 99),
)
def test_contrast_is_of_the_lowest_and_the_highest_few(
    frames: int, levels: int, bands: list[tuple[int, int, int]], seed: int
) -> None:
    spectra = steps(frames, 20, levels, seed)
    wide = [(low, max(low + 1, high)) for low, high, _ in bands]
    limits = [(low, high, min(few, high - low)) for (low, high), (*_, few) in zip(wide, bands, strict=True)]
    lows, highs = implementation().contrast(spectra, limits)
    assert lows.shape == highs.shape == (frames, len(bands))
    for band, (low, high, few) in enumerate(limits):
        for row, valley, peak in zip(spectra.tolist(), lows[:, band], highs[:, band], strict=True):
            ordered = sorted(row[low:high])
            assert valley == pytest.approx(sum(ordered[:few]) / few, rel=1e-6)
            assert peak == pytest.approx(sum(ordered[::-1][:few]) / few, rel=1e-6)


@SETTINGS
@given(
    frames=st.integers(0, 40),
    bins=st.sampled_from([1, 2, 15, 16, 63, 64, 65, 130, 200]),
    bands=st.integers(1, 9),
    full=st.booleans(),
    seed=st.integers(0, 99),
)
def test_bands_are_weighted_sums(frames: int, bins: int, bands: int, full: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    spectra = rng.random((frames, bins)).astype(np.float32)
    filters = rng.random((bands, bins)) + 0.1
    if not full:
        filters *= rng.random((bands, bins)) < 0.5
    found = implementation().weigh(spectra, filters)
    np.testing.assert_allclose(found, spectra.astype(np.float64) @ filters.T, rtol=2e-6, atol=1e-6)


@SETTINGS
@given(
    shape=st.sampled_from([(0,), (1,), (15,), (16,), (17,), (3, 7), (2, 3, 16), ()]),
    floor=st.sampled_from([0.0, 1e-45, 1e-10, 0.5]),
    seed=st.integers(0, 99),
)
def test_logarithm_of_every_number(shape: tuple[int, ...], floor: float, seed: int) -> None:
    x = np.asarray(np.random.default_rng(seed).exponential(size=shape) ** 3, np.float32)
    x[x < 0.01] = 0.0
    found = implementation().logarithm(x, floor, 3.0, -1.0)
    least = max(floor, float(np.finfo(np.float32).tiny))
    expected = 3 * np.log(np.maximum(x.astype(np.float64), least)) - 1
    assert found.shape == shape
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
