"""Decisions of a step: what is silence, noise, unsure, speech; the same on the device and in the recognizer."""

import dataclasses

import numpy as np
import pytest

from edge_ser.bundle import Bundle, Calibration, write_bundle
from edge_ser.detector import SpeechDetector
from edge_ser.errors import EdgeSerError
from edge_ser.recognizer import Recognizer
from edge_ser.tensors import pack_tensors
from firmware_py.decision import Decision, heard_as
from firmware_py.engines import open_engine
from firmware_py.gate import Reading
from firmware_py.gates import open_gate
from firmware_py.pipeline import Pipeline
from firmware_py.speech_statistics import WINDOW_STEPS, speech_statistics
from tests.support import FILES, manifest, random_weights

RATE = 80.0
RNG = np.random.default_rng(0)
STEP = RNG.normal(size=(20, 64)).astype(np.float32)
N = len(speech_statistics(STEP, RATE))


def detector(bias: float, threshold: float = 0.0) -> SpeechDetector:
    """Says `bias` of everything."""
    return SpeechDetector(
        np.zeros(N), np.ones(N), np.zeros((2, N)), np.zeros(2), np.zeros(2), bias, threshold, {"n": 1}
    )


def decide(unsure_below: float, heard: SpeechDetector | None, *, is_open: bool = True) -> str:
    decision = Decision(Calibration(1.0, unsure_below), heard, RATE)
    return decision.push(STEP, np.array([1.0, 0.0], np.float32), Reading(is_open, -20.0))[1]


def test_the_gate_goes_before_the_detector_and_that_before_doubt() -> None:
    assert decide(0.0, None) == "speech"
    assert decide(0.9, None) == "unsure"
    assert decide(0.9, detector(-1.0)) == "noise"
    assert decide(0.0, detector(1.0)) == "speech"
    assert decide(0.0, detector(-1.0), is_open=False) == "silence"


def test_what_reaches_a_limit_is_not_below_it() -> None:
    half = Decision(Calibration(1.0, 0.5), detector(0.25, 0.25), RATE)
    assert half.push(STEP, np.zeros(2, np.float32), Reading(True, -20.0))[1] == "speech"


def test_the_temperature_softens() -> None:
    sharp = Decision(Calibration(0.5, 0.0), None, RATE).push(STEP, np.array([1.0, 0.0]), Reading(True, 0.0))[
        0
    ]
    soft = Decision(Calibration(2.0, 0.0), None, RATE).push(STEP, np.array([1.0, 0.0]), Reading(True, 0.0))[0]
    assert sharp[0] > soft[0] > 0.5 and sharp.sum() == pytest.approx(1.0)


def test_it_looks_back_over_its_window_and_no_further() -> None:
    seen: list[np.ndarray] = []

    @dataclasses.dataclass
    class Spy:
        threshold: float = 0.0

        def score(self, statistics: np.ndarray) -> float:
            seen.append(statistics)
            return 1.0

    decision = Decision(Calibration(1.0, 0.0), Spy(), RATE)  # type: ignore[arg-type]
    steps = RNG.normal(size=(WINDOW_STEPS + 3, 20, 64)).astype(np.float32)
    for step in steps:
        decision.push(step, np.zeros(2, np.float32), Reading(True, -20.0))
    assert (seen[-1] == speech_statistics(np.concatenate(steps[3:]), RATE)).all()
    assert (seen[0] == speech_statistics(steps[0], RATE)).all()


def with_detector(folder, heard: SpeechDetector, unsure_below: float = 0.0) -> Bundle:
    files = [{"path": FILES["numpy"], "engine": "numpy", "precision": "fp32"}]
    about = manifest(files) | {
        "calibration": {
            "temperature": 1.5,
            "unsure_below": unsure_below,
            "coverage": 0.8,
            "fitted_on": "tests",
        },
        "speech_detector": heard.to_dict(),
    }
    return write_bundle(folder, about, {FILES["numpy"]: pack_tensors(random_weights())})


