"""The compiled kernels against their NumPy twins, and the parts they are made of."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("numba", reason="numba is not installed (extra 'fast')")

from edge_ser.dsp import kernels, twins
from edge_ser.dsp.kernels import simd, transpose
from edge_ser.dsp.kernels.jit import kernel
from edge_ser.dsp.kernels.rows import bands_of
from edge_ser.dsp.spec import MelSpec

SPECS = [
    MelSpec(),
    MelSpec(win_length=400, hop_length=160, padding="none"),
    MelSpec(win_length=64, n_fft=64, hop_length=32, n_mels=26, log="ln", mean=-4.0, scale=3.0),
    MelSpec(win_length=2048, n_fft=2048, hop_length=512, n_mels=128, log="log10", mel_scale="htk"),
    MelSpec(win_length=16384, n_fft=16384, hop_length=240, n_mels=3401, log="none"),
    MelSpec(win_length=399, n_fft=399, hop_length=200, n_mels=40, power=1.0, window="hamming"),
    MelSpec(win_length=10, n_fft=14, hop_length=50, n_mels=3, padding="none", log="none", mel_norm="none"),
    MelSpec(win_length=65, n_fft=80, hop_length=40, n_mels=9, window="hamming"),  # 7 zeros before it, 8 after
    MelSpec(win_length=200, n_fft=202, hop_length=202, n_mels=16, window="blackman"),  # 101 is prime
]


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


# The widest spec is slow, so it is tried on one and two blocks of 16 frames only.
CASES = [(spec, n) for spec in SPECS for n in (0, 1, 15, 16, 17, 40) if spec.n_mels < 1000 or n <= 17]


@pytest.mark.parametrize(
    ("spec", "frames"), CASES, ids=lambda v: v if isinstance(v, int) else f"{v.n_fft}-{v.n_mels}"
)
def test_log_mel_of_both_agrees(spec: MelSpec, frames: int) -> None:
    x = noise(max(0, spec.n_fft + (frames - 1) * spec.hop_length))
    compiled, reference = kernels.log_mel_frames(x, spec), twins.log_mel_frames(x, spec)
    assert compiled.shape == reference.shape == (frames, spec.n_mels)
    assert compiled.dtype == np.float32
    if spec.log == "none":
        np.testing.assert_allclose(compiled, reference, atol=1e-5 * reference.max(initial=1e-30), rtol=1e-4)
    else:
        np.testing.assert_allclose(compiled, reference, atol=1e-3)


@pytest.mark.parametrize("n_fft", [1, 2, 15, 16, 31, 97, 512, 2048])
def test_frames_do_not_depend_on_the_frames_beside_them(n_fft: int) -> None:
    spec = MelSpec(win_length=n_fft, n_fft=n_fft, hop_length=n_fft, n_mels=min(5, n_fft), fmin=0.0)
    x = noise(40 * n_fft)
    whole = kernels.log_mel_frames(x, spec)
    for first, last in itertools.combinations((0, 1, 7, 16, 33, 40), 2):
        part = kernels.log_mel_frames(x[first * n_fft : last * n_fft], spec)
        np.testing.assert_array_equal(part, whole[first:last])
    np.testing.assert_array_equal(kernels.log_mel_frames(x, spec, threads=2), whole)


@pytest.mark.parametrize("n_fft", [512, 1024, 240, 75, 98, 343, 242])
def test_spectra_hold_what_is_far_below_the_largest_bin(n_fft: int) -> None:
    """In double precision: flatness and contrast are of bins 140 dB down."""
    x = np.sin(0.7 * np.arange(n_fft)).astype(np.float32)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    expected = np.fft.rfft(x * window)
    for module in (kernels, twins):
        found = module.spectra(x, window, 1, "complex")[0]
        assert (np.abs(found - expected) < 1e-7 * np.abs(expected) + 1e-14 * np.abs(expected).max()).all()


@pytest.mark.parametrize("lags", [84, 88, 120])  # as many as a transform of 384 has room for, and a few more
def test_autocorrelation_is_the_sum_of_products(lags: int) -> None:
    x, window = noise(700), np.linspace(1, 2, 300)
    frames = [x[i : i + 300] * window for i in range(0, 401, 50)]
    expected = [[frame[: 300 - lag] @ frame[lag:] for lag in range(lags)] for frame in frames]
    for module, limit in ((kernels, 2e-6), (twins, 1e-7)):
        found = module.autocorrelation(x, window, 50, lags)
        np.testing.assert_allclose(found, expected, atol=limit * np.max(expected))


def test_silence_has_the_shortest_period_and_is_periodic() -> None:
    for module in (kernels, twins):
        np.testing.assert_array_equal(
            module.yin(np.zeros(900, np.float32), 300, 40, 20, 150, 0.1), [[20, 0]] * 16
        )


@pytest.mark.parametrize("high", [62, 63, 64, 90])
def test_a_period_at_the_end_of_the_range_is_found(high: int) -> None:
    x = np.sin(2 * np.pi * np.arange(900) / 61.4).astype(np.float32)
    found, expected = (module.yin(x, 300, 40, 20, high, 0.1) for module in (kernels, twins))
    np.testing.assert_allclose(expected[:, 0], 61.4, atol=0.7)
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("length", [1, 15, 16, 17, 31, 32, 33, 48, 63, 100])
def test_energy_of_frames_of_any_length(length: int) -> None:
    x = noise(20 * length)
    expected = np.square(x, dtype=np.float64).reshape(20, length).mean(axis=1)
    for module in (kernels, twins):
        np.testing.assert_allclose(module.mean_square(x, length, length), expected, rtol=1e-6)


def test_peaks_of_both_are_the_same() -> None:
    rows = (
        np.random.default_rng(0).integers(0, 5, (40, 30)).astype(np.float32)
    )  # with plateaus, and at the floor
    for low, high in ((1, 29), (1, 1), (7, 8), (28, 29)):
        found, expected = kernels.peaks(rows, low, high, 0.5), twins.peaks(rows, low, high, 0.5)
        for mine, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    flat = np.array([[0, 3, 3, 0, 2, 4, 0, 2, 0]], np.float32)  # 2 is half the largest, not above it
    for found, by_hand in zip(
        kernels.peaks(flat, 1, 8, 0.5), ([1.5, 5 - 1 / 6], [3.375, 4 + 1 / 12]), strict=True
    ):
        np.testing.assert_allclose(found, by_hand, rtol=1e-6)


def test_one_bin_alone_has_no_width() -> None:
    rows, freq = np.eye(9, dtype=np.float32)[3:4], np.arange(9, dtype=np.float32)
    for module in (kernels, twins):
        for p in (1.0, 1.5, 2.0, 3.0, 4.0):
            assert module.bandwidth(rows, freq, np.float32([3]), p, True) == 0


def test_logarithms_begin_at_the_least_normal_number() -> None:
    """Of single precision, which the host's log-mel is in: a denormal floor is raised to it."""
    least = 10 * np.log10(np.finfo(np.float32).tiny)
    silence = np.zeros(19, np.float32)
    for module in (kernels, twins):
        np.testing.assert_allclose(module.logarithm(silence, 1e-42, 10 / np.log(10)), least, rtol=1e-6)
    np.testing.assert_allclose(
        kernels.log_mel_frames(np.zeros(512, np.float32), MelSpec(floor=1e-42)), least, 1e-6
    )


