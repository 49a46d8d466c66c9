"""Numbers that tell speech from other sounds: as written down plainly, and the same bits step by step."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.speech_statistics import WINDOW_STEPS, SpeechWindow, speech_statistics

RATE = 80.0
RNG = np.random.default_rng(0)
STEP = RNG.normal(size=(20, 64)).astype(np.float32)


def plainly(frames: np.ndarray, rate: float) -> np.ndarray:
    """The definition, over a whole stretch at once."""
    x = frames.astype(np.float64)
    n, bands = x.shape
    level = x.mean(1)
    moving, shape = level - level.mean(), x - level[:, None]
    scaled = moving / (moving.std() + 1e-3)
    power = np.abs(np.fft.rfft(scaled * np.hanning(n))) ** 2
    rates = np.fft.rfftfreq(n, 1 / rate)
    shares = [
        power[(rates >= low) & (rates < high)].sum() / (power[1:].sum() + 1e-9)
        for low, high in ((1, 3), (3, 6), (6, 12), (12, 25))
    ]
    groups = np.stack([part.mean(1) for part in np.array_split(shape, 8, axis=1)], 1)
    low = x[:, :32]
    wide = np.pad(low, ((0, 0), (3, 3)), mode="edge")
    fine = low - np.stack([wide[:, i : i + 7].mean(1) for i in range(low.shape[1])], 1)
    alike = [(fine[:, lag:] * fine[:, :-lag]).sum(1) for lag in range(2, 10)]
    ripple = np.max(alike, 0) / ((fine**2).sum(1) + 1e-3)
    loud = moving >= np.median(moving)
    cosines = np.cos(np.pi * np.outer(np.arange(1, 13), np.arange(bands) + 0.5) / bands) / bands
    flux, width = np.abs(np.diff(x, axis=0)), np.sqrt((shape**2).mean(1))
    still = ripple.std() <= 1e-9 or moving.std() <= 1e-9
    return np.array(
        [
            *(moving.std(), (scaled**3).mean(), (scaled**4).mean(), np.ptp(moving)),
            *np.quantile(moving, [0.1, 0.25, 0.75, 0.9]),
            *shares,
            *(cosines @ shape.mean(0)),
            *(cosines @ shape[loud].mean(0)),
            *groups.std(0),
            *np.abs(np.diff(groups, axis=0)).mean(0),
            *(flux.mean(), flux.std()),
            *(np.abs(np.diff(level)).mean(), np.abs(np.diff(shape, axis=0)).mean()),
            *(ripple.mean(), ripple.std(), ripple[loud].mean(), np.quantile(ripple, 0.9)),
            0.0 if still else np.corrcoef(ripple, moving)[0, 1],
            *(width.mean(), width.std()),
        ]
    )


@settings(max_examples=60)
@given(st.integers(2, 200), st.integers(16, 80), st.sampled_from([0.1, 3.0, 20.0]), st.integers(0, 2**32 - 1))
def test_they_are_what_is_written_down(frames: int, bands: int, size: float, seed: int) -> None:
    walk = np.random.default_rng(seed).normal(scale=size, size=(frames, bands)).cumsum(0).astype(np.float32)
    np.testing.assert_allclose(speech_statistics(walk, RATE), plainly(walk, RATE), rtol=1e-8, atol=1e-9)


@settings(max_examples=40)
@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(1, 25), st.integers(0, 2**32 - 1))
def test_step_by_step_they_are_the_same_bits_whenever_they_are_asked_for(
    asked: list[bool], frames: int, seed: int
) -> None:
    steps = np.random.default_rng(seed).normal(size=(len(asked), frames, 32)).astype(np.float32)
    window = SpeechWindow(RATE)
    for i, ask in enumerate(asked):
        window.hear(steps[i])
        heard = np.concatenate(steps[max(0, i + 1 - WINDOW_STEPS) : i + 1])
        if ask and len(heard) > 1:
            assert (window.statistics() == speech_statistics(heard, RATE)).all()


def test_they_are_finite_and_have_no_level() -> None:
    count = len(speech_statistics(STEP, RATE))
    for frames in (STEP, np.zeros((20, 64)), np.full((2, 40), -5.0), np.tile(STEP, (8, 1))):
        values = speech_statistics(frames, RATE)
        assert values.shape == (count,) and np.isfinite(values).all()
    assert speech_statistics(STEP + 3.0, RATE) == pytest.approx(speech_statistics(STEP, RATE), abs=1e-4)


def test_a_voice_moves_four_times_a_second_and_has_ripples() -> None:
    time, band = np.arange(160)[:, None] / RATE, np.arange(64)[None]
    syllables = 10 * np.sin(2 * math.pi * 4 * time) + 0 * band
    voice = syllables + 8 * np.cos(2 * math.pi * band / 5)
    shares = speech_statistics(voice.astype(np.float32), RATE)[8:12]
    assert shares.argmax() == 1 and shares[1] > 0.9  # 3 to 6 a second
    ripple = -7  # its mean, by place
    assert speech_statistics(voice, RATE)[ripple] > 0.5 > speech_statistics(syllables, RATE)[ripple]
