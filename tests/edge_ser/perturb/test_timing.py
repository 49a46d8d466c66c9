"""Speed, tempo and pitch: lengths, frequencies, and no trace of the splices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ser.dsp import MelSpec, log_mel
from edge_ser.errors import EdgeSerError
from edge_ser.perturb import pitch, speed, tempo
from tests.edge_ser.perturb.signals import (
    LAW,
    RATE,
    is_wave,
    level_db,
    levels_db,
    loudest_hz,
    noise_of,
    tone,
    vowel,
    waves,
)

pytest.importorskip("soxr")

FACTORS = (0.5, 0.8, 0.9, 0.97, 1.03, 1.1, 1.25, 2.0)
#: Frequencies from the lowest voice on, some that are no whole number of samples long.
TONES = (50.0, 63.0, 80.0, 137.7, 220.0, 440.0, 1000.0, 1777.7, 3000.0, 4321.0, 6000.0, 7500.0)


@LAW
@given(waves, st.floats(0.25, 4))
def test_lengths_are_those_of_the_factor(wave, factor):
    before = wave.copy()
    for changed in (speed(wave, factor), tempo(wave, factor)):
        assert is_wave(changed, max(1, round(len(wave) / factor)))
    assert np.array_equal(wave, before)


@LAW
@given(waves, st.floats(-12, 12))
def test_pitch_keeps_the_length(wave, semitones):
    assert is_wave(pitch(wave, semitones), len(wave))


@LAW
@given(waves)
def test_a_factor_of_one_is_the_wave(wave):
    for same in (speed(wave, 1), tempo(wave, 1), pitch(wave, 0)):
        assert np.array_equal(same, wave)
        assert same is not wave


@LAW
@given(st.floats(0.25, 4), st.floats(-1, 1))
def test_a_constant_stays_one(factor, level):
    assert np.allclose(tempo(np.full(5000, level, np.float32), factor), level, atol=1e-6)


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_an_offset_changes_no_splice(factor):
    voice = vowel(120, 0.5)
    assert np.abs(tempo(voice + np.float32(0.5), factor) - 0.5 - tempo(voice, factor)).max() < 1e-4


@LAW
@given(st.floats(0.5, 2), st.sampled_from([2.0**-13, 0.125, 0.5, 8.0]), st.integers(0, 5))
def test_tempo_does_not_depend_on_the_level(factor, gain, seed):
    wave = noise_of(4000, seed)
    assert np.array_equal(tempo(gain * wave, factor), gain * tempo(wave, factor))


@pytest.mark.parametrize("factor", FACTORS)
def test_speed_moves_a_tone_by_the_factor(factor):
    fast = speed(tone(1000), factor)
    assert loudest_hz(fast) == pytest.approx(1000 * factor, rel=1e-3)
    inside = fast[800:-800]
    assert np.abs(levels_db(inside, 320) - level_db(tone(1000))).max() < 0.3


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("hz", TONES)
def test_tempo_leaves_a_tone_as_it_is(factor, hz):
    wave = tone(hz)
    slow = tempo(wave, factor)
    # the same frequency, to two thousandths, which is a period won or lost in a second at 50 Hz at most
    assert loudest_hz(slow) == pytest.approx(hz, abs=max(1.0, 2e-3 * hz))
    # the same level within 1 dB, wherever it is measured over 40 ms, to the very ends
    assert np.abs(levels_db(slow, 640) - level_db(wave)).max() < 1
    # no clicks: neither a sample nor a bend that the tone itself does not have, up to what a crossfade's own bend is
    assert np.abs(slow).max() <= 1.05 * np.abs(wave).max()
    bend = (2 * np.pi * hz / RATE) ** 2 * 0.5
    assert np.abs(np.diff(slow, 2)).max() <= 1.1 * bend + 0.5 * (np.pi / 160) ** 2


@pytest.mark.parametrize("factor", [0.8, 0.9, 1.1, 1.25])
def test_two_tones_keep_their_level(factor):
    wave = tone(523, level=0.2) + tone(1310.7, level=0.2)
    assert np.abs(levels_db(tempo(wave, factor), 640) - level_db(wave)).max() < 1


@pytest.mark.parametrize("factor", [0.8, 0.9, 1.1, 1.25])
def test_noise_keeps_its_level_everywhere(factor):
    # a crossfade of what is not alike loses up to 3 dB unless its power is kept
    wave = noise_of(10 * RATE)
    before, after = levels_db(wave, 160)[::160], levels_db(tempo(wave, factor), 160)[::160]
    assert after.mean() == pytest.approx(before.mean(), abs=0.1)
    assert after.std() < 1.25 * before.std()


@pytest.mark.parametrize("factor", [0.8, 0.9, 1.1, 1.25])
@pytest.mark.parametrize("f0", [85.0, 130.0, 220.0, 330.0])
def test_a_voice_sounds_as_if_spoken_at_the_other_tempo(factor, f0):
    spec = MelSpec(mean=0.0, scale=1.0)
    voice = vowel(f0, 1.5)
    heard = log_mel(tempo(voice, factor), spec)[5:-5]
    wanted = log_mel(vowel(f0, 1.5 / factor, faster=factor), spec)[: len(heard) + 5][5 : 5 + len(heard)]
    loud = wanted > wanted.max() - 50
    assert np.abs(heard[: len(wanted)] - wanted)[loud].mean() < 1.5


@pytest.mark.parametrize("factor", [0.7, 0.9, 1.1, 1.4])
def test_events_stay_in_their_place(factor):
    # bursts of noise a quarter of a second apart
    wave = np.zeros(2 * RATE, np.float32)
    starts = np.arange(0.25, 1.9, 0.25)
    for start in starts:
        wave[int(start * RATE) :][:1600] = noise_of(1600, 3)
    level = levels_db(tempo(wave, factor), 80)
    found = np.flatnonzero((level[1:] > -40) & (level[:-1] <= -40))
    for start in starts:
        assert np.abs(found + 80 - start / factor * RATE).min() < 0.02 * RATE


@pytest.mark.parametrize("semitones", [-7.0, -3.0, -0.5, 1.0, 4.0, 12.0])
@pytest.mark.parametrize("hz", [130.0, 700.0, 2500.0])
def test_pitch_moves_a_tone_by_semitones(semitones, hz):
    wave = tone(hz)
    high = pitch(wave, semitones)
    assert loudest_hz(high) == pytest.approx(hz * 2 ** (semitones / 12), abs=max(1.0, 2e-3 * hz))
    assert np.abs(levels_db(high[640:-1280], 640) - level_db(wave)).max() < 1


def test_there_and_back_is_nearly_the_voice():
    spec = MelSpec(mean=0.0, scale=1.0)
    voice = vowel(120, 2.0)
    own = log_mel(voice, spec)[10:-10]
    for changed in (tempo(tempo(voice, 1.2), 1 / 1.2), pitch(pitch(voice, 2), -2)):
        assert abs(len(changed) - len(voice)) <= 1
        again = log_mel(changed, spec)[10 : 10 + len(own)]
        loud = own > own.max() - 50
        assert np.abs(again - own)[loud].mean() < 2


def test_speed_filters_what_would_fold_back():
    wave = tone(7000)
    assert level_db(speed(wave, 1.3)) < level_db(wave) - 50


@pytest.mark.parametrize("work", [speed, tempo])
@pytest.mark.parametrize("factor", [0.0, 0.2, 4.1, -1.0, float("nan")])
def test_factors_out_of_range_are_refused(work, factor):
    with pytest.raises(EdgeSerError, match=r"must be 0\.25 to 4"):
        work(tone(100), factor)


@pytest.mark.parametrize("semitones", [-12.1, 12.1, float("nan")])
def test_semitones_out_of_range_are_refused(semitones):
    with pytest.raises(EdgeSerError, match=r"must be -12 to 12"):
        pitch(tone(100), semitones)
