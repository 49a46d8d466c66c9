"""Windows: what they do to a spectrum, against Harris's table and the formulas of his paper."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ser.dsp.windows import leakage, tone_spectrum, window_figures, window_response
from edge_ser.errors import EdgeSerError

#: Table I of Harris 1978: highest side lobe, fall a octave, coherent gain, noise bandwidth, 3 dB width, scalloping,
#: worst loss, 6 dB width.
HARRIS = {
    "rectangular": (-13, -6, 1.00, 1.00, 0.89, 3.92, 3.92, 1.21),
    "hann": (-32, -18, 0.50, 1.50, 1.44, 1.42, 3.18, 2.00),
    "hamming": (-43, -6, 0.54, 1.36, 1.30, 1.78, 3.10, 1.81),
    "blackman": (-58, -18, 0.42, 1.73, 1.68, 1.10, 3.47, 2.35),
}


@pytest.mark.parametrize("name", HARRIS)
def test_figures_are_those_of_the_table(name: str) -> None:
    lobe, fall, gain, noise, half, scalloping, worst, quarter = HARRIS[name]
    found = window_figures(name)
    assert found.side_lobe_db == pytest.approx(lobe, abs=0.6)
    assert found.fall_db_per_octave == pytest.approx(fall, abs=0.2)
    assert found.coherent_gain == pytest.approx(gain, abs=0.005)
    assert found.noise_bandwidth == pytest.approx(noise, abs=0.006)
    # by its formula Blackman's lobe is 1.64 and 2.30 wide; the table has it wider
    assert found.width_3db == pytest.approx(half, abs=0.05 if name == "blackman" else 0.006)
    assert found.width_6db == pytest.approx(quarter, abs=0.06 if name == "blackman" else 0.006)
    assert found.scalloping_db == pytest.approx(scalloping, abs=0.035)
    assert found.worst_loss_db == pytest.approx(worst, abs=0.02)


@pytest.mark.parametrize(
    ("name", "width"), [("rectangular", 2), ("hann", 4), ("hamming", 4), ("blackman", 6)]
)
def test_the_main_lobe_ends_where_the_cosines_do(name: str, width: int) -> None:
    for length in (256, 300, 4096):
        assert window_figures(name, length).main_lobe == pytest.approx(width, abs=0.02)


def test_the_rectangle_is_a_sine_over_a_sine() -> None:
    length, finer = 64, 8
    x = np.arange(1, length * finer // 2 + 1) / finer
    expected = np.abs(np.sin(np.pi * x) / (length * np.sin(np.pi * x / length)))
    found = window_response("rectangular", length, finer=finer)
    assert found[0] == pytest.approx(1)
    np.testing.assert_allclose(found[1:], expected, atol=1e-12)


def test_a_tone_on_a_bin_leaks_nowhere_and_between_bins_as_the_window_says() -> None:
    for name in HARRIS:
        on, between = tone_spectrum(name, 0.0), tone_spectrum(name, 0.5)
        assert on[256] == pytest.approx(0, abs=1e-9)
        assert max(on[:250].max(), on[263:].max()) < -200
        assert between[256] == pytest.approx(between[257])
        assert between[256] == pytest.approx(-window_figures(name).scalloping_db, abs=0.02)
        assert leakage(name, 0.0, 3.5) < 1e-20
    shares = [leakage(name, 0.5, 4.0) for name in ("rectangular", "hamming", "hann")]
    assert shares == sorted(shares, reverse=True)
    # 1 / (pi x)^2 at half bins from 4.5 on, by the rectangle's formula; the tone's far side is not in the spectrum
    beyond = 2 * sum(1 / (math.pi * (k + 0.5)) ** 2 for k in range(4, 100000))
    assert shares[0] == pytest.approx(beyond, rel=0.02)
    assert shares[2] < shares[0] / 1000


@given(
    name=st.sampled_from(sorted(HARRIS)),
    offset=st.floats(-0.5, 0.5),
    length=st.integers(16, 300),
    at=st.integers(1, 7),
)
def test_energy_of_a_tone_is_that_of_the_window(name: str, offset: float, length: int, at: int) -> None:
    spectrum = tone_spectrum(name, offset, length, bin_at=at)
    assert spectrum.shape == (length // 2 + 1,)
    assert spectrum.max() <= 1e-9  # no bin has more than the tone
    # a tone below a bin is the mirror image of one above it
    mirrored = tone_spectrum(name, -offset, length, bin_at=at)
    k = np.arange(0, min(at, length // 2 - at) + 1)
    np.testing.assert_allclose(10 ** (spectrum[at + k] / 20), 10 ** (mirrored[at - k] / 20), atol=1e-9)


@pytest.mark.parametrize(
    "call",
    [
        lambda: window_figures("kaiser"),
        lambda: window_figures("hann", 100),
        lambda: tone_spectrum("hann", 0.6),
        lambda: tone_spectrum("hann", 0.1, 8),
        lambda: tone_spectrum("hann", 0.1, 64, bin_at=32),
        lambda: leakage("hann", 0.1, 0),
        lambda: window_response("hann", 0),
    ],
)
def test_values_out_of_range_are_refused(call) -> None:
    with pytest.raises(EdgeSerError):
        call()
