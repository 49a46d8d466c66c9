"""The table of answers: what cannot be scored is refused, and it comes back from JSON as it was."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.answers import Answers
from tests.edge_ser.evaluation.making import make


def test_json_gives_it_back(tmp_path: Path) -> None:
    made = make(18)
    (tmp_path / "predictions.json").write_text(json.dumps(made.to_dict()))
    read = Answers.read(tmp_path)
    assert read.clips[3].speaker == made.clips[3].speaker and read.labels == made.labels
    assert read.scores == pytest.approx(made.scores, abs=1e-6) and read.adv == pytest.approx(
        made.adv, abs=1e-6
    )
    assert (read.truth == made.truth).all() and read.excluded == made.excluded and read.states == made.states
    assert read.ratings == pytest.approx(made.ratings)


@pytest.mark.parametrize("what", ["scores", "adv"])
def test_a_score_that_is_no_number_is_refused_with_its_clip(what: str) -> None:
    made = make(18)
    values = getattr(made, what).copy()
    values[5, 1] = np.nan
    with pytest.raises(EdgeSerError, match=r"5\.wav is not a number \(1 of 18"):
        dataclasses.replace(made, **{what: values})


def test_nothing_to_score_other_lengths_and_unknown_emotions() -> None:
    made = make(18)
    with pytest.raises(EdgeSerError, match="no answers"):
        made.take(np.zeros(18, bool))
    with pytest.raises(EdgeSerError, match="other lengths"):
        dataclasses.replace(made, adv=made.adv[:3])
    with pytest.raises(EdgeSerError, match="sad were answered among"):
        dataclasses.replace(made, labels=("angry", "happy"), scores=made.scores[:, :2])


def test_absent_classes_are_named() -> None:
    made = make(18)
    assert made.absent() == []
    assert made.take(made.truth != 1).absent() == ["happy"]


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EdgeSerError, match="--report"):
        Answers.read(tmp_path)
    (tmp_path / "predictions.json").write_text('{"answers": [{"file": "x"}]}')
    with pytest.raises(EdgeSerError, match="no predictions"):
        Answers.read(tmp_path)
