"""What is told of a training beyond its own clips: where it began."""

from __future__ import annotations

from edge_ser.evaluation.origin import learnt_corpora
from edge_ser.training.told import learnt_before

FIRST = {"clips": {"a": 3}, "licence": "a: free", "citation": "a: A 2001"}
SECOND = {"clips": {"b": 5}, "licence": "b: CC0", "citation": "b: B 2002"}


def test_without_a_start_nothing_came_before() -> None:
    assert learnt_before({}) == {}


def test_a_start_of_a_start_counts_too() -> None:
    second = SECOND | learnt_before(FIRST)
    assert second["began"] == FIRST
    third = {"clips": {"c": 1}} | learnt_before(second)
    assert third["began"] == {
        "clips": {"a": 3, "b": 5}, "licence": "a: free; b: CC0", "citation": "a: A 2001; b: B 2002"
    }  # fmt: skip
    assert learnt_corpora(third) == {"a", "b", "c"} and learnt_corpora(FIRST) == {"a"}
    again = learnt_before(second | {"licence": "a: free"})["began"]
    assert again["licence"] == "a: free"  # once