def test_sums_over_many_bins_keep_their_precision() -> None:
    rows = np.full((3, 20_000), 0.1, np.float32)
    for bands in (1, 4):  # one at a time, and four
        found = kernels.weigh(rows, np.ones((bands, 20_000), np.float32))
        np.testing.assert_allclose(found, 20_000 * np.float64(rows[0, 0]), rtol=5e-6)


def test_bands_keep_what_is_not_zero() -> None:
    filters = np.array([[0, 0, 1, 2, 0], [0, 0, 0, 0, 0], [3, 0, 4, 0, 0], [1, 1, 1, 1, 1]], float)
    bands = bands_of(filters)
    assert list(bands.first) == [2, 0, 0, 0]
    assert list(bands.weights) == [1, 2, 3, 0, 4, 1, 1, 1, 1, 1]
    rows = noise(35).reshape(7, 5)
    for module in (kernels, twins):
        np.testing.assert_allclose(module.weigh(rows, filters), rows @ filters.T, atol=1e-7)
    filters[0, 3] = -5  # what may change is not remembered
    for module in (kernels, twins):
        np.testing.assert_allclose(module.weigh(rows, filters), rows @ filters.T, atol=1e-7)


@kernel
def _apply(which, x, y, out):
    for i in range(0, len(x), 16):
        a, b = simd.load(x, i), simd.load(y, i)
        if which == 0:
            value = simd.log(a)
        elif which == 1:
            value = simd.exp2(a)
        elif which == 2:
            value = simd.sqrt(a)
        elif which == 3:
            value = simd.maximum(a, b) - simd.minimum(a, b)
        elif which == 4:
            value = simd.where_ge(a, b, a * 2.0, simd.negative(b))
        else:
            value = (1.0 - a) / b + simd.broadcast(np.float32(3.0)) + simd.zeros(x)
        simd.store(out, i, value)


