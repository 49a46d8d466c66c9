"""What int8 learns from: training speakers alone, the same clips for a seed, and a record that says which."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest

from edge_ser.audio import write_wav
from edge_ser.corpora import load_csv
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.parity import hard_sounds
from export.calibration import SAMPLE, calibrate_on_clips, calibrate_on_sample, choose_calibration
from tests.support import SPEC

GENERATED = len(hard_sounds())


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    """Twelve clips of noise of four speakers in two folds; clip 3 is too short, clip 5 no sound at all."""
    folder = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(0)
    rows = ["file,speaker,emotion,fold"]
    for i in range(12):
        write_wav(folder / f"{i}.wav", 0.1 * rng.standard_normal(2000 if i == 3 else 9000).astype(np.float32))
        rows.append(f"{i}.wav,s{i % 4},sad,{i % 2}")
    (folder / "5.wav").write_bytes(b"not a sound")
    path = folder / "noise.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def draw(clips, **options):
    return calibrate_on_clips(clips, SPEC, 20, held_out_fold=0, **options)


def test_the_same_seed_gives_the_same_clips_in_any_order(table):
    clips = [clip for clip in load_csv(table).clips if clip.fold == 1]
    one, other, another = draw(clips, count=3), draw(clips[::-1], count=3), draw(clips, count=3, seed=1)
    assert len(one.features) == 3 + GENERATED
    assert all(np.array_equal(a, b) for a, b in zip(one.features, other.features, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one.features, another.features, strict=True))
    assert all(steps.shape[1:] == (20, 64) and steps.dtype == np.float32 for steps in one.features)


def test_the_record(table):
    clips = [clip for clip in load_csv(table).clips if clip.fold == 1]
    drawn = draw(clips, seed=4)
    assert drawn.record["clips"] == {"noise": 4}
    assert drawn.record["passed_over"] == 2  # too short, and no sound
    assert drawn.record["speakers"] == 2
    assert drawn.record["held_out_fold"] == 0
    assert drawn.record["seed"] == 4
    assert drawn.record["steps"] == sum(map(len, drawn.features)) == 4 * 2 + GENERATED * 48


def test_the_recordings_go_along_and_are_known_by_their_samples(table):
    """Networks that hear a window learn from the recordings; digests say which, without a name."""
    drawn = draw([clip for clip in load_csv(table).clips if clip.fold == 1], count=3)
    assert len(drawn.waves) == len(drawn.features) == 3 + GENERATED
    digests = [hashlib.sha256(wave.astype("<f4").tobytes()).hexdigest() for wave in drawn.waves[:3]]
    assert drawn.record["sounds"] == [one[:16] for one in digests]
    for wave, generated in zip(drawn.waves[3:], hard_sounds().values(), strict=True):
        assert np.array_equal(wave, generated)


def test_the_held_out_fold_is_refused(table):
    with pytest.raises(EdgeSerError, match="held-out fold 0"):
        draw(load_csv(table).clips)
    unknown = [dataclasses.replace(clip, fold=None) for clip in load_csv(table).clips]
    with pytest.raises(EdgeSerError, match="held-out fold 0"):
        draw(unknown)


def test_nothing_that_can_be_used(table):
    bad = [clip for clip in load_csv(table).clips if clip.path.stem in ("3", "5")]
    with pytest.raises(EdgeSerError, match="none of 2 clips"):
        draw(bad)


def test_the_packages_own_sample():
    pytest.importorskip("soundfile")
    drawn = calibrate_on_sample(SPEC, 20)
    assert "no training speech" in drawn.record["source"]
    assert len(drawn.features) == 1 + GENERATED
    assert drawn.record["seed"] is None


def test_choice(table, tmp_path):
    pytest.importorskip("soundfile")
    said = []
    training = {"held_out_fold": 1, "recipe": {"data": {"corpora": [str(table), str(tmp_path / "gone.csv")]}}}

    def choose(**options):
        said.clear()
        return choose_calibration(training, SPEC, 20, say=said.append, **options).record

    found = choose()
    assert found["clips"] == {"noise": 6} and found["held_out_fold"] == 1
    assert len(said) == 1 and "gone.csv" in said[0]
    assert "sample" in choose(which=SAMPLE)["source"] and not said
    assert choose(which=str(table))["clips"] == {"noise": 6}
    with pytest.raises(EdgeSerError, match=r"gone\.csv"):
        choose(which=str(tmp_path / "gone.csv"))
    training["recipe"] = {}
    assert "no training speech" in choose()["source"]
    assert "no corpus of the training is here" in said[0]


def test_clips_whose_fold_nobody_knows_may_be_held_out_ones(table):
    rows = [line.rsplit(",", 1)[0] for line in table.read_text().splitlines()]
    bare = table.with_name("bare.csv")
    bare.write_text("\n".join(rows) + "\n")
    training = {"held_out_fold": 1, "recipe": {"data": {"corpora": [str(bare)]}}}
    said = []
    assert "no training speech" in choose_calibration(training, SPEC, 20, say=said.append).record["source"]
    assert "no corpus of the training is here" in said[0]
    with pytest.raises(
        EdgeSerError, match=r"bare\.csv has no clip that is known to be outside the held-out fold 1"
    ):
        choose_calibration(training, SPEC, 20, which=str(bare))
    whole = choose_calibration(training | {"held_out_fold": None}, SPEC, 20)
    assert whole.record["clips"] == {"bare": 10}
