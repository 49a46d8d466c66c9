"""A recording as a row: what its numbers are, and sound that gives none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edge_ser.dsp.features import FeatureSpec, column_names, frame_features
from edge_ser.errors import EdgeSerError
from edge_ser.features import SETS, VectorSpec, feature_vector, load_spec, vector_names

SPEECH = load_spec("speech")


def wave(seconds: float = 0.5, f0: float = 150.0, seed: int = 0) -> np.ndarray:
    t = np.arange(round(16000 * seconds)) / 16000
    voice = sum(np.sin(2 * np.pi * k * f0 * t) / k for k in range(1, 20))
    return (0.1 * voice + np.random.default_rng(seed).normal(0, 1e-3, len(t))).astype(np.float32)


def named(x: np.ndarray, spec: VectorSpec = SPEECH) -> dict[str, float]:
    return dict(zip(vector_names(spec), feature_vector(x, spec).tolist(), strict=True))


@pytest.mark.parametrize("name", SETS)
def test_a_vector_has_a_finite_number_for_each_name(name):
    spec = load_spec(name)
    vector = feature_vector(wave(), spec)
    assert vector.dtype == np.float32 and vector.shape == (len(vector_names(spec)),)
    assert np.isfinite(vector).all()


def test_numbers_stand_under_their_names():
    x = wave()
    got = named(x)
    frames = frame_features(x, SPEECH.frames, names=SPEECH.names)
    for feature, column in (("mfcc", 7), ("rms", 0), ("band_energy", 3)):
        name = column_names(SPEECH.frames, [feature])[column]
        course = frames[feature][:, column].astype(float)
        assert got[f"{name}_mean"] == pytest.approx(course.mean(), rel=1e-6)
        assert got[f"{name}_q95"] == pytest.approx(np.quantile(course, 0.95), rel=1e-6)
        times = np.arange(len(course)) * 0.01
        assert got[f"{name}_slope"] == pytest.approx(np.polyfit(times, course, 1)[0], rel=1e-4, abs=1e-4)


def test_the_whole():
    spec = VectorSpec(SPEECH.frames, (), (), ("duration", "level", "snr", "voiced"))
    loud, quiet = wave(0.5), np.random.default_rng(0).normal(0, 1e-3, 8000).astype(np.float32)
    got = named(np.concatenate([quiet, loud]), spec)
    assert got["duration"] == 1.0
    assert got["level"] == pytest.approx(10 * np.log10((np.mean(loud**2) + np.mean(quiet**2)) / 2), abs=0.01)
    expected = 10 * np.log10(np.mean(loud**2) / 1e-6)
    assert got["snr"] == pytest.approx(expected, abs=1.5)
    assert 0.4 < got["voiced"] < 0.6
    silent = named(np.zeros(8000, np.float32), spec)
    assert silent["level"] == -100 and silent["snr"] == 0
    assert named(1e-3 * loud, spec)["level"] == pytest.approx(10 * np.log10(np.mean(loud**2)) - 60, abs=0.01)
    assert named(np.concatenate([np.zeros(8000, np.float32), loud]), spec)["snr"] == 100
    assert named(loud[:512], VectorSpec(FeatureSpec(n_fft=512, hop_length=600), (), (), ("snr",)))["snr"] == 0


def test_signal_and_noise_are_a_tenth_of_the_frames_each():
    levels = np.repeat([0.03, 1e-3, 0.03, 1.0, 0.03], [16000, 7200, 17600, 7200, 16000])  # 0.45 s of 4
    wave = levels * np.random.default_rng(0).normal(0, 0.1, 64000)
    got = named(wave, VectorSpec(SPEECH.frames, (), (), ("snr",)))
    assert got["snr"] == pytest.approx(60, abs=1.5)


def test_a_frame_is_voiced_below_a_fifth_of_aperiodicity():
    # a voice that noise drowns by and by
    noise = np.linspace(0, 0.3, 16000) * np.random.default_rng(2).normal(size=16000)
    x = (wave(1.0) + noise).astype(np.float32)
    course = frame_features(x, SPEECH.frames, names=["aperiodicity"])["aperiodicity"]
    below = [float((course < limit).mean()) for limit in (0.1, 0.2, 0.4)]
    assert below[0] + 0.02 < below[1] < below[2] - 0.02 and below[1] < 0.45
    got = named(x, VectorSpec(SPEECH.frames, (), (), ("voiced",)))
    assert got["voiced"] == pytest.approx(below[1], abs=1e-6)


def test_pitch_is_that_of_the_voiced_frames():
    spec = VectorSpec(SPEECH.frames, ("f0",), ("median", "std"))
    noise = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    got = named(np.concatenate([noise, wave(0.5, f0=200.0)]), spec)
    assert got["f0_median"] == pytest.approx(200, rel=0.01)
    assert named(noise, spec) == {"f0_median": 0, "f0_std": 0}
    single = VectorSpec(FeatureSpec(n_fft=2048, hop_length=4000), ("f0",), ("mean",))
    assert named(wave()[:2048], single)["f0_mean"] == pytest.approx(150, rel=0.02)


@pytest.mark.parametrize("hop_length", [160, 256])
def test_the_slope_of_pitch_is_per_second_across_a_pause(hop_length):
    # 150 Hz and 60 more each second; noise from 0.4 to 1.1 s
    at = np.arange(24000) / 16000
    phase = 2 * np.pi * (150 * at + 30 * at**2)
    x = 0.1 * sum(np.sin(k * phase) / k for k in range(1, 15))
    x[6400:17600] = np.random.default_rng(0).normal(0, 0.1, 11200)
    spec = VectorSpec(dataclasses.replace(SPEECH.frames, hop_length=hop_length), ("f0",), ("slope",))
    assert named(x.astype(np.float32), spec)["f0_slope"] == pytest.approx(60, rel=0.05)


@pytest.mark.parametrize(("sample_rate", "hop_length"), [(16000, 512), (16000, 256), (12000, 256)])
def test_tempo_is_that_of_clicks(sample_rate, hop_length):
    clicks = np.zeros(sample_rate * 6, np.float32)
    clicks[:: sample_rate // 2] = 1.0  # two a second
    wave = np.convolve(clicks, np.hanning(64))[: len(clicks)].astype(np.float32)
    got = named(wave, VectorSpec(FeatureSpec(sample_rate, hop_length=hop_length), (), (), ("tempo",)))
    assert got["tempo"] == pytest.approx(120, rel=0.04)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(
    "x", [np.zeros(4000), np.ones(4000), np.full(4000, 1e-40), np.sign(np.sin(np.arange(4000)))],
    ids=["silence", "direct current", "denormal", "full scale"],
)  # fmt: skip
def test_strange_sound_gives_finite_numbers(name, x):
    assert np.isfinite(feature_vector(x.astype(np.float32), load_spec(name))).all()


def test_form_in_memory_does_not_matter():
    x = wave()
    expected = feature_vector(x, SPEECH)
    wide = np.stack([x, x], axis=1)
    for other in (x.astype(np.float64), wide[:, 0], x.tolist() and np.array(x.tolist())):
        np.testing.assert_array_equal(feature_vector(other, SPEECH), expected)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (np.zeros(0, np.float32), "0.000 s of audio are too short .* a frame of them is 0.032 s"),
        (np.zeros(511, np.float32), "0.032 s of audio are too short"),
        (np.full(8000, np.nan, np.float32), "8000 samples that are NaN or infinite"),
        (np.array([np.inf] + [0.0] * 8000), "1 samples that are NaN or infinite"),
        (np.zeros((2, 8000), np.float32), "must be one channel"),
        (np.zeros(8000, np.int16), "divide int16 by 32768"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(x, says):
    with pytest.raises(EdgeSerError, match=says):
        feature_vector(x, SPEECH)


def test_a_single_frame_is_enough():
    spec = VectorSpec(
        FeatureSpec(n_fft=512, hop_length=600), SPEECH.names, SPEECH.functionals, ("duration", "snr")
    )
    assert np.isfinite(feature_vector(wave()[:512], spec)).all()