def apply(which: int, x: np.ndarray, y: np.ndarray | None = None) -> np.ndarray:
    x = np.ascontiguousarray(x, np.float32)
    out = np.empty_like(x)
    _apply(which, x, x if y is None else y, out)
    return out


def test_elementary_functions_are_exact_to_a_few_last_places() -> None:
    spread = np.exp(np.linspace(-80, 80, 1 << 16)).astype(np.float32)
    np.testing.assert_allclose(apply(0, spread), np.log(spread.astype(np.float64)), rtol=2.5e-7)
    near = np.linspace(0.7, 1.4, 1 << 16).astype(np.float32)
    np.testing.assert_allclose(apply(0, near), np.log(near.astype(np.float64)), rtol=3e-7, atol=1e-9)
    powers = np.linspace(-125, 126, 1 << 16).astype(np.float32)
    np.testing.assert_allclose(apply(1, powers), np.exp2(powers.astype(np.float64)), rtol=2e-7)
    assert list(apply(1, np.repeat([-1e4, 1e4], 8))[[0, 15]]) == [2.0**-126, 2.0**127]
    np.testing.assert_array_equal(apply(2, spread), np.sqrt(spread))


def test_operators_work_lane_by_lane() -> None:
    x, y = noise(64, 1), noise(64, 2)
    np.testing.assert_array_equal(apply(3, x, y), np.abs(x - y))
    np.testing.assert_array_equal(apply(4, x, y), np.where(x >= y, 2 * x, -y))
    np.testing.assert_allclose(apply(5, x, y), (1 - x) / y + 3, rtol=1e-6)


@pytest.mark.parametrize("width", [1, 5, 15, 16, 17, 40])
def test_rows_become_columns_and_rows_again(width: int) -> None:
    @kernel
    def there_and_back(source, width, count, ones, places, out):
        columns = transpose.aligned(width * 16)
        starts = np.empty(16, np.int64)
        transpose.lane_starts(0, count, width, starts)
        transpose.take_rows(source, width, starts, ones, places, columns)
        transpose.put_rows(columns, width, out, starts)
        return columns.ctypes.data % 64

    for count in (1, 9, 16):
        rows = noise(width * count)
        out = np.full_like(rows, np.nan)
        assert there_and_back(rows, width, count, *transpose.row_places(width), out) == 0
        np.testing.assert_array_equal(out, rows)
