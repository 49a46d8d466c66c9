"""Level, polarity, offset, overload and lost packets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ser.errors import EdgeSerError
from edge_ser.perturb import clip, dc, gain_db, invert, lose_packets
from tests.edge_ser.perturb.signals import LAW, is_wave, level_db, noise_of, tone, waves


@LAW
@given(waves, st.floats(-60, 60))
def test_a_gain_is_exactly_its_factor(wave, db):
    louder = gain_db(wave, db)
    assert is_wave(louder, len(wave))
    assert np.array_equal(louder, wave * np.float32(10 ** (db / 20)))


def test_six_db_are_six_db():
    wave = noise_of(16000)
    assert level_db(gain_db(wave, 6)) - level_db(wave) == pytest.approx(6, abs=1e-4)
    assert np.array_equal(gain_db(wave, 0), wave)


@LAW
@given(waves)
def test_the_other_polarity_twice_is_the_wave(wave):
    assert np.array_equal(invert(invert(wave)), wave)
    assert np.array_equal(invert(wave), -wave)


@LAW
@given(waves, st.floats(-1, 1))
def test_an_offset_is_a_constant(wave, offset):
    moved = dc(wave, offset)
    assert is_wave(moved, len(wave))
    assert np.allclose(moved - wave, offset, atol=1e-6)


@LAW
@given(waves, st.floats(0.01, 1), st.sampled_from([0.5, 2.0, 4.0]))
def test_clipping_keeps_what_is_below_and_goes_with_the_level(wave, level, factor):
    clipped = clip(wave, level)
    limit = np.float32(level) * np.abs(wave).max()
    assert is_wave(clipped, len(wave))
    assert np.abs(clipped).max() <= limit
    assert np.array_equal(clipped[np.abs(wave) <= limit], wave[np.abs(wave) <= limit])
    assert np.allclose(clip(factor * wave, level), factor * clipped, rtol=1e-6, atol=0)


def test_clipping_at_the_peak_changes_nothing():
    wave = noise_of(1000)
    assert np.array_equal(clip(wave, 1), wave)


@LAW
@given(waves, st.floats(0, 0.9), st.integers(0, 100), st.floats(1, 4))
def test_packets_are_whole_or_lost(wave, share, seed, burst):
    before = wave.copy()
    for size, packet in ((320, {}), (80, {"packet_s": 0.005})):
        heard = lose_packets(wave, share, np.random.default_rng(seed), burst=burst, **packet)
        assert is_wave(heard, len(wave))
        for start in range(0, len(wave), size):
            piece = heard[start : start + size]
            assert not piece.any() or np.array_equal(piece, wave[start : start + size])
    assert np.array_equal(wave, before)


def test_a_packet_has_the_length_asked_for():
    for size, packet in ((320, {}), (160, {"packet_s": 0.01}), (16, {"packet_s": 0.001})):
        heard = lose_packets(np.ones(16000, np.float32), 0.3, np.random.default_rng(0), **packet)
        borders = np.flatnonzero(np.diff(heard)) + 1
        assert np.gcd.reduce(borders) == size


def test_the_first_packet_is_lost_as_often_as_others():
    first = [lose_packets(np.ones(320), 0.3, np.random.default_rng(seed))[0] == 0 for seed in range(1000)]
    assert np.mean(first) == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize(
    ("share", "burst"), [(0.01, 3.0), (0.1, 1.0), (0.1, 3.0), (0.1, None), (0.3, 1.5), (0.8, 1.0)]
)
def test_the_share_and_the_bursts_of_lost_packets(share, burst):
    wave, options = np.ones(16 * 100000, np.float32), {} if burst is None else {"burst": burst}
    lost = lose_packets(wave, share, np.random.default_rng(0), packet_s=0.001, **options)[::16] == 0
    assert lost.mean() == pytest.approx(share, rel=0.1)
    ends = np.flatnonzero(lost[:-1] & ~lost[1:])
    # for large shares two losses stand side by side however short each is
    assert lost.sum() / len(ends) == pytest.approx(max(burst or 1.5, share / (1 - share)), rel=0.1)


def test_nothing_lost_is_the_wave():
    wave = tone(440)
    assert np.array_equal(lose_packets(wave, 0, np.random.default_rng(0)), wave)


@pytest.mark.parametrize(
    "call",
    [
        lambda: gain_db(tone(100), float("nan")),
        lambda: gain_db(tone(100), 120.1),
        lambda: gain_db(tone(100), -120.1),
        lambda: dc(tone(100), 1.1),
        lambda: dc(tone(100), -1.1),
        lambda: clip(tone(100), 0),
        lambda: clip(tone(100), 1.1),
        lambda: clip(tone(100), float("nan")),
        lambda: lose_packets(tone(100), 0.91, np.random.default_rng(0)),
        lambda: lose_packets(tone(100), -0.1, np.random.default_rng(0)),
        lambda: lose_packets(tone(100), 0.1, np.random.default_rng(0), burst=0.9),
        lambda: lose_packets(tone(100), 0.1, np.random.default_rng(0), burst=1001),
        lambda: lose_packets(tone(100), 0.1, np.random.default_rng(0), packet_s=0.0009),
        lambda: lose_packets(tone(100), 0.1, np.random.default_rng(0), packet_s=1.1),
        lambda: gain_db([], 0),
        lambda: gain_db([[0.0, 1.0]], 0),
        lambda: gain_db([0.0, float("inf")], 0),
    ],
)
def test_what_cannot_be_is_refused(call):
    with pytest.raises(EdgeSerError):
        call()


def test_the_ends_of_each_range_are_within_it():
    wave, rng = tone(100), np.random.default_rng(0)
    assert level_db(gain_db(wave, -120)) == pytest.approx(level_db(wave) - 120, abs=1e-3)
    assert level_db(gain_db(wave, 120)) == pytest.approx(level_db(wave) + 120, abs=1e-3)
    assert np.allclose(dc(wave, -1), wave - 1) and np.allclose(dc(wave, 1), wave + 1)
    for share, burst, packet_s in ((0.9, 1, 0.001), (0.1, 1000, 1)):
        assert is_wave(lose_packets(wave, share, rng, burst=burst, packet_s=packet_s), len(wave))
