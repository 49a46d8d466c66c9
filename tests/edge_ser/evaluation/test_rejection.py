"""The detector of speech learns what is apart, and its figures are of what it never heard."""

from pathlib import Path

import numpy as np
import pytest

from edge_ser.corpora import Clip
from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.rejection import Sample, fit_detector, made_sounds, speech_samples, step_statistics

pytest.importorskip("sklearn")

SPEC = MelSpec(mean=-50.0, scale=20.0, padding="causal")


def voice(seed: int) -> np.ndarray:
    """Buzz with syllables, 4 a second, and pauses."""
    rng = np.random.default_rng(seed)
    t = np.arange(32000) / 16000
    hz = rng.uniform(100, 220) * (1 + 0.1 * np.sin(2 * np.pi * t))
    buzz = sum(np.sin(2 * np.pi * k * np.cumsum(hz) / 16000) / k for k in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * 4 * t + rng.uniform(0, 6)), 0, 1)
    return (0.1 * buzz * syllables + 0.0005 * rng.standard_normal(32000)).astype(np.float32)


def hiss(seed: int) -> np.ndarray:
    rng = np.random.default_rng(1000 + seed)
    wave = 0.1 * rng.standard_normal(32000).astype(np.float32)
    wave[:6000] *= 0.01
    return wave


def samples(n: int = 20) -> list[Sample]:
    return [
        Sample(f"{kind.__name__} {i}", lambda kind=kind, i=i: kind(i), kind is voice, i % 5)
        for kind in (voice, hiss)
        for i in range(n)
    ]


def test_voices_pass_and_hiss_does_not() -> None:
    detector, record = fit_detector(samples(), SPEC, 20)
    assert (
        record["rejected"] >= 0.9 and record["refused"] <= 0.15 and record["sounds"] == record["speech"] == 20
    )
    assert record["by_collection"]["hiss"]["clips"] == 20
    scores = [
        max(detector.score(row) for row in step_statistics(kind(99), SPEC, 20)) for kind in (voice, hiss)
    ]
    assert scores[0] > detector.threshold > scores[1]
    again, _ = fit_detector(samples(), SPEC, 20)
    assert again.to_dict() == detector.to_dict()


def test_silence_has_no_steps_to_judge() -> None:
    assert step_statistics(np.zeros(32000, np.float32), SPEC, 20).shape == (0, 0)


def test_only_steps_that_pass_the_level_gate_are_judged() -> None:
    """A second of voice between two of silence: what a device never asks the detector about is not fitted on."""
    wave = np.concatenate([np.zeros(16000, np.float32), voice(0)[:16000], np.zeros(32000, np.float32)])
    assert 3 <= len(step_statistics(wave, SPEC, 20)) < 12  # of 16 steps


def test_a_speakers_clips_are_all_in_one_fold_and_from_all_over() -> None:
    clips = [Clip(Path(f"{i:02}.wav"), "mine", f"s{i // 32}", "sad") for i in range(320)]
    samples = speech_samples(clips, per_speaker=4)
    folds = {
        s: {one.fold for one in samples[4 * s : 4 * s + 4]} for s in range(10)
    }  # sorted by speaker, four of each
    assert len(samples) == 40 and all(one.speech for one in samples)
    assert all(len(one) == 1 for one in folds.values()) and len(set.union(*folds.values())) > 1
    assert [one.name for one in samples[:4]] == [f"mine {i:02}.wav" for i in (0, 8, 16, 24)]


def test_a_fold_without_one_of_both_is_refused() -> None:
    with pytest.raises(EdgeSerError, match="fold 4 lacks"):
        fit_detector([one for one in samples(5) if one.fold < 4 or one.speech], SPEC, 20)


def test_made_sounds_are_the_same_every_time() -> None:
    sounds = made_sounds(4)
    assert len(sounds) == 4 and not any(one.speech for one in sounds)
    for one in sounds:
        wave = one.load()
        assert np.isfinite(wave).all() and 0 < np.abs(wave).max() <= 1 and (wave == one.load()).all()
