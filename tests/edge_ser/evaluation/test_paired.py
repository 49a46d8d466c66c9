"""Two models side by side: one that is better is seen to be, the same one is not."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.answers import Answers
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


def test_clips_count_where_an_emotion_is_known_and_where_all_ratings_are() -> None:
    a, b = make(120, right=0.5), make(120, right=0.8)
    nameless = [dataclasses.replace(c, emotion=None) if i % 5 == 0 else c for i, c in enumerate(a.clips)]
    halves = [dataclasses.replace(c, valence=None) if i % 7 == 0 else c for i, c in enumerate(a.clips)]
    known, rated = np.arange(120) % 5 != 0, np.arange(120) % 7 != 0
    found, part = (
        compare(*(dataclasses.replace(x, clips=tuple(nameless)).take(rows) for x in (a, b)), rounds=20)
        for rows in (np.arange(120), np.flatnonzero(known))
    )
    assert found["clips"] == 120 and part["clips"] == 96
    assert all(found[key] == part[key] for key in ("uar", "accuracy", "changed"))
    found, part = (
        compare(*(dataclasses.replace(x, clips=tuple(halves)).take(rows) for x in (a, b)), rounds=20)
        for rows in (np.arange(120), np.flatnonzero(rated))
    )
    assert all(found[key] == part[key] for key in ("ccc.arousal", "ccc.dominance", "ccc.valence"))
    assert found["ccc.valence"]["a"] > 0.5


def at(a: Answers, *paths: str) -> Answers:
    """The same answers, of files elsewhere and of one speaker in turn with another."""
    clips = zip(a.clips, paths, strict=True)
    return dataclasses.replace(
        a,
        clips=tuple(
            dataclasses.replace(c, path=Path(path), speaker=path.split("/")[-2]) for c, path in clips
        ),
    )


def test_clips_of_one_name_in_several_folders_are_told_apart() -> None:
    a = make(40, right=0.5)
    savee = [f"/data/savee/{('DC', 'JE')[i % 2]}/c{i // 2:02}.wav" for i in range(40)]
    here, there = at(a, *savee), at(a, *(path.replace("/data", "/home/me/corpora") for path in savee))
    for one in (here, there, there.take(np.arange(39, -1, -1))):
        result = compare(here, one, rounds=20)
        assert result["clips"] == 40 and result["uar"]["difference"] == 0
        assert result["changed"] == {"only_a_right": 0, "only_b_right": 0}
    # one speaker's sessions in folders of their own
    talks = [f"/data/talk{i % 2}/{'xy'[i // 20]}/{i // 2:02}.wav" for i in range(40)]
    result = compare(at(a, *talks), at(a, *(path.replace("/data", "/mnt") for path in talks)), rounds=20)
    assert result["clips"] == 40 and result["uar"]["difference"] == 0
    # of a speaker that the other never answered, no clip is taken for another's
    alone = here.take(np.arange(0, 40, 2))
    with pytest.raises(EdgeSerError, match="no clip in common"):
        compare(alone, here.take(np.arange(1, 40, 2)))


def test_a_clip_with_two_answers_is_refused() -> None:
    a = make(24)
    with pytest.raises(EdgeSerError, match=r"B has two answers to .*0\.wav; list each recording once"):
        compare(a, a.take(np.array([*range(24), 0])))


def of_seeds(a: Answers, *seeds: int) -> Answers:
    rows = a.take(np.tile(np.arange(len(a)), len(seeds)))
    return dataclasses.replace(rows, seeds=np.repeat(seeds, len(a)))


def test_seeds_are_matched_and_no_clips_of_their_own() -> None:
    a = make(24)
    assert compare(a, of_seeds(a, 1), rounds=20)["seeds"] == {"a": [0], "b": [1]}  # one run each
    result = compare(a, of_seeds(a, 0, 1, 2), rounds=20)
    assert (result["clips"], result["only_a"], result["only_b"]) == (24, 0, 0)
    assert result["seeds"] == {"compared": [0], "a": [0], "b": [0, 1, 2]}
    both = of_seeds(a, 0, 1)
    result = compare(both, both.take(np.arange(4, 48)), rounds=20)
    assert (result["clips"], result["only_a"], result["only_b"]) == (24, 4, 0)
    with pytest.raises(EdgeSerError, match="A is of the seeds 0, 1 and B of 2, 3; evaluate both with a seed"):
        compare(both, of_seeds(a, 2, 3))


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=10))
def test_p_is_a_probability_and_knows_no_direction(d: list[float]) -> None:
    p = sign_flip_p(np.array(d))
    assert 0 < p <= 1 and sign_flip_p(-np.array(d)) == pytest.approx(p)


def test_p_of_a_known_case() -> None:
    assert sign_flip_p(np.ones(5)) == pytest.approx(2 / 32)
    assert 0 < sign_flip_p(np.full(20, 0.1)) < 0.001


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
