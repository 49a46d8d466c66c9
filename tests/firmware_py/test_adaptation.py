"""Getting used to a speaker: what a voice adds drops out, nothing is known of it at first, and only speech counts."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ser.bundle import Calibration, write_bundle
from edge_ser.errors import EdgeSerError
from edge_ser.recognizer import Recognizer
from edge_ser.tensors import pack_tensors
from firmware_py.adaptation import LONG_TURN_S, SpeakerMean, SpeakerTurns
from firmware_py.decision import Decision, probabilities
from firmware_py.engines import open_engine
from firmware_py.gate import Reading
from firmware_py.pipeline import Pipeline, speaker_turns
from tests.firmware_py.test_decision import RATE, STEP, detector
from tests.support import FILES, manifest, random_weights

TYPICAL = ((2.0, -1.0, -1.0), (-0.5, 1.0, -0.5), (0.0, -1.0, 1.0))
LOGITS = st.lists(st.floats(-8, 8), min_size=3, max_size=3).map(np.array)


def test_at_first_answers_are_as_they_are() -> None:
    logits = np.array([1.0, 2.0, 3.0])
    assert SpeakerMean(TYPICAL).adapted(logits) == pytest.approx(logits)


@settings(max_examples=60)
@given(st.lists(LOGITS, min_size=1, max_size=20), LOGITS, st.floats(-5, 5))
def test_a_constant_in_any_answer_is_of_no_account(heard, logits, constant) -> None:
    plain, moved = SpeakerMean(TYPICAL), SpeakerMean(np.array(TYPICAL) + constant)
    for one in heard:
        plain.hear(one, 1.0)
        moved.hear(one + constant, 1.0)
    want = probabilities(plain.adapted(logits), 1.0)
    assert probabilities(moved.adapted(logits - constant), 1.0) == pytest.approx(want, abs=1e-9)


def one_row(logits):
    """The same typical answer for all emotions: what is left of an answer is then its distance from it."""
    return np.tile(logits, (len(logits), 1))


@settings(max_examples=60)
@given(st.lists(LOGITS, min_size=2, max_size=12), LOGITS)
def test_what_a_voice_adds_drops_out_in_the_end(heard, voice) -> None:
    """The longer it was heard, the less is left of what it adds to every answer, where no emotion is expected."""
    typical = (0.5, -0.25, -0.25)
    first, second = SpeakerMean(typical, memory=1e9), SpeakerMean(one_row(typical), memory=1e9)
    for one in heard * 4:
        first.hear(one, 1000.0)
        second.hear(one + voice, 1000.0)
    shares = (
        probabilities(mean.adapted(heard[0] + v), 1.0) for mean, v in ((first, 0 * voice), (second, voice))
    )
    plain, coloured = shares
    assert coloured == pytest.approx(plain, abs=0.02)


@pytest.mark.parametrize("mood", range(3))
def test_one_mood_alone_is_not_taken_for_the_voice(mood: int) -> None:
    """By a plain mean nothing would be left of it: all answers would be alike."""
    typical = 12.0 * np.eye(3)
    expecting, plain = SpeakerMean(typical), SpeakerMean(typical.mean(0))
    for _ in range(1000):
        expecting.hear(typical[mood], 1.0)
        plain.hear(typical[mood], 1.0)
    left, nothing = (probabilities(mean.adapted(typical[mood]), 1.0)[mood] for mean in (expecting, plain))
    assert left > 0.99 and nothing < 0.5


def test_who_answers_as_is_typical_stays_as_they_are() -> None:
    """Of one answer for all emotions, and of one for each whose rows differ by constants."""
    logits = np.array([3.0, 1.0, -2.0])
    for typical in (logits + 5.0, one_row(logits) + np.array([[7.0], [0.0], [-4.0]])):
        mean = SpeakerMean(typical)
        mean.hear(logits, 100.0)
        want = probabilities(logits, 1.0)
        assert probabilities(mean.adapted(logits), 1.0) == pytest.approx(want, abs=1e-9)


def test_an_answer_that_weighs_more_than_is_remembered_is_all_that_is() -> None:
    mean = SpeakerMean((0.0, 0.0), prior=1e-9, memory=1.0)
    mean.hear(np.array([5.0, -5.0]), 1.0)
    mean.hear(np.array([-2.0, 2.0]), 3.0)
    assert mean.adapted(np.zeros(2)) == pytest.approx([2.0, -2.0])


def test_a_voice_comes_off_in_every_mood() -> None:
    """A voice of one bias, in all moods alike: what it adds is found but for what is taken for a mood."""
    said = np.array(TYPICAL) + np.array([1.5, -1.5, 0.0])
    mean = SpeakerMean(TYPICAL, memory=1e9)
    for logits in np.tile(said, (50, 1)):
        mean.hear(logits, 1000.0)
    assert said.argmax(1).tolist() == [0, 0, 0]
    assert [int(mean.adapted(logits).argmax()) for logits in said] == [0, 1, 2]


def test_half_the_way_at_the_prior() -> None:
    mean = SpeakerMean((0.0, 0.0), prior=4.0)
    for _ in range(4):
        mean.hear(np.array([2.0, -2.0]), 1.0)
    assert mean.adapted(np.array([0.0, 0.0])) == pytest.approx([-1.0, 1.0]) and mean.weight == 4.0


def test_another_speaker_is_got_used_to_as_well() -> None:
    mean = SpeakerMean((0.0, 0.0), prior=1e-9, memory=10.0)
    for _ in range(1000):
        mean.hear(np.array([5.0, -5.0]), 1.0)
    for _ in range(100):
        mean.hear(np.array([-5.0, 5.0]), 1.0)
    assert mean.weight == 10.0 and mean.adapted(np.array([-5.0, 5.0])) == pytest.approx([0.0, 0.0], abs=0.01)


SAID = np.array([2.0, -2.0])


def spoken(speaker: SpeakerTurns, seconds: float, logits=SAID) -> None:
    """Steps of a quarter of a second: those before the last say something else."""
    for left in np.arange(seconds, 0, -0.25):
        speaker.hear(logits if left == 0.25 else -5.0 * np.asarray(logits))


def test_a_turn_counts_once_by_its_end_and_when_the_next_begins() -> None:
    speaker, alone = SpeakerTurns(SpeakerMean((0.0, 0.0)), 0.25), SpeakerMean((0.0, 0.0))
    spoken(speaker, 2.0)
    assert speaker.mean.weight == 0.0
    speaker.begin_turn()
    alone.hear(SAID, 2.0)
    assert speaker.mean.weight == 2.0 and speaker.adapted(SAID) == pytest.approx(alone.adapted(SAID))


def test_an_engine_may_use_its_memory_again() -> None:
    speaker, logits = SpeakerTurns(SpeakerMean((0.0, 0.0), prior=1e-9), 0.25), np.array([2.0, -2.0])
    speaker.hear(logits)
    logits[:] = 0.0
    speaker.begin_turn()
    assert speaker.adapted(np.zeros(2)) == pytest.approx([-2.0, 2.0])


def test_who_never_pauses_is_got_used_to_as_well() -> None:
    speaker = SpeakerTurns(SpeakerMean((0.0, 0.0)), 0.25)
    spoken(speaker, LONG_TURN_S)
    assert speaker.mean.weight == LONG_TURN_S
    speaker.begin_turn()  # what counted counts no more
    assert speaker.mean.weight == LONG_TURN_S


@pytest.mark.parametrize(
    ("is_open", "speech", "heard"), [(True, True, 0.25), (True, False, 0.0), (False, True, 0.0)]
)
def test_only_speech_is_heard(is_open: bool, speech: bool, heard: float) -> None:
    speaker = SpeakerTurns(SpeakerMean((0.0, 0.0)), 0.25)
    decision = Decision(Calibration(1.0, 0.9), detector(1.0 if speech else -1.0), RATE, speaker)
    decision.push(STEP, np.array([1.0, 0.0], np.float32), Reading(is_open, -20.0))
    decision.begin_turn()
    assert speaker.mean.weight == heard


def test_a_step_is_answered_by_the_turns_before_it() -> None:
    decision = Decision(
        Calibration(1.0, 0.0), None, RATE, SpeakerTurns(SpeakerMean((0.0, 0.0), prior=0.25), 0.25)
    )
    logits = np.array([2.0, -2.0], np.float32)
    answers = []
    for _ in range(2):
        decision.begin_turn()
        answers.append(decision.push(STEP, logits, Reading(True, -20.0))[0])
    assert answers[0] == pytest.approx(probabilities(logits, 1.0))
    assert answers[1] == pytest.approx(probabilities(logits / 2, 1.0))


def test_steps_of_a_model_that_hears_samples_are_as_long(numpy_bundle) -> None:
    bundle = dataclasses.replace(
        numpy_bundle,
        calibration=dataclasses.replace(
            numpy_bundle.calibration, typical=((0.0,) * len(numpy_bundle.labels),) * len(numpy_bundle.labels)
        ),
    )
    decision = Decision(Calibration(1.0, 0.0), None, RATE, speaker := speaker_turns(bundle))
    for _ in range(2):
        decision.push(
            np.zeros(4000, np.float32), np.zeros(len(bundle.labels), np.float32), Reading(True, -20.0)
        )
    decision.begin_turn()
    assert speaker.mean.weight == 0.5


def with_typical(folder, typical):
    about = manifest([{"path": FILES["numpy"], "engine": "numpy", "precision": "fp32"}])
    about["calibration"] = about["calibration"] | {"typical": typical}
    return write_bundle(folder, about, {FILES["numpy"]: pack_tensors(random_weights())})


def test_a_bundle_without_a_typical_answer_says_what_to_do(numpy_bundle) -> None:
    engine = open_engine(numpy_bundle, "numpy")
    with pytest.raises(EdgeSerError, match="edge-ser calibrate --predictions"):
        Pipeline(numpy_bundle, engine, adapt=True)


def test_the_recognizer_gets_used_to_a_speaker_too(numpy_bundle, tmp_path) -> None:
    n = len(numpy_bundle.labels)
    bundle = with_typical(tmp_path / "b", np.eye(n).tolist())
    assert bundle.calibration.typical == tuple(map(tuple, np.eye(n).tolist()))
    assert json.loads((bundle.path / "bundle.json").read_text())["version"] == 6
    rng = np.random.default_rng(0)
    wave = (0.3 * rng.normal(size=16000 * 7)).astype(np.float32)
    for start, end in ((0, 8000), (32000, 80000)):
        wave[start:end] *= 0.003  # the gate opens on what stands out
    recognizer = Recognizer.load(bundle.path, engine="numpy")
    plain, adapted = (recognizer.stream(adapt=adapt, turns=True).push(wave) for adapt in (False, True))
    changed = [a.emotion != b.emotion for a, b in zip(plain, adapted, strict=True)]
    again = next(i for i, one in enumerate(plain) if one.end > 80000 and one.state in ("speech", "unsure"))
    assert plain[4].state in ("speech", "unsure") and changed == [i >= again for i in range(len(plain))]
    assert [dataclasses.replace(a, emotion={}) for a in plain] == [
        dataclasses.replace(a, emotion={}) for a in adapted
    ]


def test_one_typical_answer_for_all_emotions_as_bundles_had_before(numpy_bundle, tmp_path) -> None:
    n = len(numpy_bundle.labels)
    row = [round(0.1 * i, 1) for i in range(n)]
    bundle = with_typical(tmp_path / "b", row)
    assert bundle.calibration.typical == (tuple(row),) * n
    assert json.loads((bundle.path / "bundle.json").read_text())["version"] < 6


@pytest.mark.parametrize(
    "typical", [[0.0], "x", [None] * 3, {"a": 1}, [], [[0.0]], [[0.0] * 9] * 2, [0.0, [0.0]]]
)
def test_a_damaged_typical_answer_is_refused_by_name(tmp_path, numpy_bundle, typical) -> None:
    with pytest.raises(EdgeSerError, match="typical"):
        with_typical(tmp_path / "b", typical)
