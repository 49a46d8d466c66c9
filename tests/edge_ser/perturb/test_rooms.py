"""Rooms: identity, alignment, level, and the figures of those that are made."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ser.audio import load_audio
from edge_ser.errors import EdgeSerError
from edge_ser.perturb import reverberate, room_response
from tests.edge_ser.perturb.signals import LAW, RATE, is_wave, level_db, levels_db, noise_of, tone, waves
from tests.support import need_corpus

pytest.importorskip("scipy")


@LAW
@given(waves, st.integers(0, 3000), st.integers(0, 3000), st.sampled_from([1.0, 1e-3, -0.5, 20.0]))
def test_a_single_impulse_is_the_identity(wave, before, after, height):
    impulse = np.zeros(before + 1 + after, np.float32)
    impulse[before] = height
    heard = reverberate(wave, impulse)
    assert is_wave(heard, len(wave))
    assert np.abs(heard - wave).max() <= 2e-6 * np.abs(wave).max()


@LAW
@given(waves, st.integers(1, 4000), st.integers(0, 9))
def test_length_and_level_stay(wave, length, seed):
    rir = noise_of(length, seed)
    before = wave.copy(), rir.copy()
    heard = reverberate(wave, rir)
    assert is_wave(heard, len(wave))
    assert np.array_equal(wave, before[0]) and np.array_equal(rir, before[1])
    # unless what is heard at first lies so far below the direct sound that rounding hides it
    assert level_db(heard) == pytest.approx(level_db(wave), abs=1e-2)


def test_it_is_the_convolution():
    wave, rir = noise_of(700), noise_of(90, 1)
    rir[20] = 2
    wanted = np.convolve(wave.astype(np.float64), rir)[20 : 20 + 700]
    heard = reverberate(wave, rir)
    assert np.allclose(heard * np.linalg.norm(wanted) / np.linalg.norm(heard), wanted, atol=1e-5)


@LAW
@given(st.floats(0.1, 3), st.floats(-10, 20), st.integers(0, 9))
def test_a_made_room_has_the_figures_asked_for(rt60_s, direct_db, seed):
    room = room_response(rt60_s, direct_db, np.random.default_rng(seed))
    assert room[0] == 1 and not room[1:40].any() and room[40] != 0
    assert len(room) == 40 + round(rt60_s * RATE)
    assert level_db(room[:1]) - 10 * np.log10((room[1:].astype(np.float64) ** 2).sum()) == pytest.approx(
        direct_db, abs=1e-3
    )
    # the slope of what is left (Schroeder), between 5 and 25 dB below its beginning
    left = np.cumsum(np.square(room[:0:-1], dtype=np.float64))[::-1]
    left = 10 * np.log10(left / left[0])
    slope = (np.argmax(left < -25) - np.argmax(left < -5)) / RATE
    assert slope * 3 == pytest.approx(rt60_s, rel=0.2)


def test_echoes_follow_and_do_not_precede():
    wave = np.zeros(RATE, np.float32)
    wave[4000:4400] = noise_of(400)
    heard = reverberate(wave, room_response(0.5, 0, np.random.default_rng(0)))
    level = levels_db(heard, 400)
    assert np.abs(heard[:4000]).max() < 1e-6
    assert level[5000] > level[4000] - 25
    assert level[8000] < level[5000] - 10


@pytest.mark.parametrize(
    "call",
    [
        lambda: reverberate(tone(100), np.zeros(10)),
        lambda: reverberate(tone(100), []),
        lambda: room_response(0.049, 0, np.random.default_rng(0)),
        lambda: room_response(5.1, 0, np.random.default_rng(0)),
        lambda: room_response(1, -30.1, np.random.default_rng(0)),
        lambda: room_response(1, 60.1, np.random.default_rng(0)),
        lambda: room_response(1, float("nan"), np.random.default_rng(0)),
    ],
)
def test_what_cannot_be_is_refused(call):
    with pytest.raises(EdgeSerError):
        call()


def test_real_rooms_keep_speech_in_its_place():
    folder = need_corpus("rir")
    wave = noise_of(2 * RATE)
    wave[: RATE // 2] = 0
    wave[RATE:] = 0
    for path in sorted(folder.glob("*.flac")):
        if path.stem.startswith("filter"):
            continue
        heard = reverberate(wave, load_audio(path))
        assert level_db(heard) == pytest.approx(level_db(wave), abs=0.01)
        # what comes first, comes when it came: nothing 100 ms before, most of it at once
        level = levels_db(heard, 800)
        assert level[: RATE // 2 - 2400].max() < level.max() - 20
        assert level[RATE // 2 + 400] > level.max() - 12
