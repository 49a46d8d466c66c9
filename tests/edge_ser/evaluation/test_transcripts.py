"""Errors of characters and words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.transcripts import character_error_rate, edit_distance, word_error_rate

TEXTS = st.text("abc ", max_size=8)


@pytest.mark.parametrize(
    ("said", "heard", "edits"),
    [
        ("", "", 0),
        ("abc", "", 3),
        ("", "abc", 3),
        ("kitten", "sitting", 3),
        ("abc", "abc", 0),
        ("ab", "ba", 2),
    ],
)
def test_known_distances(said: str, heard: str, edits: int) -> None:
    assert edit_distance(said, heard) == edits


@given(TEXTS, TEXTS, TEXTS)
def test_it_is_a_distance(a: str, b: str, c: str) -> None:
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, b) == edit_distance(b, a)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)
    assert abs(len(a) - len(b)) <= edit_distance(a, b) <= max(len(a), len(b))


@given(TEXTS, TEXTS, st.integers(0, 8), st.characters(codec="ascii"))
def test_one_more_character_costs_one_at_most(a: str, b: str, at: int, more: str) -> None:
    assert abs(edit_distance(a, b[:at] + more + b[at:]) - edit_distance(a, b)) <= 1


def test_rates_count_errors_of_all_texts_by_all_that_was_said() -> None:
    assert character_error_rate(["abcd", "ef"], ["abcd", ""]) == pytest.approx(2 / 6)
    assert word_error_rate(["a b c", "d"], ["a x c", "d e"]) == pytest.approx(2 / 4)
    assert word_error_rate(["a"], ["b c d"]) == 3.0


def test_nothing_to_count_by() -> None:
    with pytest.raises(EdgeSerError, match="nothing was said"):
        character_error_rate([""], ["abc"])
    with pytest.raises(EdgeSerError, match="2 texts were said and 1 heard"):
        word_error_rate(["a", "b"], ["a"])
