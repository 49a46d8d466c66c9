"""Features of audio in pieces are those of the whole, bit for bit, wherever it is cut."""

from __future__ import annotations

import copy
import functools
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_ser.dsp import features as f
from edge_ser.errors import EdgeSerError

SETTINGS = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
CUTS = st.lists(st.integers(0, 10_000), max_size=12)
SAMPLES = st.integers(0, 5000)

# What a FrameStream is given, and with which frames.
STREAMS: dict[str, tuple[Any, dict[str, Any]]] = {
    "stft": (f.stft, {"n_fft": 256, "hop_length": 64}),
    "stft-gaps": (f.stft, {"n_fft": 60, "hop_length": 100}),
    "stft-odd": (f.stft, {"n_fft": 77, "hop_length": 11}),
    "melspectrogram": (f.melspectrogram, {"n_fft": 512, "hop_length": 160, "win_length": 400, "n_mels": 26}),
    "mfcc": (f.mfcc, {"n_fft": 512, "hop_length": 160, "n_mels": 26, "n_mfcc": 13, "top_db": None}),
    "centroid": (f.spectral_centroid, {"n_fft": 512, "hop_length": 128}),
    "bandwidth": (f.spectral_bandwidth, {"n_fft": 512, "hop_length": 128, "p": 1.5}),
    "rolloff": (f.spectral_rolloff, {"n_fft": 512, "hop_length": 128}),
    "flatness": (f.spectral_flatness, {"n_fft": 512, "hop_length": 128}),
    "contrast": (f.spectral_contrast, {"n_fft": 512, "hop_length": 128, "n_bands": 4, "top_db": None}),
    "bands": (f.band_energy, {"n_fft": 512, "hop_length": 128}),
    "chroma": (f.chroma_stft, {"n_fft": 512, "hop_length": 128, "tuning": 0.0, "norm": 2}),
    "tonnetz": (f.tonnetz, {"n_fft": 512, "hop_length": 128, "tuning": 0.0}),
    "rms": (f.rms, {"frame_length": 400, "hop_length": 160}),
    "crossings": (f.zero_crossing_rate, {"frame_length": 401, "hop_length": 160, "pad_mode": "edge"}),
    "yin": (f.yin, {"frame_length": 512, "hop_length": 256, "fmin": 80.0, "fmax": 400.0}),
}

pytestmark = pytest.mark.usefixtures("features_backend")


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def pieces(x: np.ndarray, cuts: list[int]) -> list[np.ndarray]:
    edges = [0, *sorted(cut % (len(x) + 1) for cut in cuts), len(x)]
    return [x[a:b] for a, b in itertools.pairwise(edges)]


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("name", STREAMS)
@SETTINGS
@given(samples=SAMPLES, cuts=CUTS)
def test_any_split_gives_the_same_bits(name: str, center: bool, samples: int, cuts: list[int]) -> None:
    feature, options = STREAMS[name]
    x = noise(samples)
    if name == "crossings" and not samples:
        return
    batch = {key: value for key, value in options.items() if name != "crossings" or key != "pad_mode"}
    stream = f.FrameStream(feature, center=center, **options)
    found = [*(stream.push(piece) for piece in pieces(x, cuts)), stream.flush()]
    np.testing.assert_array_equal(np.concatenate(found), feature(x, center=center, **batch))


@SETTINGS
@given(samples=SAMPLES, cuts=CUTS)
def test_the_whole_table_streams(samples: int, cuts: list[int]) -> None:
    spec = f.FeatureSpec(f0_min=80, n_mels=26, n_mfcc=13, contrast_bands=4, top_db=None, tuning=0.0)
    options: dict[str, Any] = {"spec": spec, "names": f.FRAME_FEATURES, "n_fft": 512, "hop_length": 160}
    stream = f.FrameStream(f.frame_features, **options)
    x = noise(samples)
    found = [*(stream.push(piece) for piece in pieces(x, cuts)), stream.flush()]
    whole = f.frame_features(x, **options)
    for name in f.FRAME_FEATURES:
        np.testing.assert_array_equal(
            np.concatenate([part[name] for part in found]), whole[name], err_msg=name
        )


