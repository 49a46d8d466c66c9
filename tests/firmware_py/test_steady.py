"""One label that does not flicker."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from firmware_py.prediction import Prediction
from firmware_py.steady import Steady

LABELS = ("calm", "angry", "sad")


def answers(steady, *moments, start=0):
    """(share of angry, state) each quarter of a second."""
    said = []
    for i, (angry, state) in enumerate(moments, start + 1):
        shares = (1 - angry, angry, 0.0)
        if state == "dozed":
            shares, state = (math.nan,) * 3, "silence"
        adv = math.nan if math.isnan(shares[0]) else 0.5
        p = Prediction(
            0, i * 4000, 16_000, adv, adv, adv, dict(zip(LABELS, shares, strict=True)), state, -20.0
        )
        out = steady.push(p)
        assert out.emotion is p.emotion  # raw values stay
        said.append(out.steady)
    return said


def test_it_comes_after_a_second_and_does_not_flicker():
    said = answers(Steady(), *[(0.1, "speech")] * 8, (0.9, "speech"), *[(0.1, "speech")] * 8)
    assert said == [None] * 3 + ["calm"] * 14


def test_it_changes_when_another_is_ahead():
    said = answers(Steady(), *[(0.1, "speech")] * 8, *[(0.9, "speech")] * 16)
    assert said[8:12] == ["calm"] * 4 and said[-1] == "angry"
    assert sum(a != b for a, b in pairwise(said)) == 2  # to calm, to angry


def test_a_tie_changes_nothing():
    said = answers(Steady(), *[(0.1, "speech")] * 8, *[(0.53, "speech")] * 60)
    assert set(said[8:]) == {"calm"}


def test_it_goes_in_silence():
    quiet = [(0.5, "silence"), (0.5, "dozed")] * 8
    said = answers(Steady(), *[(0.1, "speech")] * 8, *quiet)
    assert said[8 + 10] == "calm" and said[8 + 11] is None  # three seconds
    assert answers(Steady(), *quiet) == [None] * 16


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from(["speech", "unsure", "silence", "dozed"])), max_size=60
    )
)
def test_it_is_a_label_or_nothing(moments):
    assert set(answers(Steady(), *moments)) <= {None, *LABELS}
