"""Two models side by side: one that is better is seen to be, the same one is not."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.paired import compare, sign_flip_p
from tests.edge_ser.evaluation.making import make


def test_a_better_model_is_seen_and_the_same_is_not() -> None:
    weak, strong = make(240, speakers=8, right=0.3), make(240, speakers=8, right=0.95)
    result = compare(weak, strong, rounds=200)
    assert result["uar"]["difference"] > 0.3 and result["uar"]["p"] < 0.02 and result["uar"]["ci95"][0] > 0
    assert result["clips"] == 240 and result["speakers"] == 8
    same = compare(weak, weak, rounds=50)
    assert same["uar"]["difference"] == 0 and same["uar"]["p"] == 1 and same["changed"]["only_a_right"] == 0
    assert compare(strong, weak, rounds=200)["uar"]["p"] == result["uar"]["p"]


def test_clips_of_one_alone_are_counted() -> None:
    a = make(120)
    result = compare(a, a.take(np.arange(30, 120)), rounds=20)
    assert result["clips"] == 90 and result["only_a"] == 30 and result["only_b"] == 0


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=10))
@settings(deadline=None)
def test_p_is_a_probability_and_knows_no_direction(d: list[float]) -> None:
    p = sign_flip_p(np.array(d))
    assert 0 < p <= 1 and sign_flip_p(-np.array(d)) == pytest.approx(p)


def test_p_of_a_known_case() -> None:
    assert sign_flip_p(np.ones(5)) == pytest.approx(2 / 32)
    assert sign_flip_p(np.full(20, 0.1)) < 0.001


def test_what_cannot_be_compared() -> None:
    a = make(24)
    elsewhere = dataclasses.replace(
        a, clips=tuple(dataclasses.replace(c, path=Path("other") / f"x{c.path.name}") for c in a.clips)
    )
    with pytest.raises(EdgeSerError, match="no clip in common"):
        compare(a, elsewhere)
    other = dataclasses.replace(a, clips=tuple(dataclasses.replace(c, emotion="sad") for c in a.clips))
    with pytest.raises(EdgeSerError, match="other labels"):
        compare(a, other)
    with pytest.raises(EdgeSerError, match="two of them"):
        sign_flip_p(np.ones(1))
