"""The public face: a clip's answer is the stream's last; bad audio is said in a sentence."""

import numpy as np
import pytest

from edge_ser.errors import EdgeSerError
from edge_ser.recognizer import Recognizer


@pytest.fixture(scope="module")
def recognizer(numpy_bundle):
    return Recognizer.load(numpy_bundle.path, engine="numpy")


def noise(samples, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def test_a_clip_is_the_last_answer_of_a_stream(recognizer):
    wave = noise(30_123)
    answer = recognizer.predict(wave)
    stream = recognizer.stream()
    answers = [one for piece in np.array_split(wave, 17) for one in stream.push(piece)]
    assert len(answers) == 7 and stream.step_samples == 4000
    assert answers[-1].to_json() == answer.to_json()
    assert answer.end == 28_000
    assert recognizer.predict(wave[:28_000]).to_json() == answer.to_json()
    assert recognizer.predict(wave.astype(np.float64)).to_json() == answer.to_json()
    assert set(answer.emotion) == set(recognizer.labels) and recognizer.sample_rate == 16000


def test_streams_are_independent(recognizer):
    one, other = recognizer.stream(), recognizer.stream()
    taken = []
    for i in range(4):
        taken += one.push(noise(4000, i))
        other.push(noise(4000, 99 + i))
    alone = recognizer.stream().push(np.concatenate([noise(4000, i) for i in range(4)]))
    assert [p.to_json() for p in taken] == [p.to_json() for p in alone]


def test_bad_audio(recognizer):
    with pytest.raises(EdgeSerError, match=r"0\.2499 s is shorter than one step; give at least 0\.25 s"):
        recognizer.predict(noise(3_999))
    with pytest.raises(EdgeSerError, match="one channel"):
        recognizer.predict(noise(8_000).reshape(2, -1))
    with pytest.raises(EdgeSerError, match="divide int16 by 32768"):
        recognizer.predict(np.zeros(8_000, np.int16))
    stream = recognizer.stream()
    before = stream.push(noise(5_000))
    with pytest.raises(EdgeSerError, match="3 samples that are NaN"):
        stream.push(np.array([0, np.nan, np.inf, -np.inf], np.float32))
    with pytest.raises(EdgeSerError, match="1 samples that are NaN"):
        stream.push(np.array([0, 1e39]))  # beyond 32 bits
    after = stream.push(noise(5_000, 1))
    whole = recognizer.stream().push(np.concatenate([noise(5_000), noise(5_000, 1)]))
    assert [p.to_json() for p in before + after] == [p.to_json() for p in whole]


def test_unknown_model():
    with pytest.raises(EdgeSerError, match="there is no model or bundle folder 'absent'"):
        Recognizer.load("absent")
