"""log_mel and LogMelStream on both backends: librosa's numbers, the same bits for any split, clear refusals."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ser.dsp import LogMelStream, MelSpec, backend, log_mel
from edge_ser.dsp.backends import VARIABLE
from edge_ser.dsp.spec import LOGS, PADDINGS, WINDOWS
from edge_ser.errors import EdgeSerError

SPECS = [
    MelSpec(),
    MelSpec(win_length=400, hop_length=160, padding="reflect"),
    MelSpec(
        win_length=400, n_fft=400, hop_length=160, n_mels=80, padding="center", mel_scale="htk", log="log10"
    ),
    MelSpec(win_length=64, n_fft=64, hop_length=32, n_mels=26, log="ln", mean=-4.0, scale=3.0),
    MelSpec(
        win_length=30, n_fft=32, hop_length=50, n_mels=5, padding="none", power=1.0
    ),  # gaps between frames
    MelSpec(
        win_length=600, n_fft=1000, hop_length=77, n_mels=17, padding="none", window="blackman", log="none"
    ),
    MelSpec(win_length=22, n_fft=22, hop_length=7, n_mels=3),  # NumPy alone takes it
]


@pytest.fixture(params=["c", "numpy"])
def chosen(request: pytest.FixtureRequest) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "numpy":
            patch.setenv(VARIABLE, "numpy")
        elif backend() != "c":
            pytest.skip("the compiled front end is not built here")
        yield request.param


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def in_pieces(x: np.ndarray, spec: MelSpec, cuts: list[int]) -> np.ndarray:
    stream = LogMelStream(spec)
    edges = [0, *sorted(cut % (len(x) + 1) for cut in cuts), len(x)]
    pieces = [stream.push(x[a:b]) for a, b in itertools.pairwise(edges)]
    return np.concatenate([*pieces, stream.flush()])


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.n_fft}-{spec.padding}")
def test_any_split_gives_the_same_bits(chosen: str, spec: MelSpec) -> None:
    @settings(max_examples=40)
    @given(st.integers(0, 4000), st.lists(st.integers(0, 10_000), max_size=12), st.integers(0, 2**32 - 1))
    def holds(samples: int, cuts: list[int], seed: int) -> None:
        if spec.padding == "reflect":
            samples += spec.n_fft // 2 + 1
        x = noise(samples, seed)
        assert in_pieces(x, spec, cuts).tobytes() == log_mel(x, spec).tobytes()

    holds()


def test_a_long_recording_is_its_blocks(chosen: str) -> None:
    for spec in SPECS[:5]:
        x = noise(40_000)
        whole = log_mel(x, spec)
        assert in_pieces(x, spec, [9_000, 9_001, 30_000]).tobytes() == whole.tobytes()
        hops = list(range(0, len(x), spec.hop_length))
        assert in_pieces(x, spec, hops).tobytes() == whole.tobytes()


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"padding": "reflect"},
        {"power": 1.0},
        {"mel_scale": "htk", "mel_norm": "none", "fmin": 0.0, "fmax": 4000.0},
        {"n_fft": 400, "win_length": 319, "padding": "none"},
        {"n_fft": 2048, "win_length": 1024, "hop_length": 512, "n_mels": 128},
    ],
    ids=str,
)
def test_librosa_has_the_same_numbers(chosen: str, change: dict, window: str, log: str) -> None:
    librosa = pytest.importorskip("librosa")
    spec = dataclasses.replace(MelSpec(padding="center", hop_length=160), window=window, log=log, **change)
    x = noise(8000).astype(np.float64)
    names = {"hann": "hann", "hamming": "hamming", "blackman": "blackman", "rectangular": "boxcar"}
    mel = librosa.feature.melspectrogram(
        y=x,
        sr=spec.sample_rate,
        n_fft=spec.n_fft,
        hop_length=spec.hop_length,
        win_length=spec.win_length,
        window=names[window],
        center=spec.padding != "none",
        pad_mode="reflect" if spec.padding == "reflect" else "constant",
        power=spec.power,
        n_mels=spec.n_mels,
        fmin=spec.fmin,
        fmax=spec.fmax,
        htk=spec.mel_scale == "htk",
        norm="slaney" if spec.mel_norm == "slaney" else None,
        dtype=np.float64,
    ).T
    if log == "none":
        np.testing.assert_allclose(log_mel(x, spec), mel, rtol=1e-6)
        return
    mel = np.maximum(mel, spec.floor)
    expected = np.log(mel) if log == "ln" else np.log10(mel) * {"log10": 1.0, "db": 20.0 / spec.power}[log]
    np.testing.assert_allclose(log_mel(x, spec), expected, atol=1e-5)


@pytest.mark.parametrize("padding", PADDINGS)
def test_frames_are_as_many_as_said(chosen: str, padding: str) -> None:
    spec = MelSpec(padding=padding, hop_length=160)
    for samples in (600, 1599, 1600, 1601):
        frames = {
            "causal": samples // 160,
            "none": (samples - 512) // 160 + 1,
            "center": samples // 160 + 1,
            "reflect": samples // 160 + 1,
        }
        assert log_mel(noise(samples), spec).shape == (frames[padding], 64)
        assert spec.frames(samples) == frames[padding]


def test_the_shortest_recordings(chosen: str) -> None:
    for samples in (0, 1, 159):
        assert log_mel(noise(samples), MelSpec(hop_length=160)).shape == (0, 64)
        assert log_mel(noise(samples), MelSpec(padding="none")).shape == (0, 64)
        assert log_mel(noise(samples), MelSpec(padding="center")).shape == (1, 64)
    with pytest.raises(EdgeSerError, match="256 samples are too few to reflect"):
        log_mel(noise(256), MelSpec(padding="reflect"))
    assert log_mel(noise(257), MelSpec(padding="reflect")).shape == (2, 64)


def test_silence_and_what_is_nearly_silence_is_the_floor(chosen: str) -> None:
    for x in (np.zeros(2000, np.float32), np.full(2000, 1e-45, np.float32), np.full(2000, 5e-324)):
        assert (log_mel(x, MelSpec()) == -100.0).all()


def test_a_full_scale_tone_is_in_its_band(chosen: str) -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000).astype(np.float32)
    peak = log_mel(tone, MelSpec())[10:].argmax(axis=1)
    silent_there = log_mel(np.ones(16000, np.float32), MelSpec())[10:, 5:]
    assert len(set(peak)) == 1
    assert (silent_there < -80).all()


def test_doubling_the_amplitude_adds_six_decibels(chosen: str) -> None:
    x = noise(4000)
    rise = log_mel(2 * x, MelSpec()) - log_mel(x, MelSpec())
    np.testing.assert_allclose(rise, 20 * np.log10(2), atol=2e-5)


def test_the_loudest_that_a_double_squares_has_its_level(chosen: str) -> None:
    x = noise(4000).astype(np.float64)
    rise = log_mel(1e152 * x, MelSpec()) - log_mel(x, MelSpec())
    np.testing.assert_allclose(rise, 3040, atol=1e-3)


def test_mean_and_scale_are_taken_off(chosen: str) -> None:
    x, plain = noise(4000), MelSpec(padding="reflect")
    found = log_mel(x, dataclasses.replace(plain, mean=-30.0, scale=12.0))
    np.testing.assert_allclose(found, (log_mel(x, plain).astype(np.float64) + 30) / 12, atol=1e-5)


@pytest.mark.parametrize("hop", [63, 64, 65, 129])
@pytest.mark.parametrize("piece", [1, 64, 65])
def test_hops_of_about_a_frame_in_pieces_of_about_one(chosen: str, hop: int, piece: int) -> None:
    # Hamming's window, not Hann's: a frame's first sample counts.
    frame = {"window": "hamming", "win_length": 64, "n_fft": 64, "n_mels": 5, "padding": "none"}
    spec, x = MelSpec(hop_length=hop, **frame), noise(700)  # type: ignore[arg-type]
    whole = log_mel(x, spec)
    assert len(whole) == (700 - 64) // hop + 1
    assert in_pieces(x, spec, list(range(piece, 700, piece))).tobytes() == whole.tobytes()
    for k, row in enumerate(whole):  # each frame is that of its own samples
        np.testing.assert_array_equal(log_mel(x[k * hop : k * hop + 64], spec), row[None])


def test_a_delay_of_a_hop_is_a_delay_of_a_frame(chosen: str) -> None:
    spec, x = MelSpec(), noise(4000)
    late = log_mel(np.concatenate([np.zeros(spec.hop_length, np.float32), x]), spec)
    assert (late[1:] == log_mel(x, spec)).all()


def test_any_layout_and_floating_type(chosen: str) -> None:
    x = noise(3000)
    expected = log_mel(x, MelSpec())
    apart = np.zeros((3000, 3), np.float32)
    apart[:, 1] = x
    backwards = x[::-1].copy()
    for same in (
        apart[:, 1],
        backwards[::-1],
        x.astype(np.float64),
        x.astype(np.longdouble),
        x.astype(">f4"),
        list(map(float, x)),
    ):
        assert (log_mel(same, MelSpec()) == expected).all()
    assert x.tobytes() == noise(3000).tobytes()


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (np.zeros((2, 100), np.float32), r"one channel, shape \(samples,\), not \(2, 100\)"),
        (np.zeros(100, np.int16), "not int16: divide int16 by 32768"),
        (np.zeros(100, np.complex64), "not complex64"),
        (np.array([0.0, np.nan, np.inf, -np.inf]), "3 samples that are NaN or infinite"),
        (np.array([np.inf, 0.0]), "1 samples that are NaN or infinite"),
        (np.array([0.0, -np.inf], np.float32), "1 samples that are NaN or infinite"),
        (np.array([np.nan]), "1 samples that are NaN or infinite"),
        pytest.param(
            np.full(9_000, 4.0, np.longdouble) ** np.array([0] * 8_999 + [600]),
            "1 samples that are NaN or infinite",
            marks=pytest.mark.skipif(
                np.finfo(np.longdouble).maxexp == 1024, reason="long double is double here"
            ),
            id="beyond double",
        ),
    ],
)
def test_what_is_no_audio_is_refused_and_changes_nothing(chosen: str, x: np.ndarray, says: str) -> None:
    for spec in SPECS:
        good = noise(5000)
        stream = LogMelStream(spec)
        found = []
        for piece in (
            good[:100],
            good[100:700],
            good[700:],
        ):  # before its left edge is full, after, and at its end
            found.append(stream.push(piece))
            with pytest.raises(EdgeSerError, match=says):
                stream.push(x)
        found.append(stream.flush())
        assert np.concatenate(found).tobytes() == log_mel(good, spec).tobytes()


def test_a_bad_sample_late_in_a_long_push_changes_nothing(chosen: str) -> None:
    stream, good = LogMelStream(MelSpec()), noise(50_000)
    bad = good.copy()
    bad[49_000] = np.nan
    with pytest.raises(EdgeSerError, match="1 samples"):
        stream.push(bad)
    assert stream.push(good).tobytes() == log_mel(good, MelSpec()).tobytes()


def test_what_overflows_is_infinite(chosen: str) -> None:
    loud = np.zeros(4000)
    loud[::200] = 1e200
    with np.errstate(over="ignore", invalid="ignore"):
        assert not np.isfinite(log_mel(loud, MelSpec())).any()


def test_reset_and_flush_forget(chosen: str) -> None:
    for spec in SPECS:
        stream, x = LogMelStream(spec), noise(5000)
        stream.push(noise(900, seed=1))
        stream.reset()
        first = np.concatenate([stream.push(x), stream.flush()])
        second = np.concatenate([stream.push(x), stream.flush()])
        assert first.tobytes() == second.tobytes() == log_mel(x, spec).tobytes()


def test_results_are_the_callers_own(chosen: str) -> None:
    stream, x = LogMelStream(MelSpec()), noise(2000)
    kept = stream.push(x[:1000])
    copy = kept.copy()
    stream.push(x[1000:])
    assert (kept == copy).all()
    kept[:] = 0  # and may be written
