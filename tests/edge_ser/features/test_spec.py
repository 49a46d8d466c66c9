"""Descriptions of feature vectors: sets, TOML, and what is refused."""

from __future__ import annotations

import dataclasses
import json

import pytest

from edge_ser.dsp.features import FEATURES, FeatureSpec
from edge_ser.errors import EdgeSerError
from edge_ser.features import SETS, WHOLE, VectorSpec, load_spec, vector_names


@pytest.mark.parametrize("name", SETS)
def test_a_set_goes_to_json_and_back(name):
    spec = load_spec(name)
    assert VectorSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert load_spec(spec) is spec
    names = vector_names(spec)
    assert len(names) == len(set(names)) > 100
    assert names[: len(spec.functionals)] == tuple(f"{spec.names[0]}_00_{f}" for f in spec.functionals) or (
        names[0] == "log_mel_000_mean"
    )


def test_full_has_everything():
    spec = load_spec("full")
    assert set(spec.names) == set(FEATURES) and set(spec.whole) == set(WHOLE)


def test_sets_are_what_they_are_said_to_be():
    speech, classic = load_spec("speech"), load_spec("classic")
    frames = speech.frames
    assert (frames.n_fft / frames.sample_rate, frames.hop_length / frames.sample_rate) == (0.032, 0.01)
    assert (frames.n_mels, frames.n_mfcc) == (40, 20)
    assert speech.whole == ("duration", "snr", "voiced") and classic.whole == ("snr", "tempo")
    assert classic.frames.n_mfcc == 40 and classic.functionals == ("mean", "std", "min", "max")
    assert VectorSpec().functionals == ("mean", "std") and VectorSpec().whole == ()


def test_toml_says_what_differs_from_its_set(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'set = "classic"\nnames = ["rms"]\nfunctionals = ["q10"]\n[frames]\nn_fft = 1024\nedges = [0, 100]\n'
    )
    classic = load_spec("classic")
    frames = dataclasses.replace(classic.frames, n_fft=1024, edges=(0.0, 100.0))
    assert load_spec(path) == VectorSpec(frames, ("rms",), ("q10",), classic.whole)
    path = path.rename(tmp_path / "MINE.TOML")
    path.write_text("")
    assert load_spec(path) == load_spec("speech")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("set = 'loud'", "no feature set 'loud'; there are speech"),
        ("functional = []", "unknown functional; there are set, frames, names, functionals, whole"),
        ("names = ['mfc']", "no feature 'mfc' for names; there are log_mel, mfcc"),
        ("names = 'mfcc'", "names must be a list of names"),
        ("names = [1]", "names must be a list of names"),
        ("whole = ['duration', 'duration']", "whole holds duration twice"),
        ("functionals = []", "needs names with functionals"),
        ("names = []", "needs names with functionals"),
        ("names = []\nfunctionals = []\nwhole = []", "needs names with functionals"),
        ("frames = 3", "frames must be a table"),
        ("set = ['speech']", r"no feature set \['speech'\]; there are speech"),
        ("names = 3", "names must be a list of names, not 3"),
        ("[frames]\nhop = 3", r"\[frames\] has no field 'hop'; there are sample_rate, n_fft"),
        ("[frames]\nn_mels = 'x'", r"\[frames\] n_mels must be of type int, not 'x'"),
        ("[frames]\nn_mfcc = 'x'", r"\[frames\] n_mfcc must be of type int, not 'x'"),
        ("[frames]\nn_fft = 12.5", r"\[frames\] n_fft must be of type int, not 12.5"),
        ("[frames]\nwin_length = 'x'", r"\[frames\] win_length must be of type int \| None, not 'x'"),
        ("[frames]\nfmax = true", r"\[frames\] fmax must be of type float \| None, not True"),
        ("[frames]\nedges = ['x']", r"\[frames\] edges must be of type tuple\[float, ...\], not \('x',\)"),
        ("[frames]\nwindow = 'kaiser'", "window must be one of"),
        ("names = [", "is not TOML"),
    ],
)
def test_a_toml_that_is_wrong_is_a_sentence_that_names_the_file(tmp_path, text, says):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(EdgeSerError, match=says) as caught:
        load_spec(path)
    assert "mine.toml" in str(caught.value)


def test_what_is_not_there(tmp_path):
    with pytest.raises(
        EdgeSerError, match="no feature set 'loud'; there are speech, classic, full, or name a TOML"
    ):
        load_spec("loud")
    with pytest.raises(EdgeSerError, match="cannot read .*gone.toml: No such file"):
        load_spec(tmp_path / "gone.toml")
    fields = load_spec("speech").to_dict()
    del fields["whole"]
    with pytest.raises(EdgeSerError, match="description lacks whole"):
        VectorSpec.from_dict(fields)


def test_frames_that_are_no_table_are_a_sentence():
    with pytest.raises(
        EdgeSerError, match="frames of the feature vector's description must be a table, not 3"
    ):
        VectorSpec.from_dict(load_spec("speech").to_dict() | {"frames": 3})


def test_only_the_whole_needs_no_functionals():
    assert vector_names(VectorSpec(FeatureSpec(), (), (), ("duration", "level"))) == ("duration", "level")
