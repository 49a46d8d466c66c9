"""What a bundle carries of an evaluation: the worst of it, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ser.errors import EdgeSerError
from export.figures import failures, read_figures


def test_the_worst_classes_and_what_they_are_taken_for() -> None:
    result = {
        "labels": ["angry", "calm", "happy", "neutral", "sad"],
        "confusion": [[8, 0, 2, 0, 0], [0, 0, 0, 0, 0], [3, 1, 4, 2, 0], [0, 0, 0, 5, 0], [0, 0, 0, 1, 1]],
    }
    assert failures(result) == {
        "classes": [
            {"label": "happy", "clips": 10, "recall": 0.4, "taken_for": "angry", "share": 0.3},
            {"label": "sad", "clips": 2, "recall": 0.5, "taken_for": "neutral", "share": 0.5},
            {"label": "angry", "clips": 10, "recall": 0.8, "taken_for": "happy", "share": 0.2},
        ]
    }


def test_sexes_and_conditions_where_they_were_measured() -> None:
    conditions = [{"condition": str(i), "lost": 0.01 * (i - 2), "uar": 0.5} for i in range(12)]
    worst = failures({"sex": [{"group": "f", "uar": 0.75}], "robustness": {"conditions": conditions}})
    assert [one["condition"] for one in worst["conditions"]] == ["11", "10", "9", "8", "7", "6"]
    assert worst["conditions"][0]["lost"] == 0.09 and "sexes" not in worst  # one sex is no comparison
    both = [{"group": "f", "uar": 0.75}, {"group": "m", "uar": 0.59375}]
    assert failures({"sex": both}) == {"sexes": {"f": 0.75, "m": 0.5938}}


def test_nothing_measured_is_nothing_said() -> None:
    assert failures({}) == {} == failures({"confusion": [[1]]})
    assert failures({"robustness": {"conditions": [{"condition": "clean", "lost": 0.0}]}}) == {}


@given(st.integers(1, 6).flatmap(lambda n: st.lists(st.lists(st.integers(0, 30), min_size=n, max_size=n),
                                                    min_size=n, max_size=n)))  # fmt: skip
def test_no_class_left_out_is_worse(matrix: list[list[int]]) -> None:
    labels = [f"l{i}" for i in range(len(matrix))]
    told = failures({"labels": labels, "confusion": matrix}).get("classes", [])
    recalls = {
        label: round(row[i] / sum(row), 4)
        for i, (label, row) in enumerate(zip(labels, matrix, strict=True))
        if any(row)
    }
    assert len(told) == min(3, len(recalls))
    assert [one["recall"] for one in told] == sorted(recalls.values())[:3]
    assert all(0 <= one["share"] <= 1 - one["recall"] + 1e-4 for one in told)


def test_what_is_read_of_a_result(tmp_path: Path) -> None:
    result = tmp_path / "r.json"
    result.write_text(
        '{"protocol": "p", "corpus": "c", "uar": {"mean": 0.5, "ci95": null}, "confusion": [[1]]}'
    )
    assert read_figures(result) == {"corpus": "c", "protocol": "p", "uar": {"mean": 0.5, "ci95": None}}
    result.write_text('{"uar": 1}')
    with pytest.raises(EdgeSerError, match="protocol"):
        read_figures(result)
    with pytest.raises(EdgeSerError, match="not a file"):
        read_figures(tmp_path / "none.json")
