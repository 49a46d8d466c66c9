"""Predictions do not depend on how audio is split; times, gaps and calibration are told truly."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ser.bundle import Calibration
from edge_ser.dsp import LogMelStream
from edge_ser.errors import EdgeSerError
from firmware_py.doze import memory_steps
from firmware_py.engines import ENGINES, open_engine
from firmware_py.gate import Reading
from firmware_py.gates import open_gate
from firmware_py.pipeline import Pipeline
from firmware_py.prediction import probabilities
from firmware_py.turns import LEAD_STEPS, PAUSE_STEPS

STEP = 4000


def noise(samples, seed=0):
    rng = np.random.default_rng(seed)
    loud = np.repeat(rng.uniform(0, 0.3, samples // 800 + 1), 800)[:samples]
    return (rng.normal(0, 1, samples) * loud).astype(np.float32)


def answers(bundle, wave, cuts=(), name="numpy", **options):
    pipeline = Pipeline(bundle, open_engine(bundle, name), **options)
    found = []
    for piece in np.split(wave, sorted(cuts)):
        found += pipeline.push(piece)
    return found, pipeline


def test_ratings_that_were_never_learnt_are_not_answered(numpy_bundle):
    wave = noise(4 * STEP)
    rated, _ = answers(numpy_bundle, wave)
    quiet = dataclasses.replace(numpy_bundle, adv=dataclasses.replace(numpy_bundle.adv, learnt=False))
    unrated, _ = answers(quiet, wave)
    assert all(p.rated for p in rated) and not any(p.rated or p.dozed for p in unrated)
    assert [p.emotion for p in rated] == [p.emotion for p in unrated]


def as_json(predictions):
    return [prediction.to_json() for prediction in predictions]


@settings(max_examples=25)
@given(cuts=st.lists(st.integers(0, 30_000), max_size=40))
def test_any_split_gives_the_same_bits(numpy_bundle, cuts):
    wave = noise(30_000)
    whole, _ = answers(numpy_bundle, wave)
    split, pipeline = answers(numpy_bundle, wave, cuts)
    assert as_json(split) == as_json(whole)
    assert (pipeline.processed, pipeline.pending) == (28_000, 2_000)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("chunk", [1, 7, 160, 1000, 16000])
def test_chunks_on_every_engine(full_bundle, name, chunk):
    wave = noise(26_000, seed=1)
    whole, _ = answers(full_bundle, wave, name=name)
    split, _ = answers(full_bundle, wave, range(chunk, len(wave), chunk), name=name)
    assert len(whole) == 6
    assert as_json(split) == as_json(whole)


def test_spans_and_values(numpy_bundle):
    wave = noise(26 * STEP)
    found, _ = answers(numpy_bundle, wave)
    assert [p.end for p in found] == [STEP * (i + 1) for i in range(26)]
    assert [p.start for p in found] == [max(0, p.end - 20 * STEP) for p in found]
    assert len({p.arousal for p in found}) == 26
    for p in found:
        assert list(p.emotion) == list(numpy_bundle.labels)
        assert sum(p.emotion.values()) == pytest.approx(1)
        assert p.emotion[p.label] == p.confidence == max(p.emotion.values())
        assert 0 < p.valence < 1
        entry = p.to_json()
        assert entry["end"] == p.end / 16000 and entry["latency_ms"] is None and entry["lost_samples"] == 0


def test_every_gives_a_part_of_the_same_answers(numpy_bundle):
    wave = noise(10 * STEP)
    all_of_them, _ = answers(numpy_bundle, wave)
    some, _ = answers(numpy_bundle, wave, every=3)
    assert as_json(some) == as_json(all_of_them[2::3])
    with pytest.raises(ValueError, match="every"):
        answers(numpy_bundle, wave, every=0)


def test_a_gap_moves_the_times_and_not_the_answers(numpy_bundle):
    wave = noise(4 * STEP)
    whole, _ = answers(numpy_bundle, wave)
    pipeline = Pipeline(numpy_bundle, open_engine(numpy_bundle, "numpy"))
    found = pipeline.push(wave[:6000])
    pipeline.skip(1234)
    found += pipeline.push(wave[6000:])
    assert [p.lost_samples for p in found] == [0, 1234, 0, 0]
    assert [p.end for p in found] == [4000, 9234, 13234, 17234]
    assert [p.emotion for p in found] == [p.emotion for p in whole]


def test_each_answer_is_given_before_the_next_is_computed(numpy_bundle):
    engine = open_engine(numpy_bundle, "numpy")
    order = []

    class Watched:
        name, precision, initial_state = engine.name, engine.precision, engine.initial_state

        def step(self, features, state):
            order.append("step")
            return engine.step(features, state)

    Pipeline(numpy_bundle, Watched()).push(noise(3 * STEP), lambda prediction: order.append("answer"))
    assert order == ["step", "answer"] * 3


def test_warming_up_changes_nothing(numpy_bundle):
    wave = noise(3 * STEP)
    cold, _ = answers(numpy_bundle, wave)
    pipeline = Pipeline(numpy_bundle, open_engine(numpy_bundle, "numpy"))
    pipeline.warm_up()
    assert as_json(pipeline.push(wave)) == as_json(cold)


def test_state_comes_from_gate_and_calibration(numpy_bundle):
    class Fixed:
        reads_features = False

        def __init__(self, heard):
            self.heard = heard

        def push(self, step, features):
            return Reading(self.heard, -20.0)

    def states(unsure_below, heard):
        bundle = dataclasses.replace(numpy_bundle, calibration=Calibration(1.0, unsure_below))
        return {p.state for p in answers(bundle, noise(3 * STEP), gate=Fixed(heard))[0]}

    assert states(0.0, True) == {"speech"}
    assert states(1.0, True) == {"unsure"}
    assert states(1.0, False) == {"silence"}


def test_temperature_is_applied_once(numpy_bundle):
    logits = np.array([3.0, 1.0, -200.0], np.float32)
    cold, warm = probabilities(logits, 1.0), probabilities(logits, 2.0)
    np.testing.assert_allclose(cold[:2], [0.880797, 0.119203], rtol=1e-5)
    np.testing.assert_allclose(warm[:2], [0.731059, 0.268941], rtol=1e-5)
    assert cold.dtype == np.float64 and cold.sum() == pytest.approx(1)
    hot = dataclasses.replace(numpy_bundle, calibration=Calibration(1000.0, 0.0))
    flat = answers(hot, noise(STEP))[0][0]
    assert flat.confidence == pytest.approx(1 / len(numpy_bundle.labels), rel=0.1)


def test_a_front_end_that_looks_ahead_is_refused(numpy_bundle):
    ahead = dataclasses.replace(numpy_bundle, spec=dataclasses.replace(numpy_bundle.spec, padding="center"))
    with pytest.raises(EdgeSerError, match="needs 'causal'"):
        Pipeline(ahead, open_engine(numpy_bundle, "numpy"))


# --- dozing


@pytest.mark.parametrize("turns", [False, True])
@pytest.mark.parametrize(("every", "gate"), [(1, "level"), (3, "level"), (1, "mel")])
def test_a_model_that_dozed_answers_as_one_that_never_slept(numpy_bundle, every, gate, turns):
    rng = np.random.default_rng(3)
    loud = rng.random(150) < 0.35
    loud[40:90] = False  # longer than the model remembers
    wave = noise(150 * STEP) * np.repeat(np.where(loud, 1.0, 1e-4), STEP).astype(np.float32)

    def run(doze):
        pipeline = Pipeline(
            numpy_bundle, open_engine(numpy_bundle, "numpy"), every=every, doze=doze,
            gate=open_gate(gate, numpy_bundle.spec), turns=turns,
        )  # fmt: skip
        return pipeline.push(wave), pipeline

    (awake, _), (dozing, pipeline) = run(False), run(True)
    slept = [p for p in dozing if p.dozed]
    assert len(slept) > 20 and pipeline.dozed > 0
    assert {p.state for p in slept} == {"silence"}
    for one, other in zip(awake, dozing, strict=True):
        assert (one.start, one.end, one.level_db) == (other.start, other.end, other.level_db)
        if other.dozed:
            assert one.state == "silence" and other.label == "" and other.to_json()["arousal"] is None
        else:
            assert one == other


def test_the_front_end_sleeps_with_the_model(numpy_bundle):
    pipeline = Pipeline(numpy_bundle, open_engine(numpy_bundle, "numpy"), doze=True)
    heard = []
    front, push = pipeline._front, pipeline._front.push
    front.push = lambda samples: heard.append(len(samples)) or push(samples)
    pipeline.push(np.zeros(100 * STEP, np.float32))
    assert not heard and pipeline.dozed == 100 * STEP
    pipeline.push(noise(STEP))
    assert len(heard) == 29  # a step for its past, 27 that the model remembers, and the loud one
    assert pipeline.dozed == (100 - 27) * STEP  # what it caught up with was not slept through


def test_samples_that_are_no_numbers_are_refused_asleep_too(numpy_bundle):
    pipeline = Pipeline(numpy_bundle, open_engine(numpy_bundle, "numpy"), doze=True)
    wave = np.zeros(2 * STEP, np.float32)
    wave[STEP + 7] = np.nan
    with pytest.raises(EdgeSerError, match="NaN or infinite"):
        pipeline.push(wave)


def test_what_remembers_for_ever_dozes_only_in_turns(numpy_bundle):
    class Recurrent:
        name, precision = "numpy", "fp32"

        def initial_state(self):
            return (np.zeros(1, np.float32),)

        def step(self, features, state):
            return None, (state[0] + features.mean(dtype=np.float32),)

    assert memory_steps(Recurrent(), (20, 64)) is None
    with pytest.raises(EdgeSerError, match="cannot doze"):
        Pipeline(numpy_bundle, Recurrent(), doze=True)
    Pipeline(numpy_bundle, Recurrent(), doze=True, turns=True)


def test_how_far_back_the_model_remembers(numpy_bundle):
    engine = open_engine(numpy_bundle, "numpy")
    assert memory_steps(engine, (20, 64)) == 27
    assert memory_steps(engine, (20, 64), limit=27) == 27
    assert memory_steps(engine, (20, 64), limit=26) is None


# --- turns


class Scripted:
    """A gate that is open where it is told to be."""

    reads_features = False

    def __init__(self, opens):
        self.opens = iter(opens)

    def push(self, step, features=None):
        return Reading(next(self.opens), -20.0)


@settings(max_examples=20)
@given(opens=st.lists(st.booleans(), min_size=1, max_size=24), doze=st.booleans(), seed=st.integers(0, 9))
def test_a_turn_is_answered_as_a_recording_that_begins_with_it(numpy_bundle, opens, doze, seed):
    """The features are the same, as the front end hears on; so the engine alone is fed, from its first state."""
    wave, engine = noise(len(opens) * STEP, seed), open_engine(numpy_bundle, "numpy")
    pipeline = Pipeline(numpy_bundle, engine, gate=Scripted(opens), doze=doze, turns=True)
    heard = pipeline.push(wave)
    front = LogMelStream(numpy_bundle.spec)
    features = [front.push(step) for step in wave.reshape(-1, STEP)]
    for i, prediction in enumerate(heard):
        if not opens[i]:
            continue
        begin = i
        while begin > 0 and any(opens[max(0, begin - PAUSE_STEPS) : begin]):
            begin -= 1
        state = engine.initial_state()
        for one in features[max(0, begin - LEAD_STEPS) : i + 1]:
            outputs, state = engine.step(one, state)
        assert prediction.arousal == float(outputs.adv[0])


@pytest.mark.parametrize("doze", [False, True])
@pytest.mark.parametrize(("steps", "begins"), [(PAUSE_STEPS, True), (PAUSE_STEPS - 0.5, False)])
def test_what_was_lost_is_a_pause_where_it_is_as_long(numpy_bundle, doze, steps, begins):
    opens = [True] * 4
    pipeline = Pipeline(
        numpy_bundle, open_engine(numpy_bundle, "numpy"), gate=Scripted(opens), doze=doze, turns=True
    )
    wave = noise(4 * STEP)
    before = pipeline.push(wave[: 2 * STEP])
    for _ in range(2):  # it is told in parts while a microphone is away
        pipeline.skip(int(steps * STEP) // 2)
    after = pipeline.push(wave[2 * STEP :])
    assert [p.turn for p in before + after] == [1, 1] + [1 + begins] * 2
    engine = open_engine(numpy_bundle, "numpy")
    front, state = LogMelStream(numpy_bundle.spec), engine.initial_state()
    for i, step in enumerate(wave.reshape(-1, STEP)):
        if i == 2 and begins:
            state = engine.initial_state()
        outputs, state = engine.step(front.push(step), state)
    assert after[-1].arousal == float(outputs.adv[0])


def test_a_short_pause_ends_no_turn(numpy_bundle):
    opens = [True, True, False, True]
    wave = noise(4 * STEP)
    with_turns, without = (
        Pipeline(numpy_bundle, open_engine(numpy_bundle, "numpy"), gate=Scripted(opens), turns=turns).push(
            wave
        )
        for turns in (True, False)
    )
    assert with_turns == without


@settings(max_examples=20)
@given(opens=st.lists(st.booleans(), min_size=1, max_size=24))
def test_who_dozes_gets_used_to_a_speaker_alike(numpy_bundle, opens):
    n = len(numpy_bundle.labels)
    calibration = dataclasses.replace(numpy_bundle.calibration, typical=((0.0,) * n,) * n)
    bundle = dataclasses.replace(numpy_bundle, calibration=calibration)
    awake, dozing = (
        answers(bundle, noise(len(opens) * STEP), gate=Scripted(opens), doze=doze, turns=True, adapt=True)[0]
        for doze in (False, True)
    )
    spoken = [(a.emotion, b.emotion) for a, b, is_open in zip(awake, dozing, opens, strict=True) if is_open]
    assert all(a == b for a, b in spoken)
