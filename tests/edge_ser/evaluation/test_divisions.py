"""Splits by place: shares of each class that leak, and groups that stay apart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.divisions import apart, stratified


@settings(max_examples=50)
@given(
    counts=st.lists(st.integers(4, 40), min_size=2, max_size=5),
    valid=st.sampled_from([0.0, 0.15]),
    test=st.sampled_from([0.15, 0.3]),
    seed=st.integers(0, 5),
)
def test_each_class_is_in_each_part_in_its_share(counts, valid, test, seed) -> None:
    classes = np.repeat(np.arange(len(counts)), counts)
    made = stratified(classes, valid=valid, test=test, seed=seed)
    together = np.concatenate([made.train, made.valid, made.test])
    assert sorted(together) == list(range(len(classes)))
    for one, n in enumerate(counts):
        for places, share in ((made.test, test), (made.valid, valid)):
            here = int((classes[places] == one).sum())
            assert here == (max(1, round(share * n)) if share else 0)
    again = stratified(classes, valid=valid, test=test, seed=seed)
    assert (again.test == made.test).all()


@settings(max_examples=50)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=6, max_size=12),
    folds=st.integers(2, 3),
    valid=st.sampled_from([0.0, 0.2]),
    seed=st.integers(0, 5),
)
def test_no_group_is_on_two_sides(sizes, folds, valid, seed) -> None:
    groups = [f"g{i}" for i, n in enumerate(sizes) for _ in range(n)]
    fold = [int(name[1:]) % folds for name in groups]
    made = apart(fold, groups, valid=valid, seed=seed)
    assert [one.fold for one in made] == list(range(folds))
    for one in made:
        sides = [{groups[i] for i in places} for places in (one.train, one.valid, one.test)]
        assert sum(map(len, sides)) == len(sizes) == len(set().union(*sides))
        assert bool(sides[1]) == bool(valid) and sides[0]
        assert {fold[i] for i in one.test} == {one.fold}


def test_what_is_refused() -> None:
    for shares in ({"test": 0.0}, {"test": 1.0}, {"valid": 0.5, "test": 0.5}, {"valid": -0.1}):
        with pytest.raises(EdgeSerError, match="between 0 and 1"):
            stratified([0, 0, 1, 1], **shares)
    with pytest.raises(EdgeSerError, match="a class of 1 clips"):
        stratified([0, 0, 0, 1])
    with pytest.raises(EdgeSerError, match="one fold"):
        apart([0, 0], ["a", "b"])
    with pytest.raises(EdgeSerError, match="a stands in several folds"):
        apart([0, 1], ["a", "a"])
    with pytest.raises(EdgeSerError, match="1 group is left"):
        apart([0, 1], ["a", "b"], valid=0.2)
    with pytest.raises(EdgeSerError, match="share for validation"):
        apart([0, 1], ["a", "b"], valid=1.0)
