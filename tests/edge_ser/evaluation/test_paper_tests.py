"""Each figure of the paper's tests against one that was reckoned by hand, and on which side of its limit it is good."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edge_ser.audio import write_wav
from edge_ser.corpora import ADV, Clip
from edge_ser.evaluation.conditions import CONDITIONS, SMALL_CHANGES
from edge_ser.evaluation.paper_tests import paper_tests, pitch_groups

LABELS = ("angry", "sad")
NAMES = (*CONDITIONS, *SMALL_CHANGES)
MADE = Clip(Path("made.wav"), "made", "s0", "angry")


def clips(truth, **fields):
    """Clips of these labels, with a list of values for each field."""
    made = [
        dataclasses.replace(MADE, path=Path(f"{i}.wav"), emotion=LABELS[label])
        for i, label in enumerate(truth)
    ]
    for name, values in fields.items():
        made = [dataclasses.replace(clip, **{name: one}) for clip, one in zip(made, values, strict=True)]
    return made


def rated(some, ratings):
    return [
        dataclasses.replace(clip, **dict(zip(ADV, row, strict=True)))
        for clip, row in zip(some, ratings.tolist(), strict=True)
    ]


def found_of(some, said, adv=None, pitch=None, labels=LABELS, answers=None):
    """Rows by task and test; the same answers in all conditions but in those that ``answers`` has."""
    said = np.array(said)
    adv = np.full((len(said), 3), 0.5) if adv is None else adv
    rows = paper_tests(dict.fromkeys(NAMES, (said, adv)) | (answers or {}), some, labels, pitch)
    return {(row["task"], row["test"]): row for row in rows}


HALVES = [0] * 10 + [1] * 10


def test_too_many_of_a_class_and_too_few_are_both_missed():
    said = [0] * 16 + [1] * 4
    rows = found_of(clips(HALVES), said)
    more, fewer = (rows["emotion", f"relative difference {label}"] for label in LABELS)
    assert more["figure"] == pytest.approx(0.3) and fewer["figure"] == pytest.approx(-0.3)
    assert not more["ok"] and not fewer["ok"]
    assert rows["emotion", "recall angry"]["figure"] == 1 and rows["emotion", "recall sad"]["figure"] == 0.4
    assert rows["emotion", "precision angry"]["figure"] == 10 / 16
    assert rows["emotion", "unweighted average precision"]["figure"] == pytest.approx((10 / 16 + 1) / 2)


def test_a_class_that_is_never_answered_has_no_precision_and_one_that_is_not_there_is_not_asked_of():
    rows = found_of(clips(HALVES), [0] * 20, labels=(*LABELS, "bored"))
    assert rows["emotion", "precision sad"]["figure"] == 0
    assert rows["emotion", "unweighted average precision"]["figure"] == 0.25
    assert not {("emotion", "recall bored"), ("emotion", "precision bored")} & set(rows)


def test_ratings_of_an_emotion_are_expected_on_their_side_of_the_middle():
    adv = np.tile([0.5, 0.5, 0.5], (20, 1))
    adv[:10, 0] = [0.55] * 7 + [0.54] * 3  # arousal of the angry is high
    adv[10:, 0] = [0.45] * 8 + [0.46] * 2  # and of the sad low
    rows = found_of(clips(HALVES), HALVES, adv)
    high, low = (rows["arousal", f"in expected {level} range"] for level in ("high", "low"))
    assert (high["figure"], high["ok"]) == (0.7, False) and (low["figure"], low["ok"]) == (0.8, True)
    assert rows["valence", "in expected low range"]["figure"] == 0  # of both
    assert ("valence", "in expected high range") not in rows


def test_speakers_of_few_clips_are_left_out():
    speakers = ["a"] * 10 + ["b"] * 10 + ["c"] * 9
    truth, said = [0, 1] * 14 + [0], [0, 1] * 5 + [0] * 10 + [1] * 9
    rows = found_of(clips(truth, speaker=speakers), said)
    figure = rows["emotion", "class proportion by speaker, MAE angry"]["figure"]
    assert figure == pytest.approx((0.0 + 0.5) / 2)  # c, whose share is off by more, has nine


def test_speakers_are_ranked_with_equals_in_one_place():
    """Spearman's rho by hand: ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4."""
    some = clips([0] * 40, speaker=np.repeat(list("abcd"), 10).tolist())
    ratings, adv = (
        np.repeat(np.tile(row, (3, 1)).T, 10, axis=0) for row in ([0.1, 0.4, 0.4, 0.8], [0.1, 0.2, 0.3, 0.4])
    )
    row = found_of(rated(some, ratings), [0] * 40, adv)["arousal", "speaker ranking, Spearman's rho"]
    assert row["figure"] == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    mae = found_of(rated(some, ratings), [0] * 40, adv)["arousal", "speaker average MAE"]
    assert mae["figure"] == pytest.approx((0.0 + 0.2 + 0.1 + 0.4) / 4) and not mae["ok"]


def test_ratings_that_never_meet_are_one_apart():
    ratings, adv = np.full((20, 3), 0.05), np.full((20, 3), 0.95)
    name = "Jensen-Shannon distance"
    assert found_of(rated(clips(HALVES), ratings), HALVES, adv)["arousal", name]["figure"] == 1
    adv[:10] = 0.05  # half of them do: divergence 1/2 (log 2/1.5 + 1/2 log .5/.75 + 1/2 log 2)
    expected = np.sqrt((np.log2(1 / 0.75) + 0.5 * np.log2(0.5 / 0.75) + 0.5) / 2)
    found = found_of(rated(clips(HALVES), ratings), HALVES, adv)["arousal", name]["figure"]
    assert found == pytest.approx(expected)


