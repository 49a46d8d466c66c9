"""What holds for any audio: Parseval, linearity, shifts, and the edges of what can be given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_ser.dsp import features as f
from edge_ser.errors import EdgeSerError

SETTINGS = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
EDGES = (0, 250, 1000, 8000)

# Every feature of audio, called as f(y, n_fft, hop_length, center).
FEATURES: dict[str, Callable[..., Any]] = {
    "stft": lambda y, n, h, c: f.stft(y, n_fft=n, hop_length=h, center=c),
    "spectrogram": lambda y, n, h, c: f.spectrogram(y, n_fft=n, hop_length=h, center=c, power=2),
    "melspectrogram": lambda y, n, h, c: f.melspectrogram(y, n_fft=n, hop_length=h, center=c, n_mels=20),
    "mfcc": lambda y, n, h, c: f.mfcc(y, n_fft=n, hop_length=h, center=c, n_mels=20, n_mfcc=13, top_db=None),
    "centroid": lambda y, n, h, c: f.spectral_centroid(y, n_fft=n, hop_length=h, center=c),
    "bandwidth": lambda y, n, h, c: f.spectral_bandwidth(y, n_fft=n, hop_length=h, center=c),
    "rolloff": lambda y, n, h, c: f.spectral_rolloff(y, n_fft=n, hop_length=h, center=c),
    "flatness": lambda y, n, h, c: f.spectral_flatness(y, n_fft=n, hop_length=h, center=c),
    "contrast": lambda y, n, h, c: f.spectral_contrast(
        y, n_fft=n, hop_length=h, center=c, n_bands=4, top_db=None
    ),
    "bands": lambda y, n, h, c: f.band_energy(y, n_fft=n, hop_length=h, center=c, edges=EDGES),
    "chroma": lambda y, n, h, c: f.chroma_stft(y, n_fft=n, hop_length=h, center=c, tuning=0.0),
    "tonnetz": lambda y, n, h, c: f.tonnetz(y, n_fft=n, hop_length=h, center=c, tuning=0.0),
    "rms": lambda y, n, h, c: f.rms(y, frame_length=n, hop_length=h, center=c),
    "crossings": lambda y, n, h, c: f.zero_crossing_rate(y, frame_length=n, hop_length=h, center=c),
    "yin": lambda y, n, h, c: f.yin(y, frame_length=n, hop_length=h, center=c, fmin=100, fmax=400),
}
N, HOP = 512, 128

pytestmark = pytest.mark.usefixtures("features_backend")


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


@SETTINGS
@given(st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_any_length_is_transformed_right(n_fft: int, seed: int) -> None:
    x = noise(3 * n_fft + 5, seed)
    frames = np.lib.stride_tricks.sliding_window_view(x, n_fft).astype(np.float64)
    expected = np.fft.rfft(frames[:: max(1, n_fft // 3)])
    found = f.stft(x, n_fft=n_fft, hop_length=max(1, n_fft // 3), window="rectangular", center=False)
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max(), rtol=0)


@SETTINGS
@given(st.sampled_from([8, 64, 100, 333, 512, 2048]), st.integers(0, 2**32 - 1))
def test_parseval(n_fft: int, seed: int) -> None:
    x = noise(4 * n_fft, seed)
    power = f.spectrogram(x, n_fft=n_fft, hop_length=n_fft, window="rectangular", center=False, power=2)
    twice = np.full(power.shape[1], 2.0)
    twice[0] = 1
    if n_fft % 2 == 0:
        twice[-1] = 1
    energy = (x.reshape(4, n_fft).astype(np.float64) ** 2).sum(axis=1)
    np.testing.assert_allclose((power * twice).sum(axis=1) / n_fft, energy, rtol=1e-5)


@SETTINGS
@given(st.integers(0, 2**32 - 1), st.floats(-2, 2), st.floats(-2, 2))
def test_the_transform_is_linear(seed: int, a: float, b: float) -> None:
    x, y = noise(3000, seed), noise(3000, seed + 1)
    mixed = f.stft(a * x.astype(np.float64) + b * y, n_fft=400)
    parts = a * f.stft(x, n_fft=400).astype(np.complex128) + b * f.stft(y, n_fft=400)
    np.testing.assert_allclose(mixed, parts, atol=3e-6 * max(1.0, abs(a) + abs(b)), rtol=0)


@pytest.mark.parametrize("name", FEATURES)
@SETTINGS
@given(shift=st.integers(1, 20), samples=st.integers(2600, 6000))
def test_a_shift_by_hops_shifts_the_frames(name: str, shift: int, samples: int) -> None:
    x = noise(samples)
    whole = FEATURES[name](x, N, HOP, False)
    np.testing.assert_array_equal(FEATURES[name](x[shift * HOP :], N, HOP, False), whole[shift:])


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("samples", [0, 1, N - 1, N, N + HOP - 1, N + HOP])
def test_short_audio_has_the_frames_that_fit(name: str, samples: int) -> None:
    x = noise(samples)
    assert len(FEATURES[name](x, N, HOP, False)) == max(0, (samples - N) // HOP + 1)
    if samples or name != "crossings":
        assert len(FEATURES[name](x, N, HOP, True)) == samples // HOP + 1


SIGNALS = {
    "silence": np.zeros(4000),
    "full scale": np.sign(np.sin(np.arange(4000) * 0.3)),
    "offset": np.ones(4000),
    "denormal": noise(4000).astype(np.float64) * 1e-39,
    "alternating": np.tile([1.0, -1.0], 2000),
    "one click": np.eye(1, 4000, 2000)[0],
}


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("name", FEATURES)
def test_extreme_audio_has_finite_features(name: str, signal: str) -> None:
    found = FEATURES[name](SIGNALS[signal].astype(np.float32), N, HOP, True)
    assert np.isfinite(found).all()
    assert found.dtype in (np.float32, np.complex64)


def test_silence_and_offset_are_known() -> None:
    silent = np.zeros(4000, np.float32)
    for name in ("stft", "melspectrogram", "centroid", "bandwidth", "rolloff", "rms", "crossings", "chroma"):
        assert not np.any(FEATURES[name](silent, N, HOP, True)), name
    np.testing.assert_allclose(FEATURES["flatness"](silent, N, HOP, True), 1, rtol=1e-6)
    np.testing.assert_allclose(FEATURES["mfcc"](silent, N, HOP, True)[:, 0], -100 * np.sqrt(20), rtol=1e-6)
    offset = f.spectrogram(np.ones(4000, np.float32), n_fft=N, window="rectangular", center=False)
    np.testing.assert_allclose(offset[:, 0], N)
    assert offset[:, 1:].max() < 1e-4
    np.testing.assert_allclose(f.rms(np.ones(4000, np.float32), center=False), 1)


def test_a_tone_is_where_it_is() -> None:
    tone = (0.5 * np.sin(2 * np.pi * 200 / 16000 * np.arange(16000))).astype(np.float32)
    np.testing.assert_allclose(f.yin(tone, fmin=65, fmax=500, center=False), 200, rtol=2e-3)
    assert abs(np.median(f.spectral_centroid(tone, center=False)) - 200) < 10
    assert np.argmax(f.chroma_stft(tone, tuning=0.0).mean(axis=0)) == 7  # 200 Hz is nearest to G3
    _, aperiodicity = f.yin(tone, fmin=65, fmax=500, center=False, return_aperiodicity=True)
    assert aperiodicity.max() < 0.03
    clicks = np.zeros(160000, np.float32)
    clicks[::8000] = 1.0  # two a second
    assert abs(f.tempo(clicks) - 120) < 3


@pytest.mark.parametrize("name", FEATURES)
def test_unusable_audio_is_refused_in_a_sentence(name: str) -> None:
    for bad, word in (
        (np.array([0.0, np.nan] * 500), "500 samples"),
        (np.array([0.0, np.inf] * 500, np.float32), "infinite"),
        (np.full(1000, 1e300), "infinite"),
        (np.full(1000, -1e30), r"at most 1e\+12, but reaches 1e\+30"),
        (np.zeros(1000, np.int16), "32768"),
        (np.zeros((2, 1000)), "one channel"),
        (np.zeros(1000, np.complex64), "floating"),
    ):
        with pytest.raises(EdgeSerError, match=word):
            FEATURES[name](bad, N, HOP, True)


@pytest.mark.parametrize("name", FEATURES)
def test_layout_and_precision_of_the_input_do_not_matter(name: str) -> None:
    x = noise(5000)
    expected = FEATURES[name](x, N, HOP, True)
    strided = np.repeat(x, 3)[::3]
    assert not strided.flags.c_contiguous
    reverse = x[::-1].copy()[::-1]
    for other in (strided, reverse, x.astype(np.float64), list(map(float, x))):
        np.testing.assert_array_equal(FEATURES[name](other, N, HOP, True), expected)
    read_only = x.copy()
    read_only.setflags(write=False)
    np.testing.assert_array_equal(FEATURES[name](read_only, N, HOP, True), expected)
    np.testing.assert_array_equal(x, noise(5000))


def test_threads_do_not_change_a_bit() -> None:
    x = noise(40000)
    for call in (f.stft, f.melspectrogram, f.spectral_centroid, f.spectral_contrast, f.chroma_stft):
        options = {"n_bands": 4} if call is f.spectral_contrast else {}
        np.testing.assert_array_equal(call(x, threads=3, **options), call(x, **options))
    np.testing.assert_array_equal(f.yin(x, fmin=80, fmax=400, threads=2), f.yin(x, fmin=80, fmax=400))
    one, two = f.frame_features(x), f.frame_features(x, threads=2)
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


def test_windows() -> None:
    for name in ("hann", "hamming", "blackman", "rectangular"):
        symmetric = f.window(name, 33, periodic=False)
        np.testing.assert_allclose(symmetric, symmetric[::-1], atol=1e-15)
        np.testing.assert_allclose(f.window(name, 32), symmetric[:-1])
        assert f.window(name, 1) == 1
    x = noise(4000)
    np.testing.assert_array_equal(
        f.stft(x, n_fft=512, window=f.window("hamming", 512)), f.stft(x, n_fft=512, window="hamming")
    )
    with pytest.raises(EdgeSerError, match="hann"):
        f.window("bartlett", 5)
    for length in (0, 2.5):
        with pytest.raises(EdgeSerError, match="at least one"):
            f.window("hann", length)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "call",
    [
        lambda x: f.stft(x, n_fft=0),
        lambda x: f.stft(x, n_fft=512, hop_length=0),
        lambda x: f.stft(x, n_fft=512, win_length=513),
        lambda x: f.stft(x, n_fft=512, window=np.ones(3)),
        lambda x: f.stft(x, pad_mode="mean"),
        lambda x: f.stft(x[:100], n_fft=512, pad_mode="reflect"),
        lambda x: f.spectrogram(x, power=0),
        lambda x: f.spectral_centroid(),
        lambda x: f.spectral_centroid(S=np.full((3, 5), -1.0)),
        lambda x: f.spectral_centroid(S=np.full((3, 5), np.nan)),
        lambda x: f.spectral_centroid(S=np.ones(5)),
        lambda x: f.spectral_centroid(S=np.ones((3, 5)), freq=np.ones(4)),
        lambda x: f.spectral_bandwidth(x, p=0),
        lambda x: f.spectral_bandwidth(x, p=np.inf),
        lambda x: f.spectral_bandwidth(x, centroid=np.ones(3)),
        lambda x: f.spectral_bandwidth(x, centroid=np.full(8, np.nan)),
        lambda x: f.spectral_centroid(x, sr=-1),
        lambda x: f.spectral_centroid(x, sr=np.nan),
        lambda x: f.spectral_rolloff(x, roll_percent=1),
        lambda x: f.spectral_flatness(x, amin=0),
        lambda x: f.spectral_contrast(x, n_bands=0),
        lambda x: f.spectral_contrast(x, n_bands=9),
        lambda x: f.spectral_contrast(x, n_fft=64),
        lambda x: f.band_energy(x, edges=(5, 4)),
        lambda x: f.subbands(np.ones((3, 5)), [(2, 2)], np.arange(5)),
        lambda x: f.subbands(np.ones((3, 5)), [(0, 2.5)], np.arange(5)),
        lambda x: f.subbands(np.ones((3, 5)), [(0, 1, 2)], np.arange(5)),
        lambda x: f.subbands(np.ones((3, 5)), [], np.arange(5)),
        lambda x: f.melspectrogram(x, fmax=9000),
        lambda x: f.mfcc(x, lifter=-1),
        lambda x: f.mfcc(x, lifter=np.inf),
        lambda x: f.mfcc(x, n_mfcc=200),
        lambda x: f.mfcc(x, dct_type=5),
        lambda x: f.delta(np.ones((4, 2))),
        lambda x: f.delta(np.ones((40, 2)), width=4),
        lambda x: f.delta(np.ones((40, 2)), mode="no"),
        lambda x: f.delta(np.ones((40, 2)), order=9),
        lambda x: f.pcen(np.ones((4, 2)), gain=-1),
        lambda x: f.pcen(np.ones((4, 2)), eps=0),
        lambda x: f.pcen(np.ones((4, 2)), b=2),
        lambda x: f.pcen(np.ones((4, 2)), zi=np.ones(3)),
        lambda x: f.pcen(np.ones((4, 2)), zi=np.array([1, -1])),
        lambda x: f.pcen(np.ones((4, 2)), zi=np.array([1, np.nan])),
        lambda x: f.pcen(np.ones((4, 2)), gain=np.nan),
        lambda x: f.pcen(np.ones((4, 2)), time_constant=np.inf),
        lambda x: f.pcen(np.ones((4, 2)), hop_length=0),
        lambda x: f.pcen(-np.ones((4, 2))),
        lambda x: f.power_to_db(np.ones(3), amin=0),
        lambda x: f.power_to_db(np.ones(3), top_db=-1),
        lambda x: f.power_to_db(np.ones(3), amin=np.nan),
        lambda x: f.power_to_db(np.ones(3), amin=np.inf),
        lambda x: f.power_to_db(np.ones(3), top_db=np.nan),
        lambda x: f.power_to_db(np.ones(3), ref=np.nan),
        lambda x: f.power_to_db([1.0, np.nan]),
        lambda x: f.amplitude_to_db([1.0, np.inf], top_db=None),
        lambda x: f.amplitude_to_db(f.stft(x)),
        lambda x: f.yin(x, fmin=0, fmax=100),
        lambda x: f.yin(x, fmin=5, fmax=400),
        lambda x: f.yin(x, fmin=80, fmax=400, sr=np.inf),
        lambda x: f.yin(x, fmin=399, fmax=400),
        lambda x: f.rms(),
        lambda x: f.rms(S=np.ones((2, 5)), frame_length=16),
        lambda x: f.chroma_stft(x, norm=-1),
        lambda x: f.chroma_stft(x, sr=-1, tuning=0.0),
        lambda x: f.estimate_tuning(np.ones((3, 5)), resolution=0),
        lambda x: f.estimate_tuning(np.ones((3, 5)), bins_per_octave=0),
        lambda x: f.estimate_tuning(np.ones((3, 5)), sr=0),
        lambda x: f.zero_crossing_rate(x, threshold=-1),
        lambda x: f.fft_frequencies(n_fft=0),
        lambda x: f.onset_strength(S=np.ones((4, 2)), hop_length=0),
        lambda x: f.onset_strength(S=np.ones((4, 2)), n_fft=-1),
        lambda x: f.tempogram(np.ones((3, 5))),
        lambda x: f.tempogram([1.0, np.nan]),
        lambda x: f.tempo(x, start_bpm=0),
        lambda x: f.tempo(x, ac_size=0.01),
        lambda x: f.tempo(x, ac_size=np.inf),
        lambda x: f.tempo(x, hop_length=0),
        lambda x: f.tempo(x, max_tempo=1),
        lambda x: f.frame_features(x, names=["pitch"]),
        lambda x: f.FeatureSpec(n_mfcc=200),
        lambda x: f.FeatureSpec(window="kaiser"),
        lambda x: f.FeatureSpec.from_dict({"n_fft": 3}),
    ],
)
def test_values_out_of_range_are_refused(call: Callable[[np.ndarray], Any]) -> None:
    with pytest.raises(EdgeSerError):
        call(noise(4000))


@pytest.mark.parametrize("p", [0.1, 0.5, 1, 4, 12, 200])
def test_bandwidth_of_any_order_is_the_formula(p: float) -> None:
    hz, S = f.fft_frequencies(n_fft=512), np.abs(noise(3 * 257).reshape(3, 257)).astype(np.float64)
    S[1, 3:] = 0  # all of it near 0 Hz
    S[2, 100:] = 0
    for norm in (True, False):
        expected = []
        for row in S:
            weights = row / row.sum() if norm else row
            logs = np.log(weights[row > 0]) + p * np.log(np.abs(hz - row @ hz / row.sum())[row > 0])
            expected.append(np.exp((logs.max() + np.log(np.exp(logs - logs.max()).sum())) / p))
        largest = np.finfo(np.float32).max
        known = np.array(expected) < largest  # some sums to the tenth power are larger
        found = f.spectral_bandwidth(S=S, n_fft=512, p=p, norm=norm)
        np.testing.assert_allclose(found[known], np.array(expected)[known], rtol=2e-5)


def test_the_loudest_audio_has_finite_features() -> None:
    x = np.full(4000, 1e12, np.float32)
    x[::3] *= -1
    for name, feature in FEATURES.items():
        assert np.isfinite(feature(x, N, HOP, True)).all(), name
    np.testing.assert_allclose(f.rms(x, center=False), 1e12, rtol=1e-5)


def test_decibels_have_the_shape_of_what_they_are_of() -> None:
    assert f.power_to_db(100.0).shape == ()
    assert f.power_to_db(100.0) == pytest.approx(20)
    assert f.amplitude_to_db(np.full((2, 1, 3), 10), top_db=None).tolist() == [[[20.0] * 3]] * 2
    assert f.power_to_db(np.full((4, 6), 10.0)[::2, ::3]).tolist() == [[10.0, 10.0]] * 2


def test_energy_normalisation_by_hand() -> None:
    how: dict[str, Any] = {"gain": 1.0, "eps": 0.5, "return_zf": True}
    for b, zi, levels in (
        (0.5, None, (1.5, 2.75)),  # the past is 1: (2 + 1) / 2, (4 + 1.5) / 2
        (0.5, [0.0], (1.0, 2.5)),
        (0.5, [1.5], (2.5, 3.25)),  # half of the last level, 3: (2 + 3) / 2, (4 + 2.5) / 2
        (1.0, [0.0], (2.0, 4.0)),
    ):
        found, state = f.pcen([[2.0], [4.0]], b=b, zi=zi, **how)
        expected = [(x / (0.5 + level) + 2) ** 0.5 - 2**0.5 for x, level in zip((2, 4), levels, strict=True)]
        np.testing.assert_allclose(found[:, 0], expected, rtol=1e-6)
        np.testing.assert_allclose(state, (1 - b) * levels[1], rtol=1e-6)
    assert f.power_to_db([1.0, 100.0], top_db=0).tolist() == pytest.approx([20, 20])


def test_a_low_pass_of_hardly_a_frame_is_none_and_a_long_one_holds() -> None:
    energies = noise(40).reshape(10, 4) ** 2
    quick = f.pcen(energies, time_constant=1e-12)
    np.testing.assert_allclose(quick, f.pcen(energies, b=1.0), rtol=1e-6)
    _, state = f.pcen(energies, time_constant=1e200, zi=np.full(4, 3.0), return_zf=True)
    np.testing.assert_allclose(state, 3.0)


def test_subbands_of_silence_and_of_known_shapes() -> None:
    spectra = np.zeros((3, 10), np.float32)
    spectra[1, 2:4] = 1
    spectra[2, 7] = 4
    parts = f.subbands(spectra, np.array([(0, 5), (5, 10)]), 100.0 * np.arange(10))  # type: ignore[arg-type]
    np.testing.assert_allclose(parts.centroid, [[0, 0], [250, 0], [0, 700]])
    np.testing.assert_allclose(parts.bandwidth, [[0, 0], [50, 0], [0, 0]], atol=1e-3)
    np.testing.assert_allclose(parts.energy, [[0, 0], [2, 0], [0, 4]])


def test_the_table_has_a_row_a_frame_and_named_columns() -> None:
    spec = f.FeatureSpec(n_fft=512, hop_length=160, f0_min=80, n_mels=40, n_mfcc=13, contrast_bands=4)
    assert f.FeatureSpec.from_dict(spec.to_dict()) == spec
    found = f.frame_features(noise(16000), spec)
    assert list(found) == list(f.FEATURES)
    assert {len(values) for values in found.values()} == {101}
    names = f.column_names(spec)
    assert len(names) == len(set(names)) == sum(values.shape[1] for values in found.values())
    assert names[40:42] == ["mfcc_00", "mfcc_01"]
    assert "rms" in names
    some = f.frame_features(noise(16000), spec, names=["rms", "f0"])
    assert list(some) == ["rms", "f0"]
    np.testing.assert_array_equal(some["f0"], found["f0"])
