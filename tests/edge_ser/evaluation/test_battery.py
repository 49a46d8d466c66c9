"""Every condition gives a wave, the same one twice; tests have the paper's limits; a perfect model passes."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edge_ser.audio import write_wav
from edge_ser.corpora import Clip
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.battery import bars, conditions_table, random_answers, spread_over
from edge_ser.evaluation.conditions import CONDITIONS, SMALL_CHANGES, Material, heard_in
from edge_ser.evaluation.paper_tests import paper_tests, pitch_groups

pytest.importorskip("scipy")
pytest.importorskip("soxr")

RNG = np.random.default_rng(0)
WAVE = (0.1 * RNG.standard_normal(12000)).astype(np.float32)
ROOM = np.concatenate([[1.0], 0.1 * RNG.standard_normal(400)]).astype(np.float32)
MATERIAL = Material((WAVE[::-1].copy(),), (WAVE[:4000].copy(),), (ROOM,), (WAVE, WAVE[::2].copy()))
LABELS = ("angry", "happy", "sad")
SPEAKERS = 6


def clips(n: int = 288) -> list[Clip]:
    made = []
    for i in range(n):
        truth = i // SPEAKERS % 3
        adv = {"angry": (0.9, 0.9, 0.1), "happy": (0.85, 0.8, 0.9), "sad": (0.1, 0.2, 0.15)}[LABELS[truth]]
        made.append(
            Clip(
                Path(f"{i}.wav"),
                "made",
                f"s{i % SPEAKERS}",
                LABELS[truth],
                *adv,
                sex="fm"[i % 2],
                language="en",
            )
        )
    return made


@pytest.mark.parametrize("name", [*CONDITIONS, *SMALL_CHANGES])
def test_a_condition_gives_the_same_wave_twice(name: str) -> None:
    clip = clips(1)[0]
    before = WAVE.copy()
    heard = heard_in(name, WAVE, clip, MATERIAL)
    assert heard.dtype == np.float32 and heard.ndim == 1 and np.isfinite(heard).all() and len(heard) > 6000
    assert (heard == heard_in(name, WAVE, clip, MATERIAL)).all() and (before == WAVE).all()
    assert name == "clean" or len(heard) != len(WAVE) or not np.array_equal(heard, WAVE)
    assert not np.any(heard_in(name, np.zeros(8000, np.float32), clip, MATERIAL))


def test_what_is_missing_is_said() -> None:
    with pytest.raises(EdgeSerError, match="needs noises"):
        heard_in("real noise 10 dB", WAVE, clips(1)[0], Material())
    with pytest.raises(EdgeSerError, match="no condition"):
        heard_in("underwater", WAVE, clips(1)[0], MATERIAL)


def perfect(some: list[Clip]) -> dict:
    truth = np.array([LABELS.index(clip.emotion or "") for clip in some])
    adv = np.array([clip.adv for clip in some])
    return dict.fromkeys((*CONDITIONS, *SMALL_CHANGES), (truth, adv))


def test_a_perfect_model_passes_everything_and_a_random_one_does_not() -> None:
    some = clips()
    pitch = [("low", "high", "medium", None, "low", "high")[i % SPEAKERS] for i in range(len(some))]
    rows = paper_tests(perfect(some), some, LABELS, pitch)
    assert all(row["ok"] for row in rows)
    assert {"pitch: UAR low", "sex: UAR female", "sex: recall bin 0 male"} <= {row["test"] for row in rows}
    assert {row["group"] for row in rows} == {"correctness", "fairness", "robustness"}
    chance = paper_tests(random_answers([*CONDITIONS, *SMALL_CHANGES], len(some), 3), some, LABELS)
    assert 0.1 < np.mean([row["ok"] for row in chance]) < 0.8
    for row in bars(perfect(some), some, LABELS):
        assert row["ok"] and row["figure"] == 0 and row["ci95"] == [0, 0]


def test_a_model_without_ratings_is_tested_on_emotion_alone() -> None:
    some = clips()
    silent = {name: (said, np.full_like(adv, np.nan)) for name, (said, adv) in perfect(some).items()}
    rows = paper_tests(silent, some, LABELS)
    every = paper_tests(perfect(some), some, LABELS)
    assert rows == [row for row in every if row["task"] == "emotion"]
    table = conditions_table(silent, some, LABELS)
    assert set(table[0]) == {"condition", "uar", "lost", "same_label"}


def test_ratings_that_are_all_alike_rank_no_speaker() -> None:
    some = clips()
    truth, adv = perfect(some)["clean"]
    rated = [dataclasses.replace(c, arousal=int(c.speaker[1:]) / 8) for c in some]
    for said, expected in ((np.full_like(adv, 0.5), 0.0), (np.array([c.adv for c in rated]), 1.0)):
        rows = paper_tests(dict.fromkeys((*CONDITIONS, *SMALL_CHANGES), (truth, said)), rated, LABELS)
        found = {row["task"]: row["figure"] for row in rows if "Spearman" in row["test"]}
        assert found["arousal"] == pytest.approx(expected)


def test_what_is_lost_in_a_condition_is_seen() -> None:
    some = clips()
    answers = perfect(some)
    truth, adv = answers["clean"]
    wrong = truth.copy()
    wrong[:72] = (wrong[:72] + 1) % 3
    answers["telephone"] = (wrong, 1 - adv)
    rows = paper_tests(answers, some, LABELS)
    lost = {row["test"]: row for row in rows if "phone" in row["test"] and row["task"] == "emotion"}
    assert lost["low quality phone: change of UAR"]["figure"] == pytest.approx(-0.25)
    assert not lost["low quality phone: change of UAR"]["ok"] and lost["low quality phone: unchanged"]["ok"]
    rows = bars(answers, some, LABELS)
    assert [row["ok"] for row in rows] == [True, True, True, False, True]
    [phone] = (row for row in rows if "telephone" in row["test"])
    table = conditions_table(answers, some, LABELS)
    assert phone["figure"] == {row["condition"]: row["lost"] for row in table}["telephone"]
    assert phone["ci95"] == pytest.approx([0.25, 0.25])  # each speaker lost the same


def test_the_gap_between_sexes_is_given_from_who_is_heard_better() -> None:
    some = clips()
    answers = perfect(some)
    truth, adv = answers["clean"]
    for heard_worse in "fm":
        wrong = np.array([clip.sex == heard_worse for clip in some]) & (np.arange(len(some)) % 36 < 18)
        answers["clean"] = (np.where(wrong, (truth + 1) % 3, truth), adv)
        gap = bars(answers, some, LABELS)[-1]
        assert gap["test"] == "UAR between the sexes" and not gap["ok"]
        assert gap["figure"] == pytest.approx(0.5, abs=0.1) and gap["ci95"][0] > 0.3
    mixed = [dataclasses.replace(some[0], sex="m" if some[0].sex == "f" else "f"), *some[1:]]
    assert [row["ci95"] is None for row in bars(answers, mixed, LABELS)] == [False] * 4 + [True]
    one = [clip for clip in some if clip.speaker == some[0].speaker]
    alone = bars(perfect(one), one, LABELS)
    assert len(alone) == 4 and all(row["ci95"] is None for row in alone)


def test_clips_are_spread_over_speakers_and_emotions() -> None:
    chosen = spread_over(clips(), 36)
    assert len(chosen) == 36 and len({(c.speaker, c.emotion) for c in chosen}) == 18
    assert spread_over(clips(), 36) == chosen and len(spread_over(clips(), 999)) == 288


def test_speakers_are_grouped_by_their_pitch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_SER_FEATURES", "numpy")  # nothing is compiled
    made = []
    for speaker, hz in (("deep", 110), ("middle", 170), ("high", 260)):
        for i in range(3):
            t = np.arange(12000) / 16000
            write_wav(
                tmp_path / f"{speaker}{i}.wav",
                0.2 * sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 6)),
            )
            made.append(Clip(tmp_path / f"{speaker}{i}.wav", "made", speaker, "sad"))
    write_wav(tmp_path / "none.wav", np.zeros(12000, np.float32))
    made.append(Clip(tmp_path / "none.wav", "made", "mute", "sad"))
    assert pitch_groups(made) == ["low"] * 3 + ["medium"] * 3 + ["high"] * 3 + [None]