def test_a_language_is_set_against_all_clips():
    languages, said = ["da"] * 5 + ["en"] * 5 + ["da"] * 5 + ["en"] * 5, [0] * 10 + [0] * 5 + [1] * 5
    adv = np.full((20, 3), 0.5)
    adv[np.array(languages) == "da", 0] = 0.6
    rows = found_of(clips(HALVES, language=languages), said, adv)
    share = rows["emotion", "language: share of angry in da"]
    assert share["figure"] == pytest.approx(1.0 - 0.75) and not share["ok"]
    assert rows["emotion", "language: share of angry in en"]["figure"] == pytest.approx(0.5 - 0.75)
    mean = rows["arousal", "language: mean in en"]
    assert mean["figure"] == pytest.approx(0.5 - 0.55) and not mean["ok"]
    one = found_of(clips(HALVES, language=["da"] * 20), said, adv)
    assert not any("language" in test for _, test in one)


def test_a_sex_is_set_against_all_clips_by_recall_and_by_precision():
    """The women's sad clips are all called angry: their recall of the sad falls, and the precision of the angry."""
    sexes, said = ["f"] * 5 + ["m"] * 5 + ["f"] * 5 + ["m"] * 5, [0] * 15 + [1] * 5
    rows = found_of(clips(HALVES, sex=sexes), said)
    found = {test.removeprefix("sex: "): row["figure"] for (_, test), row in rows.items() if "sex" in test}
    assert found == pytest.approx({
        "UAR female": 0.5 - 0.75, "UAR male": 1.0 - 0.75,
        "recall angry female": 0.0, "recall angry male": 0.0,
        "recall sad female": 0.0 - 0.5, "recall sad male": 1.0 - 0.5,
        "precision angry female": 0.5 - 10 / 15, "precision angry male": 1.0 - 10 / 15,
        "precision sad female": 0.0 - 1.0, "precision sad male": 0.0,
    })  # fmt: skip
    unknown = found_of(clips(HALVES, sex=[None if sex == "m" else sex for sex in sexes]), said)
    assert not any("sex" in test for _, test in unknown)  # nobody to be compared with


def test_a_group_whose_ratings_agree_less_is_below_all():
    ratings = np.tile(np.linspace(0.05, 0.95, 10)[:, None], (2, 3))
    adv = ratings.copy()
    adv[10:] = adv[10:][::-1]  # of the high voices it says the opposite
    pitch = ["low"] * 10 + ["high"] * 10
    rows = found_of(rated(clips(HALVES), ratings), HALVES, adv, pitch)
    low, high = (rows["arousal", f"pitch: CCC {group}"] for group in ("low", "high"))
    assert low["figure"] == pytest.approx(1.0) and high["figure"] == pytest.approx(-1.0)
    assert not low["ok"] and not high["ok"]
    assert rows["arousal", "pitch: recall bin 0 high"]["figure"] == pytest.approx(0.0 - 0.5)


@pytest.mark.parametrize(("condition", "test", "limit"), [
    ("telephone", "low quality phone", -0.05),
    ("tilt up", "spectral tilt up", -0.02),
    ("white noise 20 dB", "background white noise", -0.05),
])  # fmt: skip
def test_what_a_condition_takes_is_below_nothing_and_what_it_brings_is_no_fault(condition, test, limit):
    right, wrong = np.array([0] * 50 + [1] * 50), np.array([0] * 50 + [1] * 50)
    wrong[:3] = 1  # 0.06 of a recall
    adv = np.full((100, 3), 0.5)
    worse = found_of(clips(right), right, answers={condition: (wrong, adv)})[
        "emotion", f"{test}: change of UAR"
    ]
    better = found_of(clips(right), wrong, answers={condition: (right, adv)})
    assert worse["figure"] == pytest.approx(-0.03) and worse["limit"] == limit
    assert worse["ok"] == (limit < -0.03)
    gained = better["emotion", f"{test}: change of UAR"]
    assert gained["figure"] == pytest.approx(0.03) and gained["ok"]
    assert better["emotion", f"{test}: unchanged"]["figure"] == 0.97


def test_a_rating_that_moved_by_less_than_a_twentieth_is_unchanged():
    adv, moved = np.full((20, 3), 0.5), np.full((20, 3), 0.5)
    moved[:, 0] += [0.04] * 8 + [0.06] * 6 + [-0.04] * 6
    rows = found_of(clips(HALVES), HALVES, adv, answers={"telephone": (np.array(HALVES), moved)})
    row = rows["arousal", "low quality phone: unchanged"]
    assert row["figure"] == pytest.approx(0.7) and row["ok"]
    assert rows["valence", "low quality phone: unchanged"]["figure"] == 1


def test_a_speaker_of_two_clips_has_no_pitch(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_SER_FEATURES", "numpy")  # nothing is compiled
    t = np.arange(12_000) / 16_000
    write_wav(tmp_path / "a.wav", 0.2 * sum(np.sin(2 * np.pi * 170 * k * t) / k for k in range(1, 6)))
    voice = dataclasses.replace(MADE, path=tmp_path / "a.wav")
    assert pitch_groups([voice] * 2) == [None] * 2
    assert pitch_groups([voice] * 3) == ["medium"] * 3
