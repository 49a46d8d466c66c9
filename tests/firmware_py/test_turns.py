"""When a turn begins."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from firmware_py.turns import PAUSE_STEPS, Turns


@given(st.lists(st.booleans(), max_size=40))
def test_a_turn_begins_where_the_gate_opens_after_a_pause(opens):
    turns = Turns()
    begun = [turns.begins(is_open) for is_open in opens]
    for step, begins in enumerate(begun):
        closed = len(list(itertools.takewhile(lambda is_open: not is_open, reversed(opens[:step]))))
        first = not any(opens[:step])
        assert begins == (opens[step] and (first or closed >= PAUSE_STEPS))