def test_a_bundle_carries_it_to_the_device_and_the_recognizer(tmp_path) -> None:
    bundle = with_detector(tmp_path / "b", detector(-1.0))
    assert bundle.calibration == Calibration(1.5, 0.0, 0.8, "tests")
    assert bundle.speech_detector is not None and bundle.speech_detector.to_dict() == detector(-1.0).to_dict()
    wave = (0.3 * RNG.normal(size=16000 * 2)).astype(np.float32)
    wave[:8000] *= 0.003  # the gate opens on what stands out
    by_device = Pipeline(bundle, open_engine(bundle, "numpy")).push(wave)
    by_host = Recognizer.load(bundle.path, engine="numpy").predictions(wave)
    assert by_device == by_host
    assert {one.state for one in by_host} == {"silence", "noise"}
    assert heard_as(by_host, 0.0) == "noise"


def test_a_minute_of_silence_names_no_emotion(tmp_path) -> None:
    recognizer = Recognizer.load(with_detector(tmp_path / "b", detector(1.0)).path, engine="numpy")
    answers = recognizer.predictions(np.zeros(16000 * 60, np.float32))
    assert {one.state for one in answers} == {"silence"} and heard_as(answers, 0.0) == "silence"


def test_old_bundles_have_none(numpy_bundle: Bundle) -> None:
    assert numpy_bundle.speech_detector is None and numpy_bundle.calibration.coverage is None


def test_a_clip_is_speech_where_anybody_spoke(numpy_bundle: Bundle) -> None:
    wave = (0.2 * RNG.normal(size=16000)).astype(np.float32)
    answers = Recognizer.load(numpy_bundle.path, engine="numpy").predictions(wave)
    states = ["noise", "unsure", "silence", "silence"]
    changed = [dataclasses.replace(one, state=state) for one, state in zip(answers, states, strict=True)]
    assert heard_as(changed, 0.0) == "speech"
    assert heard_as(changed, 1.0) == "unsure"
    assert heard_as(changed[2:], 1.0) == "silence"
    first = dict.fromkeys(numpy_bundle.labels, 0.0) | {numpy_bundle.labels[0]: 1.0}
    surer = [dataclasses.replace(changed[0], emotion=first), *changed[1:]]
    limit = (1.0 + changed[-1].confidence) / 2
    assert heard_as(surer, limit) == "unsure" and heard_as(surer[::-1], limit) == "speech"


@pytest.mark.parametrize(
    "change",
    [
        {"scale": [0.0] * N},
        {"mean": []},
        {"hidden": [[0.0] * N]},
        {"output": "x"},
        {"threshold": None},
        {"record": 1},
    ],
)
def test_a_damaged_detector_is_refused_by_name(tmp_path, change) -> None:
    heard = detector(0.0)
    files = [{"path": FILES["numpy"], "engine": "numpy", "precision": "fp32"}]
    about = manifest(files) | {"speech_detector": heard.to_dict() | change}
    with pytest.raises(EdgeSerError, match=f"speech_detector.{next(iter(change))}"):
        write_bundle(tmp_path / "b", about, {FILES["numpy"]: pack_tensors(random_weights())})


@pytest.mark.parametrize("gate", ["level", "mel"])
def test_the_detector_looks_back_over_what_a_model_slept_through(numpy_bundle: Bundle, gate: str) -> None:
    """A turn begins with two steps of the pause, which is all that the model hears of it; the detector hears more."""
    loud = np.repeat([1.0, 1e-4, 1.0, 1e-4, 1.0], [2, WINDOW_STEPS + 5, 3, 4, 2])
    wave = (RNG.normal(0, 0.05, (len(loud), 4000)) * loud[:, None]).astype(np.float32).ravel()

    def seen(doze: bool) -> list[np.ndarray]:
        found: list[np.ndarray] = []

        @dataclasses.dataclass
        class Spy:
            threshold: float = 0.0

            def score(self, statistics: np.ndarray) -> float:
                found.append(statistics)
                return 1.0

        bundle = dataclasses.replace(numpy_bundle, speech_detector=Spy())  # type: ignore[arg-type]
        engine = open_engine(bundle, "numpy")
        Pipeline(bundle, engine, gate=open_gate(gate, bundle.spec), doze=doze, turns=True).push(wave)
        return found

    awake, dozing = seen(False), seen(True)
    assert len(awake) > 7
    np.testing.assert_array_equal(dozing, awake)
