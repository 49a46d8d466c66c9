"""Tilt, low-pass, microphones and formants."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ser.dsp import MelSpec, log_mel
from edge_ser.errors import EdgeSerError
from edge_ser.perturb import formants, lowpass, microphone, tilt
from tests.edge_ser.perturb.signals import LAW, band_db, is_wave, level_db, noise_of, tone, vowel, waves

pytest.importorskip("scipy")


@LAW
@given(waves, st.floats(-12, 12), st.floats(100, 8000), st.floats(0.7, 1.4), st.integers(0, 9))
def test_all_give_waves_of_the_same_length(wave, db, hz, factor, seed):
    before = wave.copy()
    for changed in (
        tilt(wave, db),
        lowpass(wave, hz),
        microphone(wave, 3, np.random.default_rng(seed)),
        formants(wave, factor),
    ):
        assert is_wave(changed, len(wave))
        assert changed.any() or not wave.any()
    assert np.array_equal(wave, before)


@LAW
@given(waves)
def test_nothing_changed_is_the_wave(wave):
    limit = 1e-6 * np.abs(wave).max()
    assert np.abs(tilt(wave, 0) - wave).max() <= limit
    assert np.abs(microphone(wave, 0, np.random.default_rng(0)) - wave).max() <= limit
    assert np.array_equal(formants(wave, 1), wave)
    assert formants(wave, 1) is not wave


@LAW
@given(waves)
def test_formants_that_hardly_move_leave_the_wave_where_it_is_and_as_loud(wave):
    assert np.abs(formants(wave, 1.00001) - wave).max() <= 2e-3 * np.abs(wave).max()


def test_formants_move_in_a_soft_sound_as_in_a_loud_one():
    wave = tilt(noise_of(8000), -3)
    error = 1e3 * formants(1e-3 * wave, 1.15) - formants(wave, 1.15)
    assert np.abs(error).max() < 1e-3 * np.abs(wave).max()


def test_an_empty_band_is_raised_by_20_db_at_most():
    # 80 dB of a step at 3 kHz, which the envelope brings to 3.9: what is between is noise of the empty band
    wave = lowpass(noise_of(32000), 3000, order=16) + noise_of(32000, 1, 1e-5)
    moved = formants(wave, 1.3)
    assert band_db(moved, 4800, 5000) - band_db(wave, 4800, 5000) == pytest.approx(20, abs=2)


@pytest.mark.parametrize("db", [-6.0, -3.0, 2.0, 6.0])
def test_a_tilt_is_so_many_db_each_octave(db):
    for octave in (-3, -1, 0, 1, 2):
        wave = tone(1000 * 2.0**octave)
        assert level_db(tilt(wave, db)[2000:-2000]) - level_db(wave) == pytest.approx(octave * db, abs=0.05)


@LAW
@given(st.floats(-6, 6))
def test_two_tilts_are_undone_by_each_other(db):
    wave = noise_of(8000)
    assert np.abs(tilt(tilt(wave, db), -db)[500:-500] - wave[500:-500]).max() < 0.01


@pytest.mark.parametrize("hz", [500.0, 2000.0, 5000.0])
def test_a_low_pass_loses_3_db_at_its_frequency_and_48_an_octave_above(hz):
    wave = tone(hz)
    assert level_db(lowpass(wave, hz)[2000:-2000]) - level_db(wave) == pytest.approx(-3.01, abs=0.05)
    wave = tone(hz / 2)
    assert level_db(lowpass(wave, hz)[2000:-2000]) - level_db(wave) == pytest.approx(0, abs=0.01)
    if hz < 4000:
        wave = tone(2 * hz)
        assert level_db(lowpass(wave, hz)[4000:-4000]) - level_db(wave) == pytest.approx(-48.2, abs=0.5)


def test_filters_have_no_delay():
    wave = np.zeros(4000, np.float32)
    wave[2000] = 1
    for changed in (tilt(wave, -3), lowpass(wave, 3000), microphone(wave, 3, np.random.default_rng(1))):
        assert np.argmax(np.abs(changed)) == 2000
        assert np.allclose(changed[1900:2000], changed[2100:2000:-1], atol=1e-5)
    # nor is the end of a wave heard at its beginning
    wave = np.roll(wave, 1999)
    assert wave[-1] == 1
    for changed in (tilt(wave, -3), lowpass(wave, 3000), microphone(wave, 3, np.random.default_rng(1))):
        assert np.abs(changed[:100]).max() < 1e-4


def test_microphones_differ_and_are_smooth():
    wave = noise_of(64000)
    edges = 62.5 * 2.0 ** np.arange(0, 7.01, 0.5)
    own = np.array([band_db(wave, a, b) for a, b in pairwise(edges)])
    rng = np.random.default_rng(0)
    curves = []
    for _ in range(20):
        heard = microphone(wave, 4, rng)
        curves.append([band_db(heard, a, b) for a, b in pairwise(edges)] - own)
    curves = np.array(curves)
    assert 2 < curves.std(0).mean() < 8
    assert np.abs(curves.mean(1)).max() < 2
    assert np.abs(np.diff(curves, 2, axis=1)).max() < 4


def test_a_microphones_cosines_are_cut_at_two_deviations():
    impulse = np.zeros(16000, np.float32)
    impulse[8000] = 1
    hz = np.geomspace(100, 8000, 60).round()
    place = np.pi * np.log2(hz / 50) / np.log2(8000 / 50)
    cosines = np.cos(np.outer(place, [1, 2, 3]))
    heights = []
    for seed in range(40):
        heard = microphone(impulse, 4, np.random.default_rng(seed))
        db = 20 * np.log10(np.abs(np.fft.rfft(heard))[hz.astype(int)])
        found, *_ = np.linalg.lstsq(cosines, db, rcond=None)
        assert np.abs(cosines @ found - db).max() < 0.05
        heights.append(found)
    largest = np.sort(np.abs(heights).ravel())[-3:]
    assert np.allclose(largest, 8, atol=0.05)  # two in a hundred go beyond 2


@pytest.mark.parametrize("factor", [0.85, 0.93, 1.08, 1.18])
@pytest.mark.parametrize("f0", [110.0, 210.0])
def test_formants_move_and_the_pitch_stays(factor, f0):
    spec = MelSpec(mean=0.0, scale=1.0)
    voice = vowel(f0, 1.0)
    wanted = log_mel(vowel(f0, 1.0, formants=factor), spec)[5:-5]
    heard, before = log_mel(formants(voice, factor), spec)[5:-5], log_mel(voice, spec)[5:-5]
    loud = wanted > wanted.max() - 40
    error, was = (np.abs(x - wanted)[loud] for x in (heard, before))
    assert error.mean() < 0.5 * was.mean()
    # harmonics stay where they were: the strongest ones of both spectra agree
    own, moved = (np.abs(np.fft.rfft(x * np.hanning(len(x)))) for x in (tone(f0), formants(tone(f0), factor)))
    assert np.argmax(own) == np.argmax(moved)


@pytest.mark.parametrize(
    "call",
    [
        lambda: tilt(tone(100), 12.1),
        lambda: tilt(tone(100), -12.1),
        lambda: lowpass(tone(100), 99),
        lambda: lowpass(tone(100), 8001),
        lambda: lowpass(tone(100), 1000, order=0),
        lambda: lowpass(tone(100), 1000, order=17),
        lambda: microphone(tone(100), -0.1, np.random.default_rng(0)),
        lambda: microphone(tone(100), 20.1, np.random.default_rng(0)),
        lambda: formants(tone(100), 0.69),
        lambda: formants(tone(100), 1.41),
    ],
)
def test_what_cannot_be_is_refused(call):
    with pytest.raises(EdgeSerError):
        call()
