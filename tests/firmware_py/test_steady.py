"""One label that does not flicker."""

import math

from hypothesis import given
from hypothesis import strategies as st

from firmware_py.prediction import Prediction
from firmware_py.steady import Steady
from firmware_py.turns import Turns

LABELS = ("calm", "angry", "sad")


def answers(steady, *moments):
    """(share of angry, state, seconds lost before it) each quarter of a second, in turns as a device counts them."""
    said, turns, end = [], Turns(), 0
    for angry, state, *lost_s in moments:
        lost = round(16_000 * sum(lost_s))
        end += lost + 4000
        if lost:
            turns.interrupt()
        turns.begins(state not in ("silence", "dozed"))
        shares = (1 - angry, angry, 0.0)
        if state == "dozed":
            shares, state = (math.nan,) * 3, "silence"
        adv = math.nan if math.isnan(shares[0]) else 0.5
        p = Prediction(
            0, end, 16_000, adv, adv, adv, dict(zip(LABELS, shares, strict=True)), state, -20.0, lost,
            turn=turns.number,
        )  # fmt: skip
        said.append(steady.label_after(p))
    return said


def test_it_comes_after_half_a_second_and_does_not_flicker():
    said = answers(Steady(), *[(0.1, "speech")] * 8, (0.52, "speech"), *[(0.1, "speech")] * 8)
    assert said == [None] + ["calm"] * 16


def test_it_changes_at_once_when_another_is_clearly_ahead():
    said = answers(Steady(), *[(0.1, "speech")] * 8, *[(0.9, "speech")] * 4)
    assert said[1:8] == ["calm"] * 7 and said[8:] == ["angry"] * 4


def test_a_tie_changes_nothing():
    said = answers(Steady(), *[(0.1, "speech")] * 8, *[(0.53, "speech")] * 60)
    assert set(said[8:]) == {"calm"}


def test_a_tenth_ahead_is_enough():
    said = answers(Steady(), *[(0.1, "speech")] * 8, (0.545, "speech"), (0.555, "speech"))
    assert said[8:] == ["calm", "angry"]


def test_a_turn_begins_anew_whoever_was_ahead_before():
    pause = [(0.1, "silence")] * 2
    said = answers(Steady(), *[(0.1, "speech")] * 8, *pause, *[(0.52, "speech")] * 4)
    assert said[8:] == ["calm"] * 3 + ["angry"] * 3  # that of the turn before, until there is one of this
    breath = answers(Steady(), *[(0.1, "speech")] * 8, (0.1, "silence"), *[(0.52, "speech")] * 4)
    assert set(breath[8:]) == {"calm"}
    bark = answers(Steady(), *[(0.1, "speech")] * 8, *[(0.1, "noise")] * 4, *[(0.52, "speech")] * 4)
    assert set(bark[8:]) == {"calm"}  # no silence, no pause


def test_what_was_lost_is_a_pause_and_is_not_heard():
    said = answers(Steady(), *[(0.1, "speech")] * 8, (0.9, "speech", 1.0), (0.9, "speech"))
    assert said[7:] == ["calm", "calm", "angry"]
    said = answers(Steady(), *[(0.1, "speech")] * 8, (0.9, "speech", 60.0), (0.9, "speech"))
    assert said[7:] == ["calm", None, "angry"]  # nobody knows who speaks after a minute


def test_it_goes_in_silence():
    quiet = [(0.5, "silence"), (0.5, "dozed")] * 8
    said = answers(Steady(), *[(0.1, "speech")] * 8, *quiet)
    assert said[8 + 10] == "calm" and said[8 + 11] is None  # three seconds
    assert answers(Steady(), *quiet) == [None] * 16


def test_speech_ends_the_count_of_silence():
    nearly = [(0.1, "silence")] * 11  # a step less than three seconds
    said = answers(Steady(), *[(0.1, "speech")] * 8, *nearly, (0.1, "speech"), *nearly)
    assert set(said[1:]) == {"calm"}


def test_no_speech_has_no_label():
    assert answers(Steady(), *[(0.9, "noise")] * 8) == [None] * 8
    said = answers(Steady(), *[(0.1, "speech")] * 4, *[(0.9, "noise")] * 14)
    assert said[1:15] == ["calm"] * 14 and said[-1] is None


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from(["speech", "unsure", "silence", "noise", "dozed"])),
        max_size=60,
    )
)
def test_it_is_a_label_or_nothing(moments):
    assert set(answers(Steady(), *moments)) <= {None, *LABELS}
