"""What is taken for a wave."""

import numpy as np
import pytest

from edge_ser.errors import EdgeSerError
from edge_ser.perturb.waves import as_wave, to_length


def test_floating_point_of_any_width_is_a_wave() -> None:
    wave = np.array([0.5, -0.25], np.float32)
    assert as_wave(wave) is wave
    for same in ([0.5, -0.25], wave.astype(np.float16), wave.astype(np.float64)):
        assert as_wave(same).dtype == np.float32 and np.array_equal(as_wave(same), wave)


@pytest.mark.parametrize("numbers", [np.array([0, 3000], np.int16), [1, 2], [True], [1j], ["0.5"], [None]])
def test_other_numbers_have_another_full_scale_or_none(numbers) -> None:
    # Codecs and telephones would clip PCM to a square wave, and say nothing.
    with pytest.raises(EdgeSerError, match="must be floating point in -1..1, not .*: divide int16 by 32768"):
        as_wave(numbers)


@pytest.mark.parametrize("numbers", [[], 0.5, [[0.1, 0.2]], [[0.1, 0.2], [0.3]]])
def test_one_row_of_at_least_one(numbers) -> None:
    with pytest.raises(EdgeSerError, match="the noise must be one row of samples, mono, at least one"):
        as_wave(numbers, "the noise")


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_finite_ones(number) -> None:
    with pytest.raises(EdgeSerError, match="the wave holds a sample that is not finite"):
        as_wave([0.0, number])


@pytest.mark.parametrize(("samples", "wanted"), [(1, [0.5]), (2, [0.5, -0.25]), (4, [0.5, -0.25, 0, 0])])
def test_a_length_is_cut_or_followed_by_silence(samples, wanted) -> None:
    wave = to_length(np.array([0.5, -0.25], np.float32), samples)
    assert wave.dtype == np.float32 and wave.tolist() == wanted
