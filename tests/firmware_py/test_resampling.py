"""The 16 kHz time line of a microphone: it stands where the device does, whatever the pieces and the gaps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.resampling import Timeline

soxr = pytest.importorskip("soxr")
RATES = [8_000, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000]


@settings(max_examples=60)
@given(
    st.sampled_from(RATES),
    st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 3_000)), min_size=1, max_size=12),
)
def test_where_the_device_stands_there_the_line_does(rate, moves):
    line, device, given_ = Timeline(rate), 0, 0
    for count, lost in moves:
        given_ += len(line.push(np.zeros(count, np.float32)))
        device += count
        if lost:
            given_ += len(line.flush())
            assert given_ == (2 * device * 16_000 + rate) // (2 * rate)
            device += lost
            given_ += sum(line.skip({"driver": lost - lost // 3, "ring": lost // 3}).values())
            assert given_ == (2 * device * 16_000 + rate) // (2 * rate)
    given_ += len(line.flush())
    assert given_ == (2 * device * 16_000 + rate) // (2 * rate)


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_pieces_are_the_whole(rate):
    wave = np.random.default_rng(0).normal(0, 0.2, rate).astype(np.float32)
    line, parts, at = Timeline(rate), [], 0
    for size in [1, 7, 3_000, 441, 20_000, rate]:
        parts.append(line.push(wave[at : at + size]))
        at += size
    whole = np.concatenate([*parts, line.flush()])
    expected = soxr.resample(wave, rate, 16_000, quality="HQ")
    np.testing.assert_array_equal(whole, np.clip(np.rint(expected * 32768), -32768, 32767) / 32768)


def test_sixteen_kilohertz_pass_as_they_are():
    pcm = np.array([-32768, -1, 0, 1, 32767], np.int16)
    np.testing.assert_array_equal(Timeline(16_000).push(pcm), pcm / np.float32(32768))
    assert Timeline(16_000).push(np.float32([2.0, -2.0, 1e-6])).tolist() == [32767 / 32768, -1.0, 0.0]
