"""Joined recordings, and figures of answers whose course is known."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edge_ser.audio import write_wav
from edge_ser.corpora import Clip, Corpus
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.streaming import joined, joined_by_fold, stream_quality
from firmware_py.prediction import Prediction

pytest.importorskip("scipy")


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    made = []
    for i, emotion in enumerate(("angry", "sad", "angry")):
        wave = np.zeros(48000, np.float32)
        wave[8000:40000] = 0.2 * np.sin(np.arange(32000) * 0.1)
        write_wav(tmp_path / f"{i}.wav", wave)
        made.append(Clip(tmp_path / f"{i}.wav", "made", "s", emotion))
    write_wav(tmp_path / "silent.wav", np.zeros(20000, np.float32))
    return [*made, Clip(tmp_path / "silent.wav", "made", "s", "sad")]


def test_turns_lie_where_the_speech_is(clips: list[Clip]) -> None:
    one = joined(clips)
    assert len(one.turns) == 3  # silence has no turn
    assert [Path(x.file).name for x in one.excluded] == ["silent.wav"] and "silent" in one.excluded[0].reason
    for turn in one.turns:
        assert turn.end - turn.start == pytest.approx(32000, abs=640)
        assert np.abs(one.wave[turn.start : turn.end]).max() > 0.15
        assert np.abs(one.wave[turn.start - 4000 : turn.start - 400]).max() < 0.05
    assert (joined(clips).wave == one.wave).all() and (joined(clips, seed=1).wave[:9] != one.wave[:9]).any()


def test_clips_without_a_turn_are_named(tmp_path: Path, clips: list[Clip]) -> None:
    write_wav(tmp_path / "short.wav", np.full(1600, 0.1, np.float32))
    (tmp_path / "broken.wav").write_bytes(b"RIFF nonsense")
    beep = np.zeros(16000, np.float32)
    beep[8000:9000] = 0.2
    write_wav(tmp_path / "beep.wav", beep)
    odd = [
        Clip(tmp_path / f"{name}.wav", "made", "s", "sad") for name in ("silent", "short", "broken", "beep")
    ]
    one, nothing = joined([*clips[:2], odd[3]]), joined(odd[:3])
    assert not nothing.turns and len(nothing.excluded) == 3
    heard = [(Scripted(part.turns, 8000), part) for part in (nothing, one)]
    result = stream_quality(heard, ("angry", "sad"))  # type: ignore[arg-type]
    assert result["figures"]["turns"] == 2
    reasons = {Path(row["file"]).stem: row["reason"] for row in result["excluded"]}
    assert set(reasons) == {"silent", "short", "broken", "beep"}
    assert "half a second" in reasons["short"] and "two answers" in reasons["beep"]
    with pytest.raises(EdgeSerError, match="no turn was long enough"):
        stream_quality([(Scripted((), 0), nothing)], ("angry", "sad"))  # type: ignore[list-item]


@dataclasses.dataclass
class Scripted:
    """Says sad for so many samples of each turn, then what is right; arousal goes there in one step."""

    turns: tuple
    wrong_for: int

    @property
    def step_samples(self) -> int:
        return 4000

    def stream(self, *, turns: bool, adapt: bool) -> "Scripted":
        assert turns and not adapt  # as a listener hears
        return self

    def push(self, wave: np.ndarray) -> list[Prediction]:
        answers = []
        for end in range(4000, len(wave) + 1, 4000):
            turn = next((t for t in self.turns if t.start < end <= t.end + 16000), None)
            late = turn is not None and end - turn.start > self.wrong_for
            said = turn.clip.emotion if late else "sad"
            answers.append(
                Prediction(
                    0, end, 16000, 0.9 if late else 0.2, 0.5, 0.5, {"angry": float(said == "angry"), "sad": 0.5},
                    "speech" if turn else "silence", -20.0,
                )
            )  # fmt: skip
        return answers


class Flickering(Scripted):
    """Every second step is right by far, the others are wrong by a hair."""

    def push(self, wave: np.ndarray) -> list[Prediction]:
        answers = []
        for one in super().push(wave):
            share = 0.6 if one.end // 4000 % 2 else 0.48
            shares = {label: share if label == one.label else 1 - share for label in one.emotion}
            answers.append(dataclasses.replace(one, emotion=shares))
        return answers


def test_figures_follow_the_course(clips: list[Clip]) -> None:
    one = joined(clips)
    quick = stream_quality([(Scripted(one.turns, 8000), one)], ("angry", "sad"))["figures"]  # type: ignore[list-item]
    assert quick["turns"] == 3 and quick["right_at_end"] == 1 and quick["stable_in_time"] == 1
    assert quick["in_pauses"] == 0 and 0.4 < quick["adv_lag_s"]["arousal"] < 0.8
    assert quick["adv_lag_s"]["valence"] is None
    slow = stream_quality([(Scripted(one.turns, 28000), one)], ("angry", "sad"))  # type: ignore[list-item]
    assert slow["figures"]["stable_in_time"] == pytest.approx(1 / 3)  # the sad one was right from the start
    assert slow["figures"]["flips_per_minute"] == pytest.approx(20, rel=0.1)


def test_the_label_that_is_shown_has_figures_of_its_own(clips: list[Clip]) -> None:
    one = joined(clips)
    figures = stream_quality([(Flickering(one.turns, 0), one)], ("angry", "sad"))["figures"]  # type: ignore[list-item]
    assert figures["flips_per_minute"] > 150 and figures["right_at_end"] < 1
    steady = figures["steady"]
    assert steady["right_at_end"] == steady["stable_in_time"] == 1
    assert steady["flips_per_minute"] <= 60  # two a turn at most: to a label of its own, and to the right one


def test_a_fold_without_its_model_is_named(tmp_path: Path, clips: list[Clip]) -> None:
    (tmp_path / "fold0-seed1.safetensors").touch()
    some = [dataclasses.replace(clip, fold=i) for i, clip in enumerate(clips)]
    corpus = Corpus("made", tuple(some), ("angry", "sad"))
    with pytest.raises(EdgeSerError, match="lacks fold 1 of seed 1"):
        next(joined_by_fold(tmp_path, corpus, some[:2], None))  # type: ignore[arg-type]
