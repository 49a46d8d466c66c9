"""Noise: its colour, its level beside speech, and what is cut from recordings of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ser.errors import EdgeSerError
from edge_ser.perturb import add_noise, babble, coloured_noise, excerpt, mix, pink_noise, white_noise
from tests.edge_ser.perturb.signals import LAW, band_db, is_wave, level_db, noise_of, tone, vowel, waves

pytest.importorskip("scipy")


def rng(seed=0):
    return np.random.default_rng(seed)


@LAW
@given(st.integers(1, 20000), st.floats(-12, 12), st.integers(0, 9))
def test_noise_of_any_colour_has_a_level_of_one(samples, slope, seed):
    noise = coloured_noise(samples, rng(seed), slope)
    assert is_wave(noise, samples)
    assert level_db(noise) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(("make", "slope"), [(white_noise, 0.0), (pink_noise, -3.01)])
def test_each_octave_has_its_share(make, slope):
    noise = make(1 << 18, rng())
    octaves = [
        band_db(noise, 62.5 * 2**k, 125 * 2**k) - 3.01 * k for k in range(7)
    ]  # an octave has twice the Hz
    assert np.allclose(np.diff(octaves), slope, atol=0.5)


def test_brown_noise_falls_twice_as_fast_and_is_white_below_20_hz():
    noise = coloured_noise(1 << 18, rng(), -6.02)
    assert band_db(noise, 500, 600) - band_db(noise, 4000, 4100) == pytest.approx(18.06, abs=1.5)
    # power in proportion to hz ** -2: 18 Hz of what it is at 20, and its integral from 40 to 80 Hz
    wanted = 10 * np.log10(18 / 20**2 / (1 / 40 - 1 / 80))
    assert band_db(noise, 2, 20) - band_db(noise, 40, 80) == pytest.approx(wanted, abs=1)


@LAW
@given(
    waves.filter(lambda wave: wave.any()),
    waves.filter(lambda wave: wave.any()),
    st.floats(-20, 50),
    st.integers(0, 9),
)
def test_the_ratio_is_what_was_asked_for(wave, noise, snr_db, seed):
    before = wave.copy(), noise.copy()
    # in double precision, so that a faint noise can be told from the wave's own rounding
    heard = add_noise(wave, noise, snr_db, rng(seed))
    assert is_wave(heard, len(wave))
    added = heard.astype(np.float64) - wave
    assert level_db(wave) - level_db(added) == pytest.approx(snr_db, abs=0.1)
    assert np.array_equal(wave, before[0]) and np.array_equal(noise, before[1])


@LAW
@given(waves.filter(lambda wave: wave.any()), st.integers(1, 3000), st.integers(-44, -36), st.floats(0, 0.9))
def test_the_faintest_sounds_have_their_level_too(wave, length, magnitude, share):
    faint = np.float32(10.0**magnitude) * np.sign(noise_of(length, 3))
    speech = 0.5 * wave / np.abs(wave).max()
    added = add_noise(speech, faint, 6.0, rng()).astype(np.float64) - speech
    assert level_db(speech) - level_db(added) == pytest.approx(6, abs=0.01)
    mixed = mix(speech, faint, share)
    assert np.allclose(mixed, mix(speech, np.sign(faint), share), atol=1e-6)
    assert level_db(babble([faint], 500, rng(), talkers=2)) == pytest.approx(0, abs=1e-3)


def test_nothing_is_added_to_silence():
    assert not add_noise(np.zeros(100), noise_of(50), 0, rng()).any()


@LAW
@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(0, 99))
def test_an_excerpt_has_its_length_and_is_never_silent(length, samples, seed):
    sound = noise_of(length, 1)
    cut = excerpt(sound, samples, rng(seed))
    assert is_wave(cut, samples)
    assert cut.any()
    assert not np.shares_memory(cut, sound)
    if samples < length:
        assert cut.tobytes() in sound.tobytes()


def test_an_excerpt_of_a_bark_is_not_its_pause():
    sound = np.zeros(80000, np.float32)
    sound[30000:33000] = noise_of(3000)
    sound += noise_of(80000, 2, 1e-5)
    levels = [level_db(excerpt(sound, 16000, rng(seed))) for seed in range(50)]
    assert min(levels) > level_db(sound) - 13
    # and begins anywhere where there is some of it
    assert len({excerpt(sound, 16000, rng(seed)).tobytes() for seed in range(50)}) > 45


def test_an_excerpt_has_a_tenth_of_the_mean_energy():
    # the squares of three samples are 1 and 0.08 and 0.12 of their mean
    mean = 1 / (3 - 0.2)
    sound = np.sqrt([0.08 * mean, 1, 0.12 * mean]).astype(np.float32)
    found = {float(excerpt(sound, 1, rng(seed))[0]) for seed in range(40)}
    assert found == {float(sound[1]), float(sound[2])}
    # and the last stretch is one of them
    assert excerpt([0.0, 0.0, 0.0, 1.0], 3, rng()).tolist() == [0, 0, 1]


def test_a_sound_that_repeats_has_no_click_where_it_begins_again():
    # at its end a slow wave stands elsewhere than at its beginning
    for seconds in (0.21, 0.2183):
        sound = tone(30.0, seconds)
        cut = excerpt(sound, 20000, rng(4))
        assert np.abs(np.diff(cut)).max() < 3 * np.abs(np.diff(sound)).max()
        assert np.abs(cut).max() < 1.5 * np.abs(sound).max()
    assert len({excerpt(sound, 20000, rng(seed)).tobytes() for seed in range(9)}) == 9  # it begins anywhere


def test_where_a_sound_repeats_the_powers_of_its_ends_add_up_to_one():
    # of a constant: 1 and, over 160 samples of each round, sine and cosine of one angle
    angle = np.pi / 2 * (np.arange(160) + 0.5) / 160
    cut = np.sort(excerpt(np.ones(4000), 2 * (4000 - 160), rng()))
    assert (cut[:-320] == 1).all()
    assert np.allclose(cut[-320:], np.repeat(np.sort(np.sin(angle) + np.cos(angle)), 2), atol=1e-6)


def test_ends_that_cancel_are_no_silence():
    assert excerpt([1.0, 0.0, 0.0, -1.0], 9, rng()).any()


def test_babble_is_of_several_voices_at_one_level():
    voices = [vowel(f0, 0.5) * level for f0, level in ((100, 1), (140, 0.01), (180, 5), (220, 1))]
    talk = babble(voices, 16000, rng(), talkers=4)
    assert is_wave(talk, 16000)
    assert level_db(talk) == pytest.approx(0, abs=1e-3)
    assert not np.array_equal(talk, babble(voices, 16000, rng(1), talkers=4))
    alone = babble(voices[1:2], 16000, rng(), talkers=1)
    assert level_db(alone) == pytest.approx(0, abs=1e-3)
    # more talkers than voices
    assert is_wave(babble(voices[:2], 800, rng(), talkers=5), 800)


def test_nobody_speaks_twice_while_there_are_enough():
    # each voice is a tone of its own, so that a spectrum tells who speaks and how loud
    voices = [level * tone(200.0 * k) for k, level in enumerate((1, 0.1, 2, 1, 0.01, 1, 1, 1), 1)]
    for seed in range(3):
        for talkers, options in ((6, {}), (3, {"talkers": 3}), (8, {"talkers": 8})):
            talk = babble(voices, 8000, rng(seed), **options)
            powers = 2 * np.abs(np.fft.rfft(talk)[100:801:100] / 8000) ** 2
            assert np.allclose(np.sort(powers), [0] * (8 - talkers) + [1 / talkers] * talkers, atol=1e-4)


@LAW
@given(
    waves.filter(lambda w: w.any()),
    st.integers(1, 5000),
    st.floats(0, 1),
    st.sampled_from([1e-3, 1.0, 30.0]),
)
def test_a_mixture_is_of_its_shares_and_as_loud_as_the_speech(wave, length, share, level):
    other = noise_of(length, 7)
    mixed = mix(wave, other, share)
    assert is_wave(mixed, len(wave))
    assert np.allclose(
        mix(wave, np.float32(level) * other, share), mixed, rtol=1e-4, atol=1e-5 * np.abs(wave).max()
    )
    beside = np.resize(other, len(wave)).astype(np.float64)
    part = mixed - share / np.hypot(share, 1 - share) * wave.astype(np.float64)
    if 0.05 < share < 0.95:
        ratio = level_db(share / np.hypot(share, 1 - share) * wave) - level_db(part)
        assert ratio == pytest.approx(20 * np.log10(share / (1 - share)), abs=0.05)
        assert part @ beside > 0.999 * np.linalg.norm(part) * np.linalg.norm(beside)


def test_a_whole_share_is_one_of_both():
    speech, other = noise_of(3000, 1), noise_of(1000, 2, 2.0)
    assert np.array_equal(mix(speech, other, 1), speech)
    assert level_db(mix(speech, other, 0)) == pytest.approx(level_db(speech), abs=1e-4)
    assert level_db(mix(speech, other, 0.5)) == pytest.approx(level_db(speech), abs=0.3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: add_noise(tone(100), np.zeros(100), 0, rng()), "silent"),
        (lambda: add_noise(tone(100), tone(50), float("nan"), rng()), "signal to noise"),
        (lambda: mix(tone(100), np.zeros(100), 0.5), "silent"),
        (lambda: add_noise(tone(100), tone(50), -60.1, rng()), "signal to noise"),
        (lambda: add_noise(tone(100), tone(50), 120.1, rng()), "signal to noise"),
        (lambda: mix(tone(100), tone(50), 1.1), "share"),
        (lambda: mix(tone(100), tone(50), -0.1), "share"),
        (lambda: babble([], 100, rng()), "voices"),
        (lambda: babble([tone(100)], 100, rng(), talkers=0), "talkers"),
        (lambda: white_noise(0, rng()), "sample"),
        (lambda: excerpt(tone(100), 0, rng()), "sample"),
        (lambda: coloured_noise(10, rng(), 12.1), "octave"),
        (lambda: coloured_noise(10, rng(), -12.1), "octave"),
    ],
)
def test_what_cannot_be_is_refused(call, words):
    with pytest.raises(EdgeSerError, match=words):
        call()


def test_voices_that_cancel_are_no_silence():
    voices = [[0.5], [-0.5]]
    for seed in range(4):
        assert np.abs(babble(voices, 1, rng(seed), talkers=2)).tolist() == [1.0]
