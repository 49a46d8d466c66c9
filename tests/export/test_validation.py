"""What a file loses in figures: speakers that were trained on are refused, and the figures are those of metrics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_ser.audio import write_wav
from edge_ser.corpora import Clip
from edge_ser.errors import EdgeSerError
from export.validation import CCC_DROP, UAR_DROP, ValidationSet, choose_validation

LABELS = ("happy", "neutral", "sad")


def clip(i, emotion, adv=None):
    rated = dict(zip(("arousal", "dominance", "valence"), adv or (None,) * 3, strict=True))
    return Clip(Path(f"{i}.wav"), "mine", f"s{i % 3}", emotion, **rated)


def answers(said, adv=None):
    rows = np.zeros((len(said), 6))
    rows[np.arange(len(said)), 3 + np.array(said)] = 2.0
    if adv is not None:
        rows[:, :3] = adv
    return rows


def test_figures_and_limits():
    clips = [clip(i, LABELS[1 + i % 2]) for i in range(8)]
    chosen = ValidationSet("mine", tuple(clips), ("neutral", "sad"), (1, 2))
    right = answers([1 + i % 2 for i in range(8)])
    same = chosen.drop(clips, right, right)
    assert same.ok and same.uar == 1.0 and same.uar_drop == 0.0 and same.same_label == 1.0
    assert same.ccc is None and same.ccc_drop is None
    wrong = right.copy()
    wrong[0] = wrong[1]
    one = chosen.drop(clips, wrong, right)
    assert one.uar_drop == pytest.approx(1 / 8) and one.same_label == pytest.approx(7 / 8)
    assert one.ok  # what one clip is worth here is more than the limit
    assert one.uar_limit == pytest.approx(1 / 8, rel=1e-3) and one.uar_limit > UAR_DROP
    wrong[2] = wrong[1]
    assert not chosen.drop(clips, wrong, right).ok
    assert chosen.drop(clips, right, wrong).ok  # better than torch is no loss
    # what the model says outside of the set's emotions has no part
    other = answers([0] * 8)
    other[:, 4:] = right[:, 4:]
    assert chosen.drop(clips, other, right).uar == 1.0
    document = one.to_dict()
    assert document["uar_drop"] == one.uar_drop and document["ccc_drop"] is None and document["clips"] == 8


def test_ratings():
    rng = np.random.default_rng(0)
    ratings = rng.uniform(0, 1, (20, 3))
    clips = [clip(i, None, tuple(row)) for i, row in enumerate(ratings)]
    chosen = ValidationSet("mine", tuple(clips), (), ())
    exact = answers([0] * 20, ratings)
    off = answers([0] * 20, ratings + rng.normal(0, 0.1, ratings.shape))
    lost = chosen.drop(clips, off, exact)
    assert lost.uar is None and lost.uar_drop is None and lost.same_label is None
    assert lost.torch_ccc == pytest.approx((1, 1, 1)) and max(lost.ccc_drop) > CCC_DROP and not lost.ok
    assert set(lost.to_dict()["ccc"]) == {"arousal", "dominance", "valence"}


@pytest.fixture
def table(tmp_path):
    rows = ["file,speaker,emotion,fold"]
    for i in range(6):
        write_wav(tmp_path / f"{i}.wav", np.full(8000 if i else 10, i / 10, np.float32))
        rows.append(f"{i}.wav,s{i % 3},{['sad', 'happy', 'bored'][i // 2]},{i % 3}")
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_what_was_trained_on_is_refused(table):
    everything = {"clips": {"mine": 6}, "held_out_fold": None}
    with pytest.raises(EdgeSerError, match="trained on all speakers of mine"):
        choose_validation(str(table), everything, LABELS)
    fold = {"clips": {"mine": 6}, "held_out_fold": 1}
    with pytest.raises(EdgeSerError, match="trained on fold 0 of mine; it held out 1"):
        choose_validation(f"{table}:0", fold, LABELS)
    with pytest.raises(EdgeSerError, match=r"mine has no clips of fold 7; it has \[0, 1, 2\]"):
        choose_validation(f"{table}:7", fold, LABELS)
    for text in (str(table), f"{table}:1"):
        chosen = choose_validation(text, fold, LABELS)
        assert chosen.name == "mine, fold 1"
        assert {one.fold for one in chosen.clips} == {1} and {one.speaker for one in chosen.clips} == {"s1"}


def test_another_corpus(table):
    chosen = choose_validation(str(table), {"clips": {"other": 1}}, LABELS)
    assert chosen.labels == ("happy", "sad") and chosen.indices == (0, 2)
    assert len(chosen.clips) == 4  # the model knows no boredom
    assert len(chosen.waves(4000)) == 3  # one is too short
    with pytest.raises(EdgeSerError, match="can be validated on"):
        chosen.waves(100_000)
    with pytest.raises(EdgeSerError, match="no clips of fold 7"):
        choose_validation(f"{table}:7", {}, LABELS)
    with pytest.raises(EdgeSerError, match="none of them and no ratings"):
        choose_validation(str(table), {}, ("angry",))
    with pytest.raises(EdgeSerError):
        choose_validation("no-such-corpus:0", {}, LABELS)