@SETTINGS
@given(frames=st.integers(1, 60), cuts=CUTS)
def test_what_carries_a_state_streams(frames: int, cuts: list[int]) -> None:
    energies = noise(frames * 8).reshape(frames, 8) ** 2
    for step, whole in (
        (functools.partial(f.pcen, hop_length=160, return_zf=True), f.pcen(energies, hop_length=160)),
        (f.level_rises, f.onset_strength(S=energies, center=False)),
        (functools.partial(f.level_rises, lag=3), f.onset_strength(S=energies, center=False, lag=3)),
    ):
        stream = f.RowStream(step)
        found = [stream.push(piece) for piece in pieces(energies, cuts)]
        np.testing.assert_array_equal(np.concatenate(found), whole)


@SETTINGS
@given(frames=st.integers(9, 60), cuts=CUTS, order=st.integers(1, 2), width=st.sampled_from([3, 5, 9]))
def test_slopes_stream(frames: int, cuts: list[int], order: int, width: int) -> None:
    rows = noise(frames * 5).reshape(frames, 5)
    stream = f.DeltaStream(width=width, order=order)
    found = [*(stream.push(piece) for piece in pieces(rows, cuts)), stream.flush()]
    np.testing.assert_array_equal(np.concatenate(found), f.delta(rows, width=width, order=order))


@pytest.mark.parametrize("width", [3, 9])
def test_slopes_of_as_many_frames_as_the_width(width: int) -> None:
    rows = noise(width * 5).reshape(width, 5)
    stream = f.DeltaStream(width=width)
    found = [stream.push(row[None]) for row in rows]
    assert [len(part) for part in found] == [0] * (width - 1) + [width // 2 + 1]
    np.testing.assert_array_equal(np.concatenate([*found, stream.flush()]), f.delta(rows, width=width))


def test_a_state_can_be_kept_and_put_back() -> None:
    x = noise(3000)
    stream = f.FrameStream(f.rms, frame_length=400, hop_length=160)
    stream.push(x[:1234])
    kept = copy.deepcopy(stream.state)
    first = stream.push(x[1234:])
    other = f.FrameStream(f.rms, frame_length=400, hop_length=160)
    other.state = kept
    np.testing.assert_array_equal(other.push(x[1234:]), first)


@pytest.mark.parametrize("pad_mode", ["constant", "edge"])
def test_a_stream_that_was_ended_begins_anew(pad_mode: str) -> None:
    stream = f.FrameStream(f.zero_crossing_rate, frame_length=400, hop_length=160, pad_mode=pad_mode)
    slopes = f.DeltaStream(width=3)
    for seed in (1, 2):
        x = noise(1_234, seed)
        fresh = f.FrameStream(f.zero_crossing_rate, frame_length=400, hop_length=160, pad_mode=pad_mode)
        one, other = (np.concatenate([used.push(x), used.flush()]) for used in (stream, fresh))
        np.testing.assert_array_equal(one, other)
        rows = x[:1_200].reshape(-1, 8)
        np.testing.assert_array_equal(
            np.concatenate([slopes.push(rows), slopes.flush()]), f.delta(rows, width=3)
        )


def test_a_refused_piece_changes_nothing() -> None:
    x = noise(3000)
    stream = f.FrameStream(f.spectral_centroid, n_fft=512, hop_length=128, center=False)
    parts = [stream.push(x[:1000])]
    with pytest.raises(EdgeSerError):
        stream.push(np.array([np.nan], np.float32))
    parts.append(stream.push(x[1000:]))
    np.testing.assert_array_equal(
        np.concatenate(parts), f.spectral_centroid(x, n_fft=512, hop_length=128, center=False)
    )


def test_streams_refuse_what_cannot_be() -> None:
    with pytest.raises(EdgeSerError, match="either"):
        f.FrameStream(f.rms, hop_length=160)
    with pytest.raises(EdgeSerError, match="reflect"):
        f.FrameStream(f.rms, frame_length=400, hop_length=160, pad_mode="reflect")
    with pytest.raises(EdgeSerError, match="0 samples"):
        f.FrameStream(f.zero_crossing_rate, frame_length=400, hop_length=160, pad_mode="edge").flush()
    bare = {"frame_length": 400, "hop_length": 160, "pad_mode": "edge", "center": False}
    assert len(f.FrameStream(f.zero_crossing_rate, **bare).flush()) == 0  # nothing is padded
    with pytest.raises(EdgeSerError, match="fewer"):
        f.DeltaStream().flush()
    stream = f.DeltaStream()
    stream.push(np.ones((2, 3)))
    with pytest.raises(EdgeSerError, match="do not follow"):
        stream.push(np.ones((2, 4)))
    with pytest.raises(EdgeSerError, match="bands"):
        f.level_rises(np.ones((2, 3)), zi=np.ones((1, 2)))
